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


class Watcher:
    """
    Look after the tasks that run in this process, in a thread that the first one starts.

    It is kept, for starting a thread takes longer than a short task, and it has a database connection of its own: a function may hold a
    transaction.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """
        Begin anew, as a process has to that was forked from this one: it has inherited no thread.
        """
        self.lock = threading.Lock()
        self.woken = threading.Event()
        self.watches: set[Watch] = set()
        self.thread: threading.Thread | None = None
        self.is_asleep = self.is_busy = False

    def add(self, watch: "Watch") -> None:
        with self.lock:
            self.watches.add(watch)
            self.is_busy = True
            # Awake, it comes by every `TICK_SECONDS`; so a task costs no change of threads, unless it may not wait that long.
            is_urgent = self.is_asleep or watch.next_at < watch.started + TICK_SECONDS
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self._watch, name="watch", daemon=True)
                self.thread.start()
        if is_urgent:
            self.woken.set()

    def remove(self, watch: "Watch") -> None:
        with self.lock:
            self.watches.discard(watch)
        if watch.is_looked_at:
            # The connection is closed when nobody needs it any more.
            self.woken.set()

    def _watch(self) -> None:
        while True:
            with self.lock:
                watches = list(self.watches)
                self.is_asleep = not watches and not self.is_busy
                self.is_busy = bool(watches)
            if not watches:
                connections.close_all()
            due = min((watch.next_at for watch in watches), default=0) - time.monotonic()
            self.woken.wait(None if self.is_asleep else min(TICK_SECONDS, max(0.01, due)) if watches else TICK_SECONDS)
            self.woken.clear()
            for watch in watches:
                try:
                    watch.step()
                except Exception:
                    # The others, and the tasks to come, are looked after all the same.
                    logger.exception("Task %s was not looked after", watch.task.pk.hex)


_watcher = Watcher()
os.register_at_fork(after_in_child=_watcher.forget)


class Watch:
    """
    Renew the task's lease while its function runs, write its progress, and stop it when it is cancelled or over its time.
    """

    def __init__(self, task: Task, options: Options, *, may_stop_process: bool) -> None:
        self.task = task
        self.options = options
        self.may_stop_process = may_stop_process
        self.progress = 0
        self.written = 0
        self.is_running = False
        self.is_late = False
        self.is_over = False
        self.is_looked_at = False
        self.lost_at: float | None = None
        # Held by the watcher while it acts, so that nothing is done to a task that has ended.
        self.lock = threading.Lock()
        self.is_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        self.started = self.renewed = time.monotonic()
        self.next_at = self.started + min(TICK_SECONDS, self.options.soft_time_limit)
        if self.is_main:
            signal.signal(signal.SIGUSR2, self._interrupt)
        self.is_running = True
        _watcher.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """
        Leave the task alone from now on; to say so twice does no harm.
        """
        self.is_running = False
        with self.lock:
            self.is_over = True
        _watcher.remove(self)

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

    def step(self) -> None:
        """
        Do what is due; what fails is tried again when the next step is.
        """
        with self.lock:
            if self.is_over or time.monotonic() < self.next_at:
                return
            try:
                self._enforce_limits()
                if self.lost_at is None:
                    self._look()
                elif time.monotonic() > self.lost_at + GRACE_SECONDS:
                    self._stop("it was cancelled or taken over, and did not stop by itself")
            finally:
                self.next_at = self._next()

    def _next(self) -> float:
        now = time.monotonic()
        limit = self.started + (self.options.time_limit if self.is_late else self.options.soft_time_limit)
        return min(now + TICK_SECONDS, max(now + 0.01, limit))

    def _look(self) -> None:
        self.is_looked_at = True
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
        if not is_mine:
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
        if self.may_stop_process:
            logger.error("Task %s is stopped with its process: %s", self.task.function, reason)
            os.kill(os.getpid(), signal.SIGKILL)
