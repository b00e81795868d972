"""
Counters and gauges of the tasks at `/metrics`.

How tasks ended and how long they took is added up in the broker's Redis by the workers, whose processes come and go, and by whoever cancels
a task. What waits is read from the records when it is asked for.
"""

import logging
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import cast

from django.conf import settings
from django.db import DatabaseError, models
from django.db.models.functions import Coalesce, Now
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from common import broker

from .functions import FUNCTIONS
from .models import Status, Task

logger = logging.getLogger(__name__)
KEY = "task-counters"
SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)
BUCKETS = (*(str(bound) for bound in SECONDS), "+Inf")
# In one command, of which five would take a worker longer than many a task.
COUNT = """
for index = 1, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[index], ARGV[index + 1]) end
"""


def count_end(task: Task, status: Status, seconds: float) -> None:
    """
    Count a task that ended, as `add_end()` does; a broker that does not take it is logged.
    """
    try:
        add_end(task, status, seconds)
    except RedisError as exc:
        logger.warning("End of task %s not counted: %s", task.pk.hex, exc)


def add_end(task: Task, status: Status, seconds: float | None = None) -> None:
    """
    Count a task that ended, for how many seconds its last attempt ran, unless it has not run to its end, and how long it had waited for
    its first; raises `RedisError` where the broker does not take it, and does nothing where there is none.
    """
    if not settings.QUEUE_ENABLED:
        return
    # Names that are in the code: whatever else is in a record must not make new series.
    function = task.function if task.function in FUNCTIONS else "unknown"
    queue = task.queue_name if task.queue_name in settings.TASK_QUEUES else "unknown"
    steps: list[tuple[str, float]] = [(f"ended {function} {status}", 1)]
    if seconds is not None:
        steps += _observed(f"run {function}", seconds)
    if task.attempt == 1 and task.started_at is not None:
        since = max(task.created_at, task.run_after or task.created_at)
        steps += _observed(f"wait {queue}", max(0.0, (task.started_at - since).total_seconds()))
    broker.connection().register_script(COUNT)([KEY], list(chain.from_iterable(steps)))


def _observed(name: str, seconds: float) -> list[tuple[str, float]]:
    bucket = next((bucket for bound, bucket in zip(SECONDS, BUCKETS, strict=False) if seconds <= bound), "+Inf")
    return [(f"{name} {bucket}", 1), (f"{name} sum", seconds)]


class TaskCollector(Collector):
    """
    What Prometheus is shown, computed when it asks.
    """

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        if not settings.QUEUE_ENABLED:
            return
        for families in (_counted, _waiting):
            try:
                yield from families()
            except (RedisError, DatabaseError) as exc:
                logger.warning("Counters of the tasks not read: %s", exc)


def _counted() -> list[Metric]:
    ended = CounterMetricFamily("tasks_ended", "Tasks that ended, by function and status.", labels=["function", "status"])
    run = HistogramMetricFamily("task_run_seconds", "How long the last attempt of a task ran.", labels=["function"])
    wait = HistogramMetricFamily("task_wait_seconds", "How long a task waited for its first attempt.", labels=["queue"])
    histograms: dict[tuple[str, str], dict[str, float]] = {}
    stored = cast("dict[bytes, bytes]", broker.connection().hgetall(KEY))
    for field, value in sorted(stored.items()):
        kind, name, rest = field.decode().split(" ")
        if kind == "ended":
            ended.add_metric([name, rest], float(value))
        else:
            histograms.setdefault((kind, name), {})[rest] = float(value)
    for (kind, name), values in histograms.items():
        totals = accumulate(values.get(bucket, 0) for bucket in BUCKETS)
        family = {"run": run, "wait": wait}[kind]
        family.add_metric([name], buckets=list(zip(BUCKETS, totals, strict=True)), sum_value=values.get("sum", 0))
    return [ended, run, wait]


def _waiting() -> list[Metric]:
    queued = GaugeMetricFamily("tasks_queued", "Tasks that a worker might take now.", labels=["queue"])
    oldest = GaugeMetricFamily("tasks_oldest_waiting_seconds", "For how long the oldest of them has waited.", labels=["queue"])
    running = GaugeMetricFamily("tasks_running", "Tasks that are running.", labels=["queue"])
    for queue, values in queues().items():
        queued.add_metric([queue], values["queued"])
        oldest.add_metric([queue], values["oldest"])
        running.add_metric([queue], values["running"])
    return [queued, oldest, running]


def queues() -> dict[str, dict[str, float]]:
    """
    Return, by queue, the number of tasks that wait and that run, and the seconds that the oldest has waited; one statement.
    """
    found = {queue: {"queued": 0.0, "running": 0.0, "oldest": 0.0} for queue in settings.TASK_QUEUES}
    since = models.functions.Greatest("created_at", Coalesce("run_after", "created_at"))
    is_waiting = models.Q(status=Status.QUEUED) & (models.Q(run_after=None) | models.Q(run_after__lte=Now()))
    rows = (
        Task.objects.unfinished()
        .order_by()
        .values("queue_name")
        .annotate(
            queued=models.Count("pk", filter=is_waiting),
            running=models.Count("pk", filter=models.Q(status=Status.RUNNING)),
            oldest=Now() - models.Min(since, filter=is_waiting),
        )
    )
    for row in rows:
        if row["queue_name"] in found:
            oldest = row["oldest"].total_seconds() if row["oldest"] else 0.0
            found[row["queue_name"]] = {"queued": row["queued"], "running": row["running"], "oldest": max(0.0, oldest)}
    return found
