"""
Cached answers and their invalidation: `cached()` on a view's action, `invalidate("users:alice:posts:*")` in the model's write.

Keys are words separated by colons. Each prefix of a key has a version, and an entry is good only while it names the version of every one of
its prefixes; invalidating a prefix sets a new, unique version and costs one command however many entries it ends. A reader stores what it
computed under the versions it saw before it read the database, so that an answer that a write overtook is never served.
"""

import functools
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

from django.conf import settings
from django.core.cache import caches
from django.db import transaction
from django.http import HttpResponse
from redis import Redis
from redis.exceptions import RedisError

from .outages import Outage

logger = logging.getLogger(__name__)

# A write sets its mark before it commits and its new version after. A process that dies in between leaves the mark, which ends by itself.
MARK_SECONDS = 10
# A version that is lost costs misses only. It has to outlive a reader's way to the database and back; storing an entry renews it.
VERSION_SECONDS = 60
outage = Outage("Redis of the cache", "answering from the database")
PATTERN = re.compile(r"[^:*]+(:[^:*]+)*:\*")


def cached(
    key: str, *, expire: int = 3600, query: Callable[[Any], Mapping[str, Any] | None] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    Store what a view's action answers, under a key template over its path arguments and what `query` reads from the request.

    `query` returns the validated parameters, or `None` for a request that is not cached; what it does not return does not matter. Only
    status 200 is stored, for `expire` seconds. The answer may not depend on the caller. `X-Cache` says `hit`, `miss` or `off`.
    """

    def decorate(action: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(action)
        def wrapper(view: Any, request: Any, **path: Any) -> Any:
            parameters = query(request) if query else {}
            if parameters is None:
                return action(view, request, **path)
            values = {name: quote(str(value), safe="") for name, value in {**parameters, **path}.items()}
            entry = Entry(key.format(**values), expire)
            body = entry.read()
            if body is None:
                response = view.finalize_response(request, action(view, request, **path), **path).render()
                stored = response.status_code == 200 and entry.write(response.content)
                response["X-Cache"] = "miss" if stored else "off"
                return response
            response = HttpResponse(body, content_type="application/json")
            response["X-Cache"] = "hit"
            return response

        wrapper.is_cached = True  # type: ignore[attr-defined]
        return wrapper

    return decorate


class Entry:
    """
    One cached answer. `read()` first, then `write()` what was computed after it.

    `read()` fetches the version of the prefix `beside` in the same round trip, for a caller that keeps something else of its own.
    """

    def __init__(self, key: str, expire: int, *, beside: str = "") -> None:
        self.expire = expire
        self.beside = [_version_name(beside)] if beside else []
        self.beside_version: bytes | None = None
        words = key.split(":")
        self.version_names = [_version_name(":".join(words[:length])) for length in range(1, len(words))]
        self.name = f"entry:{key}"
        self.versions: bytes | None = None

    def read(self) -> bytes | None:
        """
        Return the stored body if it is still right, else `None`.
        """
        redis = None if outage.is_paused else connection()
        if redis is None:
            return None
        names = self.version_names + self.beside
        try:
            found = cast("list[bytes | None]", redis.mget([*names, self.name]))
            stored = found.pop()
            versions = _create_versions(redis, names, found) if None in found else cast("list[bytes]", found)
        except RedisError as exc:
            outage.begin(exc)
            return None
        outage.end()
        if self.beside and not _is_mark(beside := versions.pop()):
            self.beside_version = beside
        if any(map(_is_mark, versions)):
            return None
        self.versions = b"/".join(versions)
        if stored is None:
            return None
        versions_then, _, body = stored.partition(b"\n")
        return body if versions_then == self.versions else None

    def write(self, body: bytes) -> bool:
        """
        Store `body` and return whether that was possible.
        """
        redis = None if outage.is_paused else connection()
        if redis is None or self.versions is None:
            return False
        try:
            pipeline = redis.pipeline(transaction=False)
            pipeline.set(self.name, self.versions + b"\n" + body, ex=self.expire)
            for name in self.version_names:
                pipeline.expire(name, self.expire + VERSION_SECONDS, gt=True)
            pipeline.execute()
        except RedisError as exc:
            outage.begin(exc)
            return False
        return True


def _create_versions(redis: Redis, names: list[str], versions: list[bytes | None]) -> list[bytes]:
    pipeline = redis.pipeline(transaction=False)
    for name, version in zip(names, versions, strict=True):
        if version is None:
            pipeline.set(name, _unique(), ex=VERSION_SECONDS, nx=True)
    pipeline.mget(names)
    found: list[bytes | None] = pipeline.execute()[-1]
    # A version that is evicted between these two commands is replaced by one that nobody else will ever see.
    return [version if version is not None else _unique().encode() for version in found]


def _is_mark(version: bytes) -> bool:
    return version.startswith(b"mark:")


def invalidate(*patterns: str) -> None:
    """
    Make every answer under each prefix (`users:alice:posts:*`) be computed anew, once the transaction around this call has committed.

    Call it inside the transaction that writes. Until the commit, answers under the prefix are neither served from the cache nor stored;
    after a rollback that lasts up to `MARK_SECONDS`. Raises `ValueError` for a pattern that is no prefix.
    """
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is no prefix such as 'users:alice:*'.")
    names = [_version_name(pattern.removesuffix(":*")) for pattern in patterns]
    _set(names, f"mark:{_unique()}", MARK_SECONDS)
    transaction.on_commit(functools.partial(_renew, names), robust=True)


def _renew(names: list[str]) -> None:
    _set(names, _unique(), 24 * 3600)


def _set(names: list[str], value: str, seconds: int) -> None:
    redis = connection()
    if redis is None:
        return
    try:
        pipeline = redis.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, value, ex=seconds)
        pipeline.execute()
    except RedisError as exc:
        logger.error("Cache is away, answers under %s may be stale: %s", ", ".join(names), exc)


def _version_name(prefix: str) -> str:
    return f"version:{prefix}"


def _unique() -> str:
    # Never a counter: one that is evicted starts again and revives old entries.
    return uuid.uuid4().hex


def connection() -> Redis | None:
    """
    Return the client of the cache's Redis, or `None` with `CACHE_ENABLED=false`.
    """
    if not settings.CACHE_ENABLED:
        return None
    client: Redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    return client
