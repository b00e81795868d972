"""
What the worker knows: the entry points that messages name, and the functions of this app that run in the background.
"""

import time

from celery import shared_task

from . import services
from .services import background_task


@shared_task(name="tasks.run")
def run(task_id: str) -> None:
    services.run(task_id)


@shared_task(name="tasks.sweep")
def sweep() -> None:
    services.send_due()


@background_task
def sample_background_task(message: str) -> str:
    """
    Take about five seconds and return a sentence.
    """
    time.sleep(5)
    return f"Task {message} is complete!"
