"""
Cached views: `@cached("users:{username}:posts:post_{id}")` on a view's method or a viewset's action.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse

from .cache import Entry, word
from .counters import CACHE_ANSWERS
from .counts import count_entry
from .serializers import QuerySerializer

JSON = "application/json"
CALLER = "user_id"


@dataclass(frozen=True)
class Caching:
    """
    How a view's answers are cached; `common.checks` holds it against the routes.
    """

    key: str
    expire: int
    query: type[QuerySerializer] | None
    same_for_all: bool
    serve_expired: bool
    count: str
    action: Callable[..., Any]

    @functools.cached_property
    def names(self) -> frozenset[str]:
        return _names(self.key)

    @functools.cached_property
    def count_names(self) -> frozenset[str]:
        """
        Return what the key of the number of rows names.
        """
        return _names(self.count)

    @functools.cached_property
    def query_names(self) -> frozenset[str]:
        return frozenset(self.query().fields) if self.query else frozenset()

    def may_answer(self, request: Any) -> bool:
        return request.method in ("GET", "HEAD") and (self.same_for_all or self.may_store(request))

    def may_store(self, request: Any) -> bool:
        return CALLER in self.names or not request.user.is_authenticated

    def entry(self, query: Mapping[str, str], path: Mapping[str, Any], user_id: int | None) -> Entry | None:
        """
        Return the entry of this request; `None` where the query is wrong, which the view refuses in its own order, or gives a declared
        parameter that the key does not name.
        """
        given = {name: query[name] for name in self.query_names if name in query}
        if not self.names >= given.keys():
            return None
        parameters = _validated(self.query, frozenset(given.items())) if self.query else {}
        if parameters is None:
            return None
        values = {**parameters, CALLER: "anonymous" if user_id is None else user_id, **path}
        words = {name: word(values[name]) for name in self.names}
        companion = count_entry(self.count.format(**words)) if self.count else None
        return Entry(self.key.format(**words), self.expire, companion=companion, serve_expired=self.serve_expired)


def _names(key: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(key) if name is not None)


def cached(
    key: str,
    *,
    expire: int = 3600,
    query: type[QuerySerializer] | None = None,
    same_for_all: bool = False,
    serve_expired: bool = False,
    count: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    Store what a view answers, for `expire` seconds, under a key template over its path arguments, the parameters that `query` declares and
    `{user_id}`, the caller. The first word is the group that the answers belong to.

    Only status 200 in JSON is stored, its body alone, and only what an anonymous caller was answered, unless the key names the caller.
    Signed-in callers of a key that does not name them are served with `same_for_all`, which says that the answer depends on nobody; else
    theirs is computed. With `serve_expired`, whoever would wait for an entry to be computed is served one that ran out of time, but never
    one that was invalidated. `count` is the key under which a list keeps the number of its rows: it is read together with the answer, for
    the view to find as `count_entry`.

    Requests that may be answered so carry `X-Cache`: `hit`, `miss`, `stale`, or `off` where nothing could be read or stored.
    """

    def decorate(action: Callable[..., Any]) -> Callable[..., Any]:
        caching = Caching(key, expire, query, same_for_all, serve_expired, count, action)

        @functools.wraps(action)
        def wrapper(view: Any, request: Any, **path: Any) -> Any:
            # What the fast path did not find; asked for once, it is not there for what the action calls.
            entry = vars(request._request).pop("looked_up", None)
            if entry is None and caching.may_answer(request):
                entry = caching.entry(request.query_params, path, request.user.pk)
            if entry is None:
                return action(view, request, **path)
            view.count_entry = next(iter(entry.companions), None)
            may_store = caching.may_store(request)
            body, result = entry.read_or_claim() if may_store else (entry.peek(), "hit")
            if body is None:
                response, result = _compute(entry, may_store, view, lambda: _rendered(view, request, action(view, request, **path), path))
            else:
                response = HttpResponse(body, content_type=JSON)
            response["X-Cache"] = result
            CACHE_ANSWERS.labels(f"{type(view).__name__}.{action.__name__}", result).inc()
            return response

        wrapper.caching = caching  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _compute(entry: Entry, may_store: bool, view: Any, answer: Callable[[], HttpResponse]) -> tuple[HttpResponse, str]:
    is_possible = entry.is_open
    try:
        response = answer()
        if may_store and getattr(view, "may_be_stored", True) and _is_storable(response):
            is_possible = entry.write(response.content)
    finally:
        entry.release()
    return response, "miss" if is_possible else "off"


def _rendered(view: Any, request: Any, response: HttpResponse, path: dict[str, Any]) -> HttpResponse:
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        response = view.finalize_response(request, response, **path).render()
    return response


def _is_storable(response: HttpResponse) -> bool:
    is_json = response.get("Content-Type", "").partition(";")[0] == JSON
    return response.status_code == 200 and is_json and not response.cookies and not response.streaming


@functools.lru_cache(maxsize=4096)
def _validated(query: type[QuerySerializer], given: frozenset[tuple[str, str]]) -> dict[str, Any] | None:
    # Remembered, so that a hit runs no serializer.
    serializer = query(data=dict(given))
    return dict(serializer.validated_data) if serializer.is_valid() else None
