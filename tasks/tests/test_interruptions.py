"""
What becomes of a task whose function is interrupted in the middle of a statement.
"""

from typing import Any

import pytest
from django.db import connection

from common.tests.concurrency import backends
from common.tests.servers import wait_until

from ..models import Status, Task
from ..running import run
from ..services import enqueue
from . import functions

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 4
LATE = "Time limit: stopped after 0.5 s."


@pytest.fixture(autouse=True)
def named_connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """
    Have the connections of the test told from others'.
    """
    connection.close()
    monkeypatch.setenv("PGAPPNAME", "interrupted")
    yield
    connection.close()


def ran(function: Any, *args: Any) -> Task:
    task = enqueue(function, *args)
    run(str(task.pk))
    return Task.objects.get(pk=task.pk)


@pytest.mark.parametrize("function", [functions.slow_statement, functions.slow_statement_in_a_transaction])
def test_a_statement_over_the_time_limit_fails_the_first_attempt(function: Any) -> None:
    task = ran(function, SECONDS)

    assert (task.status, task.error, task.attempt) == (Status.FAILED, LATE, 1)
    assert "in sleep_in_the_database" in task.traceback


@pytest.mark.parametrize("function", [functions.slow_statement, functions.slow_statement_in_a_transaction])
def test_the_statement_ends_in_the_database_too(function: Any) -> None:
    ran(function, 60)

    wait_until(lambda: not backends("interrupted"), seconds=5, what="the statement to end")


def test_a_function_may_make_do_with_what_it_has() -> None:
    task = ran(functions.slow_statement_that_may_be_cut, SECONDS)

    assert (task.status, task.result, task.error) == (Status.SUCCEEDED, "what there was", None)


def test_the_next_task_of_the_process_runs() -> None:
    ran(functions.slow_statement, SECONDS)

    assert ran(functions.count_up, 1, 0).status == Status.SUCCEEDED
