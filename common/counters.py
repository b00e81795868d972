"""
What is counted; `common.metrics` shows it.
"""

from prometheus_client import Counter
from prometheus_client.registry import Collector

REFRESH_TOKENS_REUSED = Counter("refresh_tokens_reused", "Rotated refresh tokens that came again after the grace; each ended its session.")
REDIS_OUTAGES = Counter("redis_outages", "Times that a Redis was found away.", ["redis"])

# What is computed when it is asked for, whichever process answers; an app adds its own as it gets ready.
SCRAPED: list[Collector] = []
