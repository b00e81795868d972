"""
The broker's Redis beside Celery: how many messages lie in its queues, who consumes them, and whether it might lose any.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .redis_client import ThreadRedis

# How redis-py and kombu write the URL of a server on a Unix socket; all other URLs are the same for both.
WRITTEN = (("unix://", "redis+socket://"), ("?db=", "?virtual_host="))
TIMEOUT_SECONDS = 0.5
# A worker shows every few seconds that it consumes; one that was silent for this long does not.
SILENT_AFTER_SECONDS = 15
# Messages of tasks yield to those of the schedule, which would otherwise wait behind a backlog for as long as it lasts: 0 comes first.
TASK_PRIORITY = 3


class Consumer(NamedTuple):
    queue: str
    worker: str
    seconds_ago: float


def broker_url(redis_url: str) -> str:
    """
    Return what kombu calls the server that redis-py knows by this URL.
    """
    for for_redis, for_kombu in WRITTEN:
        redis_url = redis_url.replace(for_redis, for_kombu)
    return redis_url


def connection() -> Redis:
    return _connection(settings.CELERY_BROKER_URL)


@lru_cache(maxsize=8)
def _connection(url: str) -> Redis:
    for for_redis, for_kombu in WRITTEN:
        url = url.replace(for_kombu, for_redis)
    # One try: who asks has a request to answer.
    return ThreadRedis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0), health_check_interval=0
    )


def lengths() -> dict[str, int]:
    """
    Return how many messages lie in each queue.
    """
    pipeline = connection().pipeline(transaction=False)
    for queue in settings.TASK_QUEUES:
        # As kombu's Redis transport names the list of a priority.
        pipeline.llen(queue)
        pipeline.llen(f"{queue}\x06\x16{TASK_PRIORITY}")
    counts = pipeline.execute()
    return {queue: counts[2 * index] + counts[2 * index + 1] for index, queue in enumerate(settings.TASK_QUEUES)}


def note_consumer(worker: str, queues: Iterable[str]) -> None:
    """
    Record that this worker was just seen to consume these queues.
    """
    now = _now()
    pipeline = connection().pipeline(transaction=False)
    for queue in queues:
        pipeline.zadd(_name(queue), {worker: now})
        pipeline.zremrangebyscore(_name(queue), 0, now - 3600)
    pipeline.execute()


def forget_consumer(worker: str) -> None:
    """
    Record that this worker has left.
    """
    pipeline = connection().pipeline(transaction=False)
    for queue in settings.TASK_QUEUES:
        pipeline.zrem(_name(queue), worker)
    pipeline.execute()


def consumers() -> list[Consumer]:
    """
    Return which worker was lately seen to consume which queue.
    """
    now = _now()
    pipeline = connection().pipeline(transaction=False)
    for queue in settings.TASK_QUEUES:
        pipeline.zrangebyscore(_name(queue), now - SILENT_AFTER_SECONDS, "+inf", withscores=True)
    found = zip(settings.TASK_QUEUES, pipeline.execute(), strict=True)
    return [Consumer(queue, worker.decode(), max(0.0, now - seen)) for queue, workers in found for worker, seen in workers]


def unconsumed() -> list[str]:
    """
    Say of each queue that no worker consumes that none does.
    """
    consumed = {consumer.queue for consumer in consumers()}
    return [f"No worker consumes {queue}." for queue in settings.TASK_QUEUES if queue not in consumed]


def hazards() -> list[str]:
    """
    Say whether the broker might drop messages when its memory is full.

    A policy of `volatile-…` takes none, for no key that a task needs expires.
    """
    memory: Any = connection().info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if not policy.startswith("allkeys-"):
        return []
    return [f"The broker's Redis may drop messages: its maxmemory-policy is {policy} and has to be noeviction."]


def _name(queue: str) -> str:
    return f"consumers:{queue}"


def _now() -> float:
    # On Redis' clock: those of the workers may differ.
    seconds, microseconds = connection().time()
    return float(seconds) + float(microseconds) / 1_000_000
