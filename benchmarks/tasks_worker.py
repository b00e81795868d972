"""
What the worker of `benchmarks.tasks` runs: nothing, with a record and without.
"""

from celery import shared_task

from common import broker
from tasks.functions import background_task

COUNTER = "benchmark-counter"


@background_task
def nothing() -> None:
    pass


@shared_task(name="benchmarks.bare", ignore_result=True)
def bare() -> None:
    # Somebody has to know that it has ended.
    broker.connection().incr(COUNTER)
