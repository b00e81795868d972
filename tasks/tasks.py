"""
What the worker knows: the entry points that messages name, and the functions of this app that run in the background.
"""

import time

from celery import shared_task
from django.db import close_old_connections, connection

from . import housekeeping, running, services
from .functions import background_task
from .watch import progress


@shared_task(name="tasks.run")
def run(task_id: str) -> None:
    # Celery leaves the connection open between tasks: opening one costs more than a short task.
    close_old_connections()
    # Whether it still works shows when the task is claimed; asking before each costs as much as claiming it.
    connection.health_check_done = True  # type: ignore[attr-defined]
    running.run(task_id)


@shared_task(name="tasks.sweep")
def sweep() -> None:
    close_old_connections()
    services.send_due()


@shared_task(name="tasks.remove_old_records")
def remove_old_records() -> None:
    close_old_connections()
    housekeeping.remove_old()


@background_task
def sample_background_task(message: str) -> str:
    """
    Take about five seconds and return a sentence.
    """
    for second in range(5):
        progress(second, 5)
        time.sleep(1)
    return f"Task {message} is complete!"
