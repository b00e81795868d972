"""
What a running function and its record tell each other: progress one way, cancellation and time limits the other.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connections

from . import counters
from .functions import Options
from .models import LEASE, Status, Task

logger = logging.getLogger(__name__)
# How often the record is looked at and progress is written.
TICK_SECONDS = 1.0
# How long a function has to obey its cancellation before its process is stopped.
GRACE_SECONDS = 3.0


class TaskCancelled(BaseException):
    """
    Raised in a function whose task was cancelled or taken over by another worker. Not an `Exception`: nothing swallows it by chance.
    """


_current: "ContextVar[Watch | None]" = ContextVar("current_task", default=None)


@contextmanager
def watched(watch: "Watch") -> Iterator[None]:
    token = _current.set(watch)
    try:
        yield
    finally:
        _current.reset(token)


def progress(done: float, total: float) -> None:
    """
    Note how much of the task is done, and raise `TaskCancelled` if it was cancelled. Call it as often as you like.

    It is written about once a second, in whole per cent, and never falls. Outside a task it does nothing.
    """
    watch = _current.get()
    if watch is not None:
        watch.progress = max(watch.progress, min(100, int(100 * done / total))) if total > 0 else watch.progress
        watch.check()


def check_cancelled() -> None:
    """
    Raise `TaskCancelled` if the task was cancelled, within about a second of that. Outside a task it does nothing.
    """
    watch = _current.get()
    if watch is not None:
        watch.check()


def current_attempt() -> int:
    """
    Return the number of this attempt, from 1; outside a task, 1.
    """
    watch = _current.get()
    return 1 if watch is None else watch.task.attempt


class Watch:
    """
    Renew the task's lease while its function runs, write its progress, and stop it when it is cancelled or over its time.

    A thread does so, on a database connection of its own: the function may hold a transaction.
    """

    def __init__(self, task: Task, options: Options, *, may_stop_process: bool) -> None:
        self.task = task
        self.options = options
        self.may_stop_process = may_stop_process
        self.progress = 0
        self.written = 0
        self.is_running = False
        self.is_late = False
        self.lost_at: float | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self.is_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        self.started = self.renewed = time.monotonic()
        if self.is_main:
            signal.signal(signal.SIGUSR2, self._interrupt)
        self.is_running = True
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        self.is_running = False
        self.over.set()
        self.thread.join()

    def check(self) -> None:
        """
        Raise what stops the function, if anything does.
        """
        if self.lost_at is not None:
            raise TaskCancelled
        if self.is_late and not self.is_main:
            raise SoftTimeLimitExceeded

    def _interrupt(self, number: int, frame: Any) -> None:
        if self.is_running:
            raise SoftTimeLimitExceeded

    def _watch(self) -> None:
        try:
            while not self.over.wait(min(TICK_SECONDS, self._until_limit())):
                self._enforce_limits()
                if self.lost_at is None:
                    self._look()
                elif time.monotonic() > self.lost_at + GRACE_SECONDS:
                    self._stop("it was cancelled or taken over, and did not stop by itself")
        finally:
            connections.close_all()

    def _until_limit(self) -> float:
        limit = self.options.time_limit if self.is_late else self.options.soft_time_limit
        return max(0.01, self.started + limit - time.monotonic())

    def _look(self) -> None:
        now = time.monotonic()
        try:
            if self.progress > self.written or now > self.renewed + LEASE.total_seconds() / 3:
                percent = self.progress
                is_mine = self.task.renew_lease(percent)
                self.written, self.renewed = percent, now
            else:
                is_mine = self.task.is_mine()
        except DatabaseError as exc:
            logger.warning("Record of task %s not reached: %s", self.task.pk.hex, exc)
            connections.close_all()
            return
        if not is_mine and not self.over.is_set():
            self.lost_at = now

    def _enforce_limits(self) -> None:
        age = time.monotonic() - self.started
        if age >= self.options.soft_time_limit and not self.is_late:
            self.is_late = True
            if self.is_main:
                # To that thread, so that a call which blocks it is interrupted.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
        elif age >= self.options.time_limit and self.may_stop_process:
            try:
                if self.task.finish(Status.FAILED, error=f"Time limit: its process was stopped after {self.options.time_limit:g} s."):
                    counters.count_end(self.task, Status.FAILED, age)
            except DatabaseError as exc:
                logger.warning("Record of task %s not reached: %s", self.task.pk.hex, exc)
            self._stop("it is over its time limit")

    def _stop(self, reason: str) -> None:
        """
        End this process at once, if it is one of a worker's: the worker starts another, and no other task is in it.
        """
        if self.may_stop_process and not self.over.is_set():
            logger.error("Task %s is stopped with its process: %s", self.task.function, reason)
            os.kill(os.getpid(), signal.SIGKILL)
