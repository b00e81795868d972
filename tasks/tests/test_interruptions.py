"""
What becomes of a task whose function is interrupted in the middle of a statement, or loses its connection to the database.
"""

import signal
import sys
import types
from typing import Any

import pytest
from django.db import connection

from common.tests.servers import wait_until

from ..models import Status, Task
from ..running import run
from ..services import enqueue
from ..watch import Watch, Watcher, _watcher
from . import functions

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60
LATE = "Time limit: stopped after 0.5 s."


def ran(function: Any, *args: Any) -> Task:
    task = enqueue(function, *args)
    run(str(task.pk))
    return Task.objects.get(pk=task.pk)


def sleepers() -> list[int]:
    """
    Return the server's processes that sleep so long.
    """
    active = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE %s"
    with connection.cursor() as cursor:
        cursor.execute(active, [f"SELECT pg_sleep({SECONDS}%"])
        return [pid for (pid,) in cursor.fetchall()]


@pytest.mark.parametrize("function", [functions.slow_statement, functions.slow_statement_in_a_transaction])
def test_a_statement_over_the_time_limit_fails_the_first_attempt(function: Any) -> None:
    task = ran(function, SECONDS)

    assert (task.status, task.error, task.attempt) == (Status.FAILED, LATE, 1)
    assert "in sleep_in_the_database" in task.traceback


@pytest.mark.parametrize("function", [functions.slow_statement, functions.slow_statement_in_a_transaction])
def test_the_statement_ends_in_the_database_too(function: Any) -> None:
    task = ran(function, SECONDS)

    # It was interrupted while it waited for the answer.
    assert "in sleep_in_the_database" in task.traceback
    assert "in wait" in task.traceback
    wait_until(lambda: not sleepers(), what="the statement to end")


def test_a_function_may_make_do_with_what_it_has() -> None:
    task = ran(functions.slow_statement_that_may_be_cut, SECONDS)

    assert (task.status, task.result, task.error) == (Status.SUCCEEDED, "what there was", None)


def test_a_function_that_outlives_its_connection_ends_as_it_does() -> None:
    kept = ran(functions.lose_the_database_and_go_on)
    failed = ran(functions.lose_the_database_and_fail)

    assert (kept.status, kept.result) == (Status.SUCCEEDED, "it went on")
    assert (failed.status, failed.error) == (Status.FAILED, "ValueError: it went on")


def test_a_transaction_that_lost_its_connection_is_no_success() -> None:
    task = ran(functions.lose_the_database_in_a_transaction)

    assert (task.status, task.attempt) == (Status.FAILED, 1)


@pytest.mark.parametrize(("event", "of"), [("return", Watcher.add), ("call", Watch.__exit__)], ids=["begins", "ends"])
def test_one_that_is_interrupted_as_it_begins_or_ends_is_left_alone_afterwards(event: str, of: types.FunctionType) -> None:
    def interrupt(frame: types.FrameType, kind: str, _: Any) -> None:
        if kind == event and frame.f_code is of.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGUSR2)

    sys.setprofile(interrupt)
    task = ran(functions.count_up, 1, 0)

    assert (task.status, task.error) == (Status.FAILED, "Time limit: stopped after 300 s.")
    assert task not in [watch.task for watch in _watcher.watches]


def test_the_next_task_of_the_process_runs() -> None:
    ran(functions.slow_statement, SECONDS)

    assert ran(functions.count_up, 1, 0).status == Status.SUCCEEDED
