"""
What `manage.py check`, and so every start, says about cached views.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from .caching import CALLER, Caching

KEY = re.compile(r"[a-z_]+(:([\w.-]|\{[a-z_]+\})+)+")


@dataclass(frozen=True)
class CachedRoute:
    """
    A cached view's method as a route reaches it.
    """

    route: str
    view: Any
    handler: str
    method: str
    arguments: frozenset[str]

    @property
    def caching(self) -> Caching:
        caching: Caching = getattr(self.view, self.handler).caching
        return caching

    @property
    def name(self) -> str:
        return f"{type(self.view).__name__}.{self.handler}"


@register(Tags.urls)
def check_cached_views(*_: Any, **__: Any) -> list[CheckMessage]:
    """
    Refuse cached views whose answers would be mixed up, or shown to whom they are not for.
    """
    return cached_view_errors(get_resolver().url_patterns)


def cached_view_errors(patterns: Sequence[URLPattern | URLResolver]) -> list[CheckMessage]:
    errors = (error for route in _cached_routes(patterns, "", frozenset()) for error in _errors(route))
    # A view behind several routes may be wrong in one way.
    return list({(error.id, error.msg): error for error in errors}.values())


def _errors(route: CachedRoute) -> Iterator[Error]:
    caching = route.caching
    if not KEY.fullmatch(caching.key):
        yield _error(
            "E001",
            f"{route.name} is cached under {caching.key!r}, which is no key.",
            "Write words separated by colons, the first one fixed: 'users:{username}:posts:post_{id}'.",
        )
        return
    known = sorted({*route.arguments, *caching.query_names, CALLER})
    if unknown := sorted(caching.names - set(known)):
        yield _error(
            "E002",
            f"{route.name} is cached under {caching.key!r}, but {route.route} has no {' and no '.join(unknown)}.",
            f"Use one of: {', '.join(known)}. Query parameters are known if `query` names the serializer that declares them.",
        )
    if forgotten := sorted(route.arguments - caching.names):
        yield _error(
            "E003",
            f"{route.name} is cached under {caching.key!r}, which leaves {' and '.join(forgotten)} of {route.route} out.",
            "Name every argument of the path, or one answer is given for all of them.",
        )
    if not _is_open_to_anyone(route) and CALLER not in caching.names:
        yield _error(
            "E004",
            f"{route.name} is not open to anyone, but {caching.key!r} does not name the caller.",
            f"Put {{{CALLER}}} into the key, or one caller is shown another's answer.",
        )
    if caching.count and (not KEY.fullmatch(caching.count) or not caching.names >= caching.count_names):
        yield _error(
            "E006",
            f"{route.name} keeps the number of its rows under {caching.count!r}, which is no key, or names what {caching.key!r} does not.",
            f"Write words separated by colons, the first one fixed, with: {', '.join(sorted(caching.names)) or 'no names'}.",
        )
    if route.method != "get":
        yield _error(
            "E005", f"{route.name} is cached, but answers {route.method.upper()} at {route.route}.", "Cache what answers GET alone."
        )


def _error(code: str, message: str, hint: str) -> Error:
    return Error(message, hint=hint, id=f"common.{code}")


def _is_open_to_anyone(route: CachedRoute) -> bool:
    request = HttpRequest()
    request.method = route.method.upper()
    view = route.view
    view.action, view.request, view.args, view.kwargs = route.handler, Request(request), (), {}
    return all(type(permission) is AllowAny for permission in view.get_permissions())


def _cached_routes(patterns: Sequence[URLPattern | URLResolver], prefix: str, arguments: frozenset[str]) -> Iterator[CachedRoute]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        names = arguments | _arguments(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _cached_routes(pattern.url_patterns, route, names)
            continue
        view_class = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
        if view_class is None:
            continue
        actions = getattr(pattern.callback, "actions", None) or {name: name for name in view_class.http_method_names}
        for method, handler in actions.items():
            if method not in ("head", "options") and hasattr(getattr(view_class, handler, None), "caching"):
                view = view_class(**getattr(pattern.callback, "initkwargs", {}))
                yield CachedRoute(route, view, handler, method, names | frozenset(pattern.default_args))


def _arguments(pattern: Any) -> frozenset[str]:
    regex_names = pattern.regex.groupindex if hasattr(pattern, "_regex") else ()
    return frozenset(getattr(pattern, "converters", ())) | frozenset(regex_names)
