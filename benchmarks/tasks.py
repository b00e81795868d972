"""
Measure what the record of a task costs: `python -m benchmarks.tasks`.

It starts a PostgreSQL, a Valkey and one worker with 4 processes of its own. 1,000 tasks that do nothing are queued and finished, through
`enqueue()` with a record, and as bare Celery tasks without one, in turn. It prints the best rate of each, the median of the processor time
that a task takes, by who takes it, and the ratio of both kinds.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import django

from . import processes, seeds
from .servers import Servers, background, servers

TASKS, PROCESSES, ROUNDS = 1000, 4, 5
RECORD, BARE = "with a record", "bare Celery"


class Round(NamedTuple):
    """
    Tasks a second, and microseconds of processor time a task.
    """

    rate: float
    starter_us: float
    worker_us: float
    postgres_us: float
    valkey_us: float

    @property
    def total_us(self) -> float:
        return sum(self[1:])


@contextmanager
def worker(running: Servers) -> Iterator[int]:
    """
    Run a worker, and yield its process once it consumes.
    """
    command = ("celery", "--app", "config", "worker", "--include", "benchmarks.tasks_worker", "--concurrency", str(PROCESSES))
    with background(running, (*command, "--loglevel", "info"), "worker", {"LOG_LEVEL": "WARNING"}) as process:
        from common import broker

        deadline = time.monotonic() + 60
        while broker.unconsumed():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The worker did not start: {(running.directory / 'worker.log').read_text()}")
            time.sleep(0.05)
        yield process.pid


def measure(running: Servers, pid: int, start: Callable[[], object], ended: Callable[[], int]) -> Round:
    """
    Start the tasks, wait for the last to end, and see what that took of each kind of process.
    """
    kinds = ([os.getpid()], [pid, *processes.children(pid)], running.postgres_pids(), running.valkey_pids())
    before = list(map(processes.cpu_seconds, kinds))
    goal, began = ended() + TASKS, time.monotonic()
    for _ in range(TASKS):
        start()
    while ended() < goal:
        time.sleep(0.005)
    rate = TASKS / (time.monotonic() - began)
    taken = [now - then for now, then in zip(map(processes.cpu_seconds, kinds), before, strict=True)]
    return Round(rate, *(seconds / TASKS * 1e6 for seconds in taken))


def compare(running: Servers, pid: int) -> dict[str, list[Round]]:
    """
    Measure both kinds in turn; what a first round warms up is not counted.
    """
    from common import broker
    from tasks import counters
    from tasks.models import Status, Task
    from tasks.services import enqueue

    from .tasks_worker import COUNTER, bare, nothing

    def recorded() -> int:
        # Counted in Redis after the commit, so that asking for it weighs the same for both.
        return int(broker.connection().hget(counters.KEY, f"ended {nothing.__name__} {Status.SUCCEEDED}") or 0)

    def counted() -> int:
        return int(broker.connection().get(COUNTER) or 0)

    rounds: dict[str, list[Round]] = {RECORD: [], BARE: []}
    for _ in range(ROUNDS + 1):
        rounds[RECORD].append(measure(running, pid, lambda: enqueue(nothing), recorded))
        rounds[BARE].append(measure(running, pid, bare.delay, counted))
    if Task.objects.filter(status=Status.SUCCEEDED).count() != TASKS * (ROUNDS + 1):
        raise SystemExit("Not every task has its record.")
    return {name: found[1:] for name, found in rounds.items()}


def show(found: dict[str, list[Round]]) -> None:
    print(f"{'':14} {'tasks/s':>8}   µs of processor time a task: {'starter':>8} {'worker':>8} {'postgres':>8} {'valkey':>8} {'all':>8}")
    medians, best = {}, {}
    for name, rounds in found.items():
        best[name] = max(each.rate for each in rounds)
        medians[name] = Round(*map(statistics.median, zip(*rounds, strict=True)))
        times = " ".join(f"{microseconds:8.0f}" for microseconds in (*medians[name][1:], medians[name].total_us))
        print(f"{name:14} {best[name]:8.0f} {'':31} {times}")
    print(f"{'ratio':14} {best[RECORD] / best[BARE]:8.2f} {'':67} {medians[BARE].total_us / medians[RECORD].total_us:8.2f}")


def main() -> None:
    with servers() as running:
        os.environ.update(running.environment, DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="WARNING")
        seeds.migrate(running)
        django.setup()
        with worker(running) as pid:
            show(compare(running, pid))


if __name__ == "__main__":
    main()
