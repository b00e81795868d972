"""
Where Celery's worker and beat look, as they start, whether the database has connections for all processes.
"""

from typing import Any

from celery import bootsteps
from celery.beat import PersistentScheduler
from django.conf import settings

from .database import warn_of_too_few_connections


class ConnectionsStep(bootsteps.Step):
    """
    A part of Celery's worker, from before it forks the processes that run tasks.
    """

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        warn_of_too_few_connections(settings.ENV, task_processes=parent.concurrency)


class Scheduler(PersistentScheduler):
    """
    Celery's own scheduler. It needs no connection itself, but the processes that run what it sends do.
    """

    def setup_schedule(self) -> None:
        warn_of_too_few_connections(settings.ENV)
        super().setup_schedule()
