"""
Removal of what is over, so that tables stay in proportion to the sessions that live.
"""

import logging
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from .models import Session

logger = logging.getLogger(__name__)
BATCH = 1000


def remove_expired(batch: int = BATCH) -> tuple[int, int]:
    """
    Remove sessions that have been over for a day, and tokens past their expiry, blacklisted or not; return how many of both.

    Sessions of the admin's visitors go too. It may run at any time, and twice at once.
    """
    sessions = _remove(Session.objects.over(), batch)
    tokens = _remove(OutstandingToken.objects.filter(expires_at__lt=timezone.now()), batch)
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    logger.info("Removed what is over: %s sessions, %s tokens", sessions, tokens)
    return sessions, tokens


def _remove(rows: QuerySet[Any], batch: int) -> int:
    """
    Remove the rows in short statements, in the order of their keys: each look begins where the last one ended.
    """
    removed = 0
    rows = rows.order_by("pk")
    keys = list(rows.values_list("pk", flat=True)[:batch])
    while keys:
        removed += rows.model.objects.filter(pk__in=keys).delete()[1].get(rows.model._meta.label, 0)
        keys = list(rows.filter(pk__gt=keys[-1]).values_list("pk", flat=True)[:batch])
    return removed
