"""
What is counted; `common.metrics` shows it.
"""

from prometheus_client import Counter

REFRESH_TOKENS_REUSED = Counter("refresh_tokens_reused", "Rotated refresh tokens that came again after the grace; each ended its session.")
REDIS_OUTAGES = Counter("redis_outages", "Times that a Redis was found away.", ["redis"])
