"""
What calls may cost. Each app lists its own in `tests/budgets.py`; `config/tests/test_budgets.py` counts them all, and misses none.
"""

from typing import Any, NamedTuple

ANONYMOUS = "anonymous"


class Cost(NamedTuple):
    """
    How many SQL statements, `BEGIN` and `COMMIT` among them, and how many commands to the Redis of the cache, the limits and the queue.
    """

    sql: int = 0
    cache: int = 0
    limits: int = 0
    queue: int = 0


class Budget(NamedTuple):
    """
    What one call of a caller costs: `GET users` below `/api/v1/`, `GET /health` as it stands, with names of the tests' world in braces.

    Signed-in callers are known already. A hit is the second of two equal calls, anything else a first one.
    """

    operation: str
    caller: str
    call: str
    cost: Cost
    body: dict[str, Any] | None = None
    is_hit: bool = False


BUDGETS = [
    Budget("getHealth", ANONYMOUS, "GET /health", Cost()),
    Budget("getReadiness", ANONYMOUS, "GET /health/ready", Cost(sql=1, cache=1, limits=1, queue=5)),
]
