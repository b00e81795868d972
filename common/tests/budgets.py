"""
What calls and pages of the admin may cost. Each app lists its own in `tests/budgets.py`; `config/tests/test_budgets.py` and
`config/tests/test_admin_queries.py` count them all, and miss none.

There an app may define `BUDGETS`, a list of `Budget`; `ADMIN_LISTS`, an `AdminList` for each model of its admin; and `make_rows(alice)`,
which makes the rows that its calls are about and returns what these name them.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from common.apps import own_apps
from conftest import BASE_DIR

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


class AdminList(NamedTuple):
    """
    How to make a row of the admin's list, given a number that tells it from others, and how many SQL statements the list costs at most.

    Statements: session, user, permissions, count twice, rows, filters' choices.
    """

    make: Callable[[int], Any]
    sql: int


def of_every_app(name: str) -> list[Any]:
    """
    Return what each app's `tests/budgets.py` defines under a name, where it does.
    """
    files = [BASE_DIR / app / "tests" / "budgets.py" for app in own_apps()]
    modules = [import_module(f"{file.parent.parent.name}.tests.budgets") for file in files if file.exists()]
    return [getattr(module, name) for module in modules if hasattr(module, name)]


def all_budgets() -> list[Budget]:
    return [budget for budgets in of_every_app("BUDGETS") for budget in budgets]


def all_admin_lists() -> dict[Any, AdminList]:
    """
    Return what the lists of the admin cost, by model.
    """
    return {model: costs for lists in of_every_app("ADMIN_LISTS") for model, costs in lists.items()}


BUDGETS = [
    Budget("getHealth", ANONYMOUS, "GET /health", Cost()),
    Budget("getReadiness", ANONYMOUS, "GET /health/ready", Cost(sql=1, cache=1, limits=1, queue=5)),
]
