from celery import shared_task

from .replay import replay


@shared_task(name="common.replay_invalidations")
def replay_invalidations() -> None:
    replay()
