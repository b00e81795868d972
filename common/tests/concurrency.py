"""
How tests make things happen at once, on database connections of their own.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction

from common.tests.servers import wait_until


def in_thread(function: Callable[[], Any], pool: ThreadPoolExecutor) -> "Future[Any]":
    def run() -> Any:
        try:
            return function()
        finally:
            connections.close_all()

    return pool.submit(run)


@contextmanager
def in_background(function: Callable[[], Any]) -> Iterator["Future[Any]"]:
    """
    Call the function from another thread while the block runs.
    """
    with ThreadPoolExecutor(1) as pool:
        yield in_thread(function, pool)


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """
    Call the functions from as many threads, released together, and return what they returned.
    """
    barrier = threading.Barrier(len(functions))

    def released(function: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        calls = [in_thread(lambda function=function: released(function), pool) for function in functions]  # type: ignore[misc]
        return [call.result(30) for call in calls]


@contextmanager
def overtaken_by(write: Callable[[], object]) -> Iterator[Callable[[Callable[[], Any]], "Future[Any]"]]:
    """
    Hold a write that is done and not committed while a call begins that sees nothing of it and has to wait for it; commit at the end.
    """
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        write()

        def begin(function: Callable[[], Any]) -> "Future[Any]":
            call = in_thread(function, pool)
            wait_until(lambda: call.done() or waiting(), what="the call to meet the lock")
            return call

        yield begin


def waiting() -> int:
    """
    Return how many other connections of this database wait for a row, a table or an advisory lock.

    Other databases of the server are other runs' of the suite; the server's own processes, and who waits for a file to grow, wait for none.
    """
    locks = "('transactionid', 'tuple', 'relation', 'advisory')"
    return len(_backends(f"backend_type = 'client backend' AND wait_event_type = 'Lock' AND wait_event IN {locks}"))


def backends(application_name: str) -> list[int]:
    """
    Return the server's processes behind the other connections that were opened with this `PGAPPNAME`.

    Whoever counts connections opens them with a name of their own: servers that tests share keep some too.
    """
    return _backends("application_name = %s", application_name)


def _backends(condition: str, *values: str) -> list[int]:
    with connection.cursor() as cursor:
        # A transaction would see again what it saw first.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        cursor.execute(f"{others} AND {condition}", values)
        return [pid for (pid,) in cursor.fetchall()]
