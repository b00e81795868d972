"""
What is counted; `common.metrics` shows it.
"""

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

REFRESH_TOKENS_REUSED = Counter("refresh_tokens_reused", "Rotated refresh tokens that came again after the grace; each ended its session.")
REDIS_OUTAGES = Counter("redis_outages", "Times that a Redis was found away.", ["redis"])
REQUESTS = Counter("http_requests", "Requests that were answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds that an answer took.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CACHE_ANSWERS = Counter(
    "cache_answers", "Answers of cached views: hit, miss, stale, or off where nothing could be stored.", ["view", "result"]
)
CACHE_INVALIDATIONS = Counter("cache_invalidations", "Prefixes that were invalidated, by their first word.", ["group"])
CACHE_ERRORS = Counter("cache_errors", "Commands to the cache's Redis that failed.", ["operation"])
RATE_LIMITED_CALLS = Counter(
    "rate_limited_calls",
    "Calls on which a limit held, by what held, the route, the caller's tier, and whether they were admitted.",
    ["throttle", "route", "tier", "outcome"],
)


class Label:
    """
    The first `most` values of a label, and `(other)` for all that come later: what was counted once stays in memory.
    """

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.values: set[str] = set()

    def __call__(self, value: str) -> str:
        if value not in self.values:
            if len(self.values) >= self.most:
                return "(other)"
            self.values.add(value)
        return value


tier_label = Label()

# What is computed when it is asked for, whichever process answers; an app adds its own as it gets ready.
SCRAPED: list[Collector] = []
