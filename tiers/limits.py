"""
Which limits hold for a user, and what of them is used.
"""

from functools import cache
from typing import Any

from django.conf import settings

from common.routing import api_patterns, stored_form
from common.throttling import Limit, Usage, read, reset, user_subject

from .rules import rules
from .throttles import TierThrottle


def usages_of(user: Any) -> list[Usage]:
    """
    Return each limit that holds for a user now, with what is used of it, ordered by route; none with `RATE_LIMIT_ENABLED=false`.
    """
    return read(user_subject(user.pk), limits_of(user))


def reset_usages(user: Any) -> bool:
    """
    Let a user begin anew with all of their limits; return whether that was done: not while Redis is away.
    """
    return reset(user_subject(user.pk), limits_of(user))


def limits_of(user: Any) -> list[Limit]:
    """
    Return the limits of a user's tier, and the default on the routes limited by default where the tier has none.
    """
    if not settings.RATE_LIMIT_ENABLED:
        return []
    tier = rules.of_user(user)
    rates = tier.rates if tier else {}
    found = []
    for path, is_limited_by_default in _limitable_routes().items():
        rate = rates.get(path) or (settings.DEFAULT_RATE_LIMIT if is_limited_by_default else None)
        if rate is not None:
            found.append(Limit(path, *rate))
    return found


@cache
def _limitable_routes() -> dict[str, bool]:
    """
    Return, ordered and in stored form, the routes on which users are held to limits, and whether the default holds there.

    Left out are those that know nobody, such as the login: no limit of a tier can be met there.
    """
    found: dict[str, bool] = {}
    for route, pattern in api_patterns():
        callback: Any = pattern.callback
        for action in set((getattr(callback, "actions", None) or {"": None}).values()):
            view = callback.cls(**callback.initkwargs)
            view.action = action
            if view.get_authenticators() and any(isinstance(throttle, TierThrottle) for throttle in view.get_throttles()):
                path = stored_form(route)
                found[path] = found.get(path, False) or getattr(view, "is_limited_by_default", False)
    return dict(sorted(found.items()))
