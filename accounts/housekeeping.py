"""
Removal of what is over, so that tables stay in proportion to the sessions that live.
"""

import logging
from importlib import import_module

from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from common.housekeeping import BATCH, remove

from .models import Session

logger = logging.getLogger(__name__)


def remove_expired(batch: int = BATCH) -> tuple[int, int]:
    """
    Remove sessions that have been over for a day, and tokens past their expiry, blacklisted or not; return how many of both.

    Sessions of the admin's visitors go too. It may run at any time, and twice at once.
    """
    sessions = remove(Session.objects.over(), batch)
    tokens = remove(OutstandingToken.objects.filter(expires_at__lt=timezone.now()), batch)
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    logger.info("Removed what is over: %s sessions, %s tokens", sessions, tokens)
    return sessions, tokens
