"""
Removal of what is over, so that tables stay in proportion to the work that is going on.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from common.housekeeping import BATCH, remove

from .idempotency import LIFETIME
from .models import UNFINISHED, IdempotencyKey, Task

logger = logging.getLogger(__name__)


def remove_old(batch: int = BATCH) -> tuple[int, int]:
    """
    Remove tasks that ended more than `TASK_RECORD_DAYS` ago, and idempotency keys that no longer hold; return how many of both.

    It may run at any time, and twice at once.
    """
    now = timezone.now()
    ended = Task.objects.exclude(status__in=UNFINISHED).filter(finished_at__lt=now - timedelta(days=settings.TASK_RECORD_DAYS))
    tasks = remove(ended, batch)
    keys = remove(IdempotencyKey.objects.filter(created_at__lt=now - LIFETIME), batch)
    logger.info("Removed what is over: %s tasks, %s idempotency keys", tasks, keys)
    return tasks, keys
