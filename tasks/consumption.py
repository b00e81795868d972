"""
What a worker does beside its tasks: prove that it consumes, replace itself if it does not, and give back what it will not finish.

A living process proves nothing: after a broken connection a worker may live on without ever taking a message. So each worker sends itself
a message every few seconds, by a queue of its own that it waits for in the same command as for the others.
"""

import logging
import os
import signal
import sys
import threading
import time
from typing import Any, cast

from billiard.process import active_children
from celery import bootsteps
from celery.worker import state
from django.db import DatabaseError, connections
from kombu import Consumer, Producer, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from common import broker

from .running import worker_name
from .services import give_back

logger = logging.getLogger(__name__)
PROOF_SECONDS = 3.0
# A worker that has not consumed for this long, although the broker answers, will not do so any more.
REPLACE_AFTER_SECONDS = 20.0
# A container is given ten seconds to stop, unless somebody says otherwise.
STOP_SECONDS = 8.0


class ConsumptionStep(bootsteps.StartStopStep):
    """
    A part of Celery's consumer: started anew with each connection to the broker, while its thread lives as long as the worker.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.consumer: Any = parent
        self.worker = worker_name()
        self.proof_queue = f"proof.{self.worker}"
        self.queues: list[str] = []
        self.proven_at = self.complete_at = time.monotonic()
        self.thread: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        queue = Queue(self.proof_queue, durable=False, auto_delete=True)
        Consumer(parent.connection.default_channel, [queue], callbacks=[self._on_proof], no_ack=True).consume()
        if self.thread is None:
            self.queues = list(parent.app.amqp.queues.consume_from)
            self.thread = threading.Thread(target=self._watch, name="consumption", daemon=True)
            self.thread.start()

    def _on_proof(self, body: Any, message: Any) -> None:
        self.proven_at = time.monotonic()

    def _watch(self) -> None:
        is_warned = False
        self.complete_at = looked_at = time.monotonic()
        while not _is_stopping():
            if time.monotonic() > looked_at + 2 * PROOF_SECONDS:
                # The process itself stood still, and could consume nothing.
                self.complete_at = time.monotonic()
            looked_at = time.monotonic()
            is_warned = is_warned or self._warn()
            try:
                self._send_proof()
                consumed = self._consumed()
                if consumed:
                    broker.note_consumer(self.worker, consumed)
            except (RedisError, OperationalError, OSError):
                # While the broker is away nobody can consume; Celery connects again by itself.
                self.complete_at = time.monotonic()
            else:
                if set(self.queues) <= set(consumed):
                    self.complete_at = time.monotonic() if self._is_busy() else max(self.complete_at, self.proven_at)
                if time.monotonic() > self.complete_at + REPLACE_AFTER_SECONDS:
                    self._replace()
            time.sleep(PROOF_SECONDS / 3)
        self._leave()

    def _warn(self) -> bool:
        """
        Return whether the broker was there to say what is wrong with it.
        """
        try:
            for sentence in broker.hazards():
                logger.warning(sentence)
        except (RedisConnectionError, RedisTimeoutError):
            return False
        except RedisError as exc:
            logger.warning("Broker does not say whether it keeps all messages: %s", exc)
        return True

    def _send_proof(self) -> None:
        if time.monotonic() < self.proven_at + PROOF_SECONDS:
            return
        with self.consumer.app.connection_for_write() as connection:
            Producer(connection.default_channel).publish("", routing_key=self.proof_queue, retry=False)
        # What a worker that was killed leaves behind.
        broker.connection().expire(self.proof_queue, 60)

    def _consumed(self) -> list[str]:
        """
        Return the queues whose messages reach this worker, or would if it were not busy.
        """
        consumer = self.consumer.task_consumer
        if consumer is None or not (self._is_busy() or time.monotonic() < self.proven_at + 3 * PROOF_SECONDS):
            return []
        return [queue for queue in self.queues if consumer.consuming_from(queue)]

    def _is_busy(self) -> bool:
        return len(state.active_requests) >= int(self.consumer.pool.num_processes)

    def _replace(self) -> None:
        """
        Become a new worker: the same process, so that whoever watches over it sees no end.
        """
        logger.critical("No messages reach this worker although the broker answers: it replaces itself")
        self._give_back()
        _kill_children()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the command that started this process

    def _leave(self) -> None:
        """
        Have the rest of the worker finish its tasks, for `STOP_SECONDS` at most, then give back what is left and end.
        """
        try:
            broker.forget_consumer(self.worker)
        except RedisError as exc:
            logger.warning("Broker is away: %s", exc)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            # The process ends, and this thread with it, as soon as nothing runs any more.
            time.sleep(0.1)
        self._give_back()
        _kill_children()
        logging.shutdown()
        os._exit(0)

    def _give_back(self) -> None:
        try:
            if count := give_back(self.worker):
                logger.warning("Tasks given back to the queue: %s", count)
        except DatabaseError as exc:
            logger.error("Tasks are given back when their lease ends: %s", exc)
        finally:
            connections.close_all()


def _kill_children() -> None:
    for child in active_children():
        os.kill(cast("int", child.pid), signal.SIGKILL)


def _is_stopping() -> bool:
    # An exit status of 0 is a reason to stop too.
    return any(reason is not None and reason is not False for reason in (state.should_stop, state.should_terminate))
