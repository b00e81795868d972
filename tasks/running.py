"""
One run of a task in a worker: claim, watch, execute, record the end.
"""

import json
import logging
import os
import re
import signal
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from billiard import current_process
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection, transaction
from django.utils import timezone
from psycopg.pq import TransactionStatus

from . import counters
from .functions import Options, find_function
from .models import MAX_ERROR, MAX_LOSSES, MAX_TRACEBACK, Status, Task
from .watch import TaskCancelled, Watch, watched

logger = logging.getLogger(__name__)
# How long to ask the database to end a statement.
CANCEL_SECONDS = 2.0
MAX_RESULT_BYTES = 10_000_000
# What ends a process of the pool: systemd, honcho and a terminal send it to the worker's whole group.
ENDINGS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
# What PostgreSQL's JSON does not hold, unless the backslash itself is escaped.
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class ResultError(Exception):
    """
    The function returned what cannot be kept as JSON.
    """


class _OvertakenError(Exception):
    """
    The task is no longer this attempt's; what it wrote is rolled back.
    """


def in_pool() -> bool:
    """
    Say whether this is a process that a Celery worker forked to run tasks, one at a time.
    """
    return str(current_process().name).startswith("ForkPoolWorker")


def worker_name() -> str:
    """
    Name the worker that this process belongs to by its host and the process that consumes.
    """
    return f"{socket.gethostname()}:{os.getppid() if in_pool() else os.getpid()}"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """
    Let the signals pass that would end this process in the middle of a task: the worker gets them too, and knows how much time there is.

    Between tasks they end it, as Celery's pool expects when it shrinks.
    """
    # Not SIG_IGN, which a program that the function starts would inherit.
    handlers = [(number, signal.signal(number, _pass)) for number in ENDINGS]
    try:
        yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)


def _pass(number: int, frame: Any) -> None:
    pass


def run(task_id: str) -> None:
    """
    Claim the task, run its function and record how it ended.
    """
    with _uninterrupted() if in_pool() else nullcontext():
        _run(task_id)


def _run(task_id: str) -> None:
    task = _claim(task_id)
    if task is None:
        return
    with structlog.contextvars.bound_contextvars(request_id=task.request_id, task_id=task.pk.hex, user_id=task.owner_id):
        function = find_function(task.function)
        if task.losses >= MAX_LOSSES:
            if task.finish(Status.FAILED, error=f"Given up: the worker died in each of {MAX_LOSSES} attempts."):
                counters.count_end(task, Status.FAILED, 0)
            return
        started = time.monotonic()
        status = _attempt(task, function.call, function.options)
        if status is not None:
            counters.count_end(task, status, time.monotonic() - started)


def _claim(task_id: str) -> Task | None:
    """
    Claim the task, on a new connection to the database if the open one does not work any more.
    """
    worker = worker_name()
    try:
        return Task.claim(task_id, worker)
    except (OperationalError, InterfaceError):
        close_old_connections()
        return Task.claim(task_id, worker)


def _attempt(task: Task, call: Any, options: Options) -> Status | None:
    """
    Run the function once and return the status that this attempt gave to the record, or `None` if the task is no longer its own.
    """
    watch = Watch(task, options, may_stop_process=in_pool())
    try:
        with _transaction(options):
            try:
                with watch, watched(watch):
                    result = call(*task.args, **task.kwargs)
            finally:
                # An interruption while it is entered or left would leave it with the watcher.
                watch.end()
                _leave_connection_usable()
            if not task.finish(Status.SUCCEEDED, result=_storable(result), progress=100, error=None, traceback=""):
                raise _OvertakenError
    except (TaskCancelled, _OvertakenError):
        logger.info("Task %s was cancelled or taken over", task.function)
        return None
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever a function raises, its record says so
        return _fail(task, exc, options)
    logger.info("Task %s finished", task.function)
    return Status.SUCCEEDED


def _transaction(options: Options) -> AbstractContextManager[Any]:
    return transaction.atomic() if options.atomic else nullcontext()


def _leave_connection_usable() -> None:
    """
    Give up a connection that takes no other statement, so that the record is written on a new one.

    The function was interrupted in the middle of a statement, which is ended in the database too, or it lost the connection. A transaction
    that was open on it is rolled back.
    """
    raw = connection.connection
    if raw is None or (state := raw.info.transaction_status) not in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN):
        return
    if state == TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            raw.cancel_safe(timeout=CANCEL_SECONDS)
    connection.close()


def _fail(task: Task, exc: BaseException, options: Options) -> Status | None:
    if isinstance(exc, DatabaseError):
        # The connection may be what failed; the record of that needs one that works.
        close_old_connections()
    is_late = isinstance(exc, SoftTimeLimitExceeded)
    error = f"Time limit: stopped after {options.soft_time_limit:g} s." if is_late else f"{type(exc).__name__}: {exc}"
    values: dict[str, Any] = {
        "error": _storable_text(error)[:MAX_ERROR],
        "traceback": _storable_text("".join(traceback.format_exception(exc)))[-MAX_TRACEBACK:],
    }
    if isinstance(exc, options.retry_on) and task.retries < options.max_retries:
        pause = options.pause(task.retries)
        logger.warning("Task %s failed, next attempt in %.1f s: %s", task.function, pause, type(exc).__name__)
        task.give_back(timezone.now() + timedelta(seconds=pause), retries=task.retries + 1, **values)
        return None
    logger.error("Task %s failed", task.function, exc_info=exc)
    return Status.FAILED if task.finish(Status.FAILED, **values) else None


def _storable(result: Any) -> Any:
    """
    Return the result, or raise `ResultError` that says why it cannot be kept.
    """
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as exc:
        raise ResultError(f"The result is not JSON: {exc}") from None
    if NUL.search(text):
        raise ResultError("The result holds a NUL character, which the database does not keep.")
    if size > MAX_RESULT_BYTES:
        raise ResultError(f"The result has {size} bytes; {MAX_RESULT_BYTES} are kept at most.")
    return result


def _storable_text(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
