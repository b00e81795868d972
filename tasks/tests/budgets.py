from typing import Any

from common.tests.budgets import ANONYMOUS, AdminList, Budget, Cost
from conftest import make_user

from ..models import Status, Task
from .factories import make_task

BUDGETS = [
    Budget("createTask", ANONYMOUS, "POST tasks/task?message=hello", Cost(sql=2, limits=1, queue=1)),
    Budget("createTask", "alice", "POST tasks/task?message=hello", Cost(sql=2, cache=1, limits=1, queue=1)),
    Budget("getTask", ANONYMOUS, "GET tasks/task/{open_task}", Cost(sql=1)),
    Budget("getTask", "alice", "GET tasks/task/{task}", Cost(sql=1, cache=1)),
    Budget("listTasks", "alice", "GET tasks", Cost(sql=1, cache=1)),
    Budget("listTasks", "alice", "GET tasks?items_per_page=1", Cost(sql=2, cache=1)),
    Budget("listTasks", "alice", "GET tasks?cursor=", Cost(sql=1, cache=1)),
    Budget("cancelTask", ANONYMOUS, "DELETE tasks/task/{open_task}", Cost(sql=2, queue=1)),
    Budget("cancelTask", "alice", "DELETE tasks/task/{task}", Cost(sql=2, cache=1, queue=1)),
    Budget("retryTask", ANONYMOUS, "POST tasks/task/{open_failed_task}/retry", Cost(sql=3, limits=1, queue=1)),
    Budget("retryTask", "alice", "POST tasks/task/{failed_task}/retry", Cost(sql=3, cache=1, limits=1, queue=1)),
]
ADMIN_LISTS = {Task: AdminList(lambda number: make_task(make_user(f"user{number}")), sql=7)}


def make_rows(alice: Any) -> dict[str, str]:
    return {
        "task": make_task(alice).pk.hex,
        "failed_task": make_task(alice, status=Status.FAILED).pk.hex,
        "open_task": make_task().pk.hex,
        "open_failed_task": make_task(status=Status.FAILED).pk.hex,
    }
