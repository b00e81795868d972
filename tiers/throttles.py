from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from django.urls import ResolverMatch
from rest_framework.request import Request

from common.routing import stored_form
from common.throttling import RateThrottle

from .models import Rules

_stored_form = lru_cache(maxsize=1024)(stored_form)
_rules = Rules()


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
        tier_id = getattr(request.user, "tier_id", None)
        rate = _rules.rate_for(tier_id, self.get_name(request, view), getattr(request.user, "limits_version", None)) if tier_id else None
        if rate is None and getattr(view, "is_limited_by_default", False):
            limit, period = settings.DEFAULT_RATE_LIMIT
            return limit, period
        return rate

    def get_name(self, request: Request, view: Any) -> str:
        return _stored_form(cast("ResolverMatch", request.resolver_match).route)

    def may_hold(self, view: Any) -> bool:
        # Whom no authenticator tells apart has no tier.
        return bool(view.get_authenticators()) or getattr(view, "is_limited_by_default", False)

    def allow_request(self, request: Request, view: Any) -> bool:
        is_admitted = super().allow_request(request, view)
        if self.usage is not None:
            request._request.rate_limit_usage = self.usage  # type: ignore[attr-defined]
        return is_admitted
