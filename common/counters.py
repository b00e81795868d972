"""
What is counted; `common.metrics` shows it.
"""

from prometheus_client import Counter

REFRESH_TOKENS_REUSED = Counter("refresh_tokens_reused", "Rotated refresh tokens that came again after the grace; each ended its session.")
REDIS_OUTAGES = Counter("redis_outages", "Times that a Redis was found away.", ["redis"])
RATE_LIMITED_CALLS = Counter(
    "rate_limited_calls",
    "Calls on which a limit held, by what held, the route, the caller's tier, and whether they were admitted.",
    ["throttle", "route", "tier", "outcome"],
)

MOST_TIERS = 100
_tiers: set[str] = set()


def tier_label(name: str) -> str:
    """
    Return a tier's name for a label, and past `MOST_TIERS` of them `(other)`: what was counted once stays in memory.
    """
    if name not in _tiers:
        if len(_tiers) >= MOST_TIERS:
            return "(other)"
        _tiers.add(name)
    return name
