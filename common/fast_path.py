"""
The fast path: an anonymous GET whose answer is stored is answered before DRF makes a request of it.

What DRF and the view would do first says nothing about such a call: nobody is to be authenticated, anyone may call, and no limit holds.
Where that is not known of a view, the call goes the long way. Every middleware is passed on either.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import AllowAny

from .caching import JSON, Caching
from .counters import CACHE_ANSWERS

# What is passed over; a view that has its own of one of these goes the long way.
PASSED_OVER = (
    "initialize_request", "initial", "perform_content_negotiation", "determine_version", "perform_authentication", "check_permissions",
    "check_throttles", "handle_exception", "finalize_response",
)  # fmt: skip
OF_EVERY_VIEW = ("common.views", "rest_framework.views", "rest_framework.viewsets")


class Shortcut(NamedTuple):
    """
    What is the same for each stored answer of a view.
    """

    caching: Caching
    name: str
    headers: dict[str, str]
    is_public: bool


# By the callable that the route names, as its options may make a view another one.
_shortcuts: dict[Callable[..., Any], Shortcut | None] = {}


def stored_answer(view: Any, request: HttpRequest) -> HttpResponse | None:
    """
    Return what is stored for this request, or `None` where nothing is, or the view has to be asked.

    What was looked up in vain is left in `request.looked_up`, so that Redis is not asked twice.
    """
    if request.method != "GET" or "HTTP_AUTHORIZATION" in request.META or request.META.get("CONTENT_LENGTH", "") not in ("", "0"):
        return None
    match = request.resolver_match
    if match is None:
        return None
    try:
        shortcut = _shortcuts[match.func]
    except KeyError:
        shortcut = _shortcuts[match.func] = _shortcut(view)
    if shortcut is None:
        return None
    entry = shortcut.caching.entry(request.GET, match.kwargs, None)
    if entry is None:
        return None
    body = entry.look_up()
    if body is None:
        request.looked_up = entry  # type: ignore[attr-defined]
        return None
    CACHE_ANSWERS.labels(shortcut.name, "hit").inc()
    response = HttpResponse(body, content_type=JSON, headers=shortcut.headers)
    response.is_public = shortcut.is_public  # type: ignore[attr-defined]
    return response


def _shortcut(view: Any) -> Shortcut | None:
    handler: Any = getattr(view, "get", None)
    caching: Caching | None = getattr(handler, "caching", None)
    # Another decorator around the cached function copies its attributes, but has something to say as well.
    if caching is None or handler.__wrapped__ is not caching.action:
        return None
    view.action = handler.__name__
    is_open = (
        all(type(permission) is AllowAny for permission in view.get_permissions())
        and all(getattr(authenticator, "reads_only_authorization", False) for authenticator in view.get_authenticators())
        and not any(getattr(throttle, "may_hold_anonymous", lambda _: True)(view) for throttle in view.get_throttles())
        and all(getattr(type(view), name).__module__ in OF_EVERY_VIEW for name in PASSED_OVER)
    )
    if not is_open:
        return None
    name = f"{type(view).__name__}.{caching.action.__name__}"
    return Shortcut(caching, name, {**view.default_response_headers, "X-Cache": "hit"}, view.is_public)
