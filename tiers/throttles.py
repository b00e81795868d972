import logging
import threading
import time
from typing import Any

from django.conf import settings
from rest_framework.request import Request

from common.routing import stored_form
from common.throttling import RateThrottle

from .rules import rules

logger = logging.getLogger(__name__)


class Seldom:
    """
    Say at most once in `seconds` for each of at most `most` keys that it is time.
    """

    def __init__(self, seconds: float = 60, most: int = 1000) -> None:
        self.seconds = seconds
        self.most = most
        self.lock = threading.Lock()
        self.said_at: dict[tuple[str, str], float] = {}

    def is_time(self, key: tuple[str, str]) -> bool:
        now = time.monotonic()
        with self.lock:
            if now < self.said_at.get(key, -self.seconds) + self.seconds:
                return False
            if len(self.said_at) >= self.most:
                self.said_at = {then: at for then, at in self.said_at.items() if now < at + self.seconds}
            if len(self.said_at) >= self.most:
                return False
            self.said_at[key] = now
            return True


_warnings = Seldom()


class TierThrottle(RateThrottle):
    """
    Hold each user to the rate limit of their tier for the route, all methods together.

    Anonymous callers, users without a tier and routes for which the tier has none are held to the default, where the view asks for it by
    `is_limited_by_default = True`.
    """

    is_told = True

    def get_rate(self, request: Request, view: Any) -> tuple[int, int] | None:
        if not settings.RATE_LIMIT_ENABLED:
            return None
        tier = rules.of_user(request.user)
        self.tier_name = tier.name if tier else "(none)" if request.user.is_authenticated else "(anonymous)"
        path = self.get_name(request, view)
        rate = tier.rates.get(path) if tier else None
        if rate is None and self.has_default(view):
            if request.user.is_authenticated:
                _warn(path, tier.name if tier else "", request.user.pk)
            limit, period = settings.DEFAULT_RATE_LIMIT
            return limit, period
        return rate

    def get_name(self, request: Request, view: Any) -> str:
        match = request.resolver_match
        return stored_form(match.route) if match else ""

    def may_hold(self, view: Any) -> bool:
        # Whom no authenticator tells apart has no tier.
        return bool(view.get_authenticators()) or self.has_default(view)

    def may_hold_anonymous(self, view: Any) -> bool:
        return self.has_default(view)

    def has_default(self, view: Any) -> bool:
        return bool(getattr(view, "is_limited_by_default", False))


def _warn(path: str, tier: str, user_id: int) -> None:
    """
    Tell whoever watches the log, once a minute for each tier and route, where a default stands in for a limit that nobody set.
    """
    if not _warnings.is_time((path, tier)):
        return
    if tier:
        logger.warning("Tier %s has no limit for %s: the default held", tier, path)
    else:
        logger.warning("User %s has no tier: the default held on %s", user_id, path)
