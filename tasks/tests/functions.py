"""
Functions for tests, which a worker knows when it is started with `--include tasks.tests.functions`.
"""

import contextlib
import time
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.admin.models import ADDITION, LogEntry
from django.db import OperationalError, connection

from ..functions import background_task
from ..watch import check_cancelled, current_attempt, progress

INCLUDE = ("--include", "tasks.tests.functions")


@background_task
def write_row(user_id: int, name: str, seconds: float = 0) -> str:
    """
    Write a row, and take a while before that is committed.
    """
    LogEntry.objects.create(user_id=user_id, action_flag=ADDITION, object_repr=name)
    time.sleep(seconds)
    return name


@background_task
def write_row_and_stay_at_first(user_id: int, name: str, seconds: float) -> str:
    """
    Do so in the first attempt alone.
    """
    return write_row(user_id, name, seconds if current_attempt() == 1 else 0)


@background_task
def write_row_and_fail(user_id: int, name: str) -> None:
    write_row(user_id, name)
    raise ValueError("after the row")


@background_task
def count_up(steps: int, seconds: float) -> int:
    """
    Obey between the steps.
    """
    for step in range(steps):
        progress(step, steps)
        time.sleep(seconds / steps)
    return steps


@background_task(atomic=False)
def write_row_at_the_end(user_id: int, name: str) -> None:
    for _ in range(100):
        check_cancelled()
        time.sleep(0.1)
    write_row(user_id, name)


@background_task
def deaf(seconds: float) -> None:
    """
    Never ask whether it was cancelled.
    """
    time.sleep(seconds)


@background_task(retry_on=(ConnectionError,), max_retries=2, backoff=0.01)
def fail_until(attempt: int) -> int:
    if current_attempt() < attempt:
        raise ConnectionError("not yet")
    return current_attempt()


@background_task
def give(value: Any) -> Any:
    values = {"nan": float("nan"), "object": object(), "nul": "a\x00b", "surrogate": "\ud800", "large": "x" * 10_000_001}
    return values.get(value, value) if isinstance(value, str) else value


@background_task
def fail(text: str) -> None:
    raise ValueError({"odd": "no\x00\ud800"}.get(text, text))


@background_task(soft_time_limit=1, time_limit=60)
def too_slow() -> None:
    time.sleep(60)


def sleep_in_the_database(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


@background_task(soft_time_limit=0.5, time_limit=60, atomic=False)
def slow_statement(seconds: float) -> None:
    sleep_in_the_database(seconds)


@background_task(soft_time_limit=0.5, time_limit=60)
def slow_statement_in_a_transaction(seconds: float) -> None:
    sleep_in_the_database(seconds)


@background_task(soft_time_limit=0.5, time_limit=60, atomic=False)
def slow_statement_that_may_be_cut(seconds: float) -> str:
    with contextlib.suppress(SoftTimeLimitExceeded):
        sleep_in_the_database(seconds)
    return "what there was"


def lose_the_database() -> str:
    with contextlib.suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return "it went on"


@background_task(atomic=False)
def lose_the_database_and_go_on() -> str:
    return lose_the_database()


@background_task(atomic=False)
def lose_the_database_and_fail() -> None:
    raise ValueError(lose_the_database())


@background_task
def lose_the_database_in_a_transaction() -> str:
    return lose_the_database()


@background_task(soft_time_limit=1, time_limit=2)
def much_too_slow() -> None:
    for _ in range(60):
        with contextlib.suppress(SoftTimeLimitExceeded):
            time.sleep(1)
