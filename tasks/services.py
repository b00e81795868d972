"""
From a record to a message and back: `enqueue()` writes and sends, `run()` claims and executes, `send_due()` sends again what was lost.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from .models import LEASE, MAX_ATTEMPTS, Status, Task

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])
FUNCTIONS: dict[str, Callable[..., Any]] = {}
NEEDED_WITHOUT_QUEUE: set[Callable[..., Any]] = set()
# Any number that nothing else locks: two beats do not sweep at once.
SWEEP_LOCK = 7_301_944


def background_task(function: Function) -> Function:
    """
    Let `enqueue()` name this function. Its arguments and its result have to be JSON.
    """
    FUNCTIONS[function.__name__] = function
    return function


def needed_without_queue(function: Function) -> Function:
    """
    Have this function run in the process that enqueues it, in a thread beside the requests, where there is no queue
    (`QUEUE_ENABLED=false`); others wait for one.
    """
    NEEDED_WITHOUT_QUEUE.add(function)
    return function


def enqueue(function: Callable[..., Any], *args: Any, owner_id: int | None = None, queue_name: str = "default", **kwargs: Any) -> Task:
    """
    Record a task for a worker and send it once the transaction has committed.

    It runs even if the broker or this process fails right after: what was not sent is sent by the sweep. A worker that dies has its task
    run anew, so a function may run more than once; only one run records its end.
    """
    task = Task.objects.create(
        function=function.__name__,
        args=list(args),
        kwargs=kwargs,
        owner_id=owner_id,
        queue_name=queue_name,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
    )
    is_run_here = not settings.QUEUE_ENABLED and function in NEEDED_WITHOUT_QUEUE
    transaction.on_commit(partial(_run_here, str(task.pk)) if is_run_here else partial(send, task), robust=True)
    return task


def _run_here(task_id: str) -> None:
    # Beside the request, as a worker would: how long it takes tells the caller nothing, and a slow mail server holds nobody up.
    _beside().submit(_run_and_disconnect, task_id)


@cache
def _beside() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "tasks-without-queue")


def _run_and_disconnect(task_id: str) -> None:
    try:
        run(task_id)
    finally:
        connections.close_all()


def send(task: Task) -> bool:
    """
    Send the task's message and return whether the broker took it.
    """
    if not settings.QUEUE_ENABLED:
        return False
    try:
        # Each message has an id of its own: Celery drops a second one of an id that was revoked.
        current_app.send_task("tasks.run", [str(task.pk)], queue=task.queue_name, task_id=uuid.uuid4().hex, retry=False)
    except (OperationalError, OSError) as exc:
        logger.error("Broker is away, task %s is sent later: %s", task.pk.hex, exc)
        return False
    Task.objects.filter(pk=task.pk).update(sent_at=timezone.now())
    return True


def send_due() -> int:
    """
    Send what was not sent, what its broker lost and what a silent worker held; return how many messages that took.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        sent = 0
        for task in Task.objects.due().order_by("created_at")[:1000]:
            if not send(task):
                break
            sent += 1
    return sent


def run(task_id: str) -> None:
    """
    Claim the task, run its function and record how it ended.
    """
    task = Task.claim(task_id)
    if task is None:
        return
    with structlog.contextvars.bound_contextvars(request_id=task.request_id, task_id=task.pk.hex, user_id=task.owner_id):
        if task.attempt > MAX_ATTEMPTS:
            task.finish(Status.FAILED, error=f"Given up: the worker died in each of {MAX_ATTEMPTS} attempts.")
            return
        try:
            with Heartbeat(task):
                result = FUNCTIONS[task.function](*task.args, **task.kwargs)
            task.finish(Status.SUCCEEDED, result=result, progress=100)
        except Exception as exc:
            logger.exception("Task %s failed", task.function)
            task.finish(Status.FAILED, error=f"{type(exc).__name__}: {exc}")
        else:
            logger.info("Task %s finished", task.function)


class Heartbeat:
    """
    Renew the task's lease while its function runs.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        self.stopped.set()
        self.thread.join()

    def _beat(self) -> None:
        try:
            while not self.stopped.wait(LEASE.total_seconds() / 3):
                try:
                    if not self.task.renew_lease():
                        return
                except DatabaseError as exc:
                    logger.warning("Lease of task %s not renewed: %s", self.task.pk.hex, exc)
                    connections.close_all()
        finally:
            connections.close_all()
