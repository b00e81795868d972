from typing import Any

from common.tests.budgets import ANONYMOUS, AdminList, Budget, Cost

from ..models import Tier
from .factories import make_rate_limit, make_tier

LIMIT = {"path": "api/v1/users", "limit": 5, "period": 60}

BUDGETS = [
    Budget("createTier", "admin", "POST tier", Cost(sql=3, cache=3), {"name": "gold"}),
    Budget("listTiers", ANONYMOUS, "GET tiers", Cost(sql=1, cache=3)),
    Budget("listTiers", ANONYMOUS, "GET tiers", Cost(cache=1), is_hit=True),
    Budget("listTiers", "alice", "GET tiers", Cost(sql=1, cache=2)),
    Budget("listTiers", "alice", "GET tiers", Cost(cache=2), is_hit=True),
    Budget("getTier", ANONYMOUS, "GET tier/free", Cost(sql=1, cache=3)),
    Budget("getTier", ANONYMOUS, "GET tier/free", Cost(cache=1), is_hit=True),
    Budget("getTier", "alice", "GET tier/free", Cost(sql=1, cache=2)),
    Budget("getTier", "alice", "GET tier/free", Cost(cache=2), is_hit=True),
    Budget("updateTier", "admin", "PATCH tier/free", Cost(sql=5, cache=3), {"name": "basic"}),
    Budget("deleteTier", "admin", "DELETE tier/free", Cost(sql=7, cache=3)),
    Budget("createRateLimit", "admin", "POST tier/free/rate_limit", Cost(sql=5, cache=3), LIMIT),
    Budget("listRateLimits", ANONYMOUS, "GET tier/free/rate_limits", Cost(sql=2, cache=3)),
    Budget("listRateLimits", ANONYMOUS, "GET tier/free/rate_limits", Cost(cache=1), is_hit=True),
    Budget("listRateLimits", "alice", "GET tier/free/rate_limits", Cost(sql=2, cache=2)),
    Budget("listRateLimits", "alice", "GET tier/free/rate_limits", Cost(cache=2), is_hit=True),
    Budget("getRateLimit", ANONYMOUS, "GET tier/free/rate_limit/{limit}", Cost(sql=2, cache=3)),
    Budget("getRateLimit", ANONYMOUS, "GET tier/free/rate_limit/{limit}", Cost(cache=1), is_hit=True),
    Budget("getRateLimit", "alice", "GET tier/free/rate_limit/{limit}", Cost(sql=2, cache=2)),
    Budget("getRateLimit", "alice", "GET tier/free/rate_limit/{limit}", Cost(cache=2), is_hit=True),
    Budget("updateRateLimit", "admin", "PATCH tier/free/rate_limit/{limit}", Cost(sql=6, cache=3), {"limit": 7}),
    Budget("deleteRateLimit", "admin", "DELETE tier/free/rate_limit/{limit}", Cost(sql=6, cache=3)),
]


def tier(number: int) -> Tier:
    made = make_tier(f"tier {number}")
    make_rate_limit(made)
    return made


ADMIN_LISTS = {Tier: AdminList(tier, sql=5)}


def make_rows(alice: Any) -> dict[str, str]:
    return {"limit": str(make_rate_limit(Tier.objects.get(name="free")).pk)}
