"""
From a record to a message: `enqueue()` writes and sends, `send_due()` sends again what was lost.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache, partial
from itertools import takewhile
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from common import broker
from common.exceptions import Conflict
from common.outages import Outage

from . import counters, messages
from .functions import find_function
from .models import Status, Task
from .running import run

logger = logging.getLogger(__name__)
# Any number that nothing else locks: two beats do not sweep at once.
SWEEP_LOCK = 7_301_944
outage = Outage("Broker", "tasks are sent later")


def enqueue(
    function: Callable[..., Any],
    *args: Any,
    owner_id: int | None = None,
    queue_name: str | None = None,
    run_after: datetime | None = None,
    **kwargs: Any,
) -> Task:
    """
    Record a task for a worker and send it once the transaction has committed; one with `run_after` is sent when its time has come.

    It runs even if the broker or this process fails right after: what was not sent is sent by the sweep. A worker that dies has its task
    run anew, so a function may begin more than once; only one run records its end.
    """
    name = function.__name__
    queue = queue_name or find_function(name).options.queue
    return _record(function=name, args=list(args), kwargs=kwargs, owner_id=owner_id, queue_name=queue, run_after=run_after)


def retry(task: Task) -> Task:
    """
    Record a new task like this one, of the same owner; raises `Conflict` unless it failed or was cancelled.
    """
    if not task.may_retry:
        raise NotRetried
    return _record(function=task.function, args=task.args, kwargs=task.kwargs, owner_id=task.owner_id, queue_name=task.queue_name)


def cancel(task: Task) -> bool:
    """
    Cancel the task, running or not, and count that once it is committed; return `False` where it is finished.
    """
    is_cancelled = task.cancel()
    if is_cancelled:
        transaction.on_commit(partial(_count_cancelled, task), robust=True)
    return is_cancelled


def _count_cancelled(task: Task) -> None:
    # Who cancels waits for the answer, and need not wait for a broker that is away.
    if outage.is_paused:
        return
    try:
        counters.add_end(task, Status.CANCELLED)
    except RedisError as exc:
        outage.begin(exc)
    else:
        outage.end()


class NotRetried(Conflict):
    default_detail = "Only a failed or cancelled task can be retried."


def _record(**fields: Any) -> Task:
    task = Task.objects.create(request_id=structlog.contextvars.get_contextvars().get("request_id", ""), **fields)
    if task.run_after is None:
        is_run_here = not settings.QUEUE_ENABLED and find_function(task.function).options.runs_without_queue
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
        task = Task.objects.filter(pk=task_id, status=Status.QUEUED).first()
        if task is not None and task.run_after is not None:
            again = threading.Timer(max(0.1, (task.run_after - timezone.now()).total_seconds() + 0.1), _run_here, (task_id,))
            again.daemon = True
            again.start()
    finally:
        connections.close_all()


def send(task: Task) -> bool:
    """
    Send the task's message and return whether the broker took it. It tries once, for half a second, and not at all right after a failure.
    """
    is_sent = _publish(task)
    if is_sent:
        task.note_sent()
    return is_sent


def _publish(task: Task) -> bool:
    if not settings.QUEUE_ENABLED or outage.is_paused:
        return False
    try:
        messages.publish(task)
    except (OperationalError, RedisError, OSError) as exc:
        outage.begin(exc)
        return False
    outage.end()
    return True


def send_due() -> int:
    """
    Send what was not sent, what its broker lost and what a silent worker held; return how many messages that took.
    """
    try:
        lengths = broker.lengths()
    except RedisError as exc:
        outage.begin(exc)
        return 0
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        sent = list(takewhile(_publish, Task.objects.due(lengths).order_by("created_at")[:1000]))
        # Not before: a row that is noted stays locked to the end of the transaction, and whoever claims the task would wait for that.
        Task.note_all_sent(sent)
    return len(sent)


def give_back(worker: str) -> int:
    """
    Queue again at once what this worker has claimed and will not finish; return how many tasks that were.
    """
    tasks = [task for task in Task.objects.filter(worker=worker, status=Status.RUNNING) if task.give_back()]
    for task in tasks:
        send(task)
    return len(tasks)
