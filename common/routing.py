"""
Paths of the API: each works with and without one trailing slash, and is known under a stored form.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache, partial
from typing import Any

from django.conf import settings
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver
from django.urls.conf import _path  # type: ignore[attr-defined]
from django.urls.resolvers import RoutePattern

API_PREFIX = "api/v1/"


class OptionalSlashPattern(RoutePattern):
    """
    A route that matches with and without its trailing slash, with no redirect: a POST that is redirected loses its body.
    """

    def match(self, path: str) -> Any:
        if str(self).endswith("/"):
            return super().match(path if path.endswith("/") else f"{path}/")
        return super().match(path.removesuffix("/"))


path = partial(_path, Pattern=OptionalSlashPattern)


@lru_cache(maxsize=2048)
def resolved(path_info: str, urlconf: str) -> ResolverMatch:
    """
    Return what a path leads to, or raise `Resolver404`. It is remembered: going through the patterns takes longer than many a view.
    """
    return get_resolver(urlconf).resolve(path_info)


def api_routes() -> Iterator[str]:
    """
    Yield every route below `/api/v1/` as Django writes it, such as `api/v1/user/<str:username>`.
    """
    yield from (route for route, _ in api_patterns())


def api_patterns() -> Iterator[tuple[str, URLPattern]]:
    """
    Yield every route below `/api/v1/` together with its pattern.
    """

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, URLPattern]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif route.startswith(API_PREFIX):
                yield route, pattern

    yield from walk(get_resolver(settings.ROOT_URLCONF).url_patterns, "")


@cache
def route_named(name: str) -> str:
    """
    Return the route of the API that bears a name, the same wherever the project is mounted; raises `StopIteration` where none does.
    """
    return next(route for route, pattern in api_patterns() if pattern.name == name)


@lru_cache(maxsize=1024)
def readable(route: str) -> str:
    """
    Return a route as people write it: `api/v1/user/<str:username>` is `api/v1/user/{username}`.
    """
    return re.sub(r"[<{](?:\w+:)?(\w+)[>}]", r"{\1}", route)


@lru_cache(maxsize=1024)
def stored_form(route: str) -> str:
    """
    Return a route's name in rate limits: `api/v1/user/<str:username>` is `api_v1_user_{username}`.
    """
    return readable(route).strip("/").replace("/", "_")


@cache
def first_path_words() -> frozenset[str]:
    """
    Return the fixed words that may follow `/api/v1/`; a user of such a name would be hidden behind a route.
    """
    words = {route.removeprefix(API_PREFIX).split("/")[0] for route in api_routes()}
    return frozenset(word for word in words if word and "<" not in word)
