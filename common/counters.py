"""
What is counted; `common.metrics` shows it.
"""

from prometheus_client import Counter

REFRESH_TOKENS_REUSED = Counter("refresh_tokens_reused", "Rotated refresh tokens that came again after the grace; each ended its session.")
REDIS_OUTAGES = Counter("redis_outages", "Times that a Redis was found away.", ["redis"])
CACHE_ANSWERS = Counter(
    "cache_answers", "Answers of cached views: hit, miss, stale, or off where nothing could be stored.", ["view", "result"]
)
CACHE_INVALIDATIONS = Counter("cache_invalidations", "Prefixes that were invalidated, by their first word.", ["group"])
CACHE_ERRORS = Counter("cache_errors", "Commands to the cache's Redis that failed.", ["operation"])
