"""
How tests get along with the delay that failures begin: it lasts a second at first, and a machine may take longer over the next request.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from django.core.cache import caches
from redis.exceptions import RedisError

from accounts import guessing

T = TypeVar("T")


def held(answer: T, *, seconds: int = 3600) -> T:
    """
    Return the answer to a guess, once every delay that has begun goes on for so long from now, in Redis and in this process.
    """
    microseconds = seconds * 1_000_000
    # Where Redis is away, nothing is kept there.
    with suppress(RedisError):
        for key in _delayed():
            _redis().hset(key, "until", redis_now() + microseconds)
    names = guessing._local.names
    for name, (failures, until, forgotten_at) in names.items():
        if until:
            names[name] = (failures, time.time_ns() // 1000 + microseconds, forgotten_at)
    return answer


def pass_the_delay() -> None:
    """
    Let the delay of every name be over, as if its seconds had gone by.
    """
    for key in _delayed():
        _redis().hdel(key, "until")


def refused_until() -> int:
    """
    Return the moment up to which the one name is refused that is, in microseconds of Redis' clock.
    """
    (key,) = _delayed()
    return int(_redis().hget(key, "until"))


def redis_now() -> int:
    seconds, microseconds = _redis().time()
    return int(seconds) * 1_000_000 + int(microseconds)


def _redis() -> Any:
    return caches["throttle"].client.get_client()  # type: ignore[attr-defined]


def _delayed() -> Iterator[bytes]:
    return (key for key in _redis().keys("guess:*") if not key.endswith(b":known") and _redis().hexists(key, "until"))
