"""
The message that tells a worker of a task: Celery's own, published on connections that stay open.
"""

import os
import uuid
from collections import deque
from typing import cast

from celery import current_app
from kombu import Connection, Producer

from common import broker

from .functions import find_function
from .models import Task

NAME = "tasks.run"
# What Celery does itself where this process cannot: see `Watch`.
STUCK_SECONDS = 15
# As many as threads have sent at once. Each is used by one thread at a time; adding and taking are atomic.
_idle: deque[Producer] = deque()
os.register_at_fork(after_in_child=_idle.clear)


def publish(task: Task) -> None:
    """
    Send the task's message, once and within half a second; raises what Redis or kombu raises where that fails.

    `send_task()` does the same and looks for its options, connection and queue anew each time, which takes four times as long.
    """
    amqp = current_app.amqp
    # Each message has an id of its own: Celery drops a second one of an id that was revoked.
    message = amqp.create_task_message(
        uuid.uuid4().hex,
        NAME,
        (str(task.pk),),
        time_limit=int(find_function(task.function).options.time_limit) + STUCK_SECONDS,
        argsrepr=f"({task.pk},)",
        kwargsrepr="{}",
        ignore_result=True,
    )
    producer = _take()
    try:
        # Nothing is declared: the worker does that, and a list in Redis need not be.
        amqp.send_task_message(producer, NAME, message, queue=task.queue_name, priority=broker.TASK_PRIORITY, declare=(), retry=False)
    except BaseException:
        cast("Connection", producer.connection).release()
        raise
    _idle.append(producer)


def _take() -> Producer:
    try:
        return _idle.pop()
    except IndexError:
        options = {**current_app.conf.broker_transport_options, "socket_timeout": broker.TIMEOUT_SECONDS}
        return Producer(current_app.connection_for_write(transport_options=options))
