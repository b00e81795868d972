"""
What is counted; `common.metrics` shows it.
"""

from prometheus_client import Counter, Histogram

REFRESH_TOKENS_REUSED = Counter("refresh_tokens_reused", "Rotated refresh tokens that came again after the grace; each ended its session.")
REDIS_OUTAGES = Counter("redis_outages", "Times that a Redis was found away.", ["redis"])
REQUESTS = Counter("http_requests", "Requests that were answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds that an answer took.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
