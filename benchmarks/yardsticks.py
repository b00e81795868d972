"""
What the API is held against, on the same gunicorn: a bare WSGI application, and the same with one GET from Redis.

`gunicorn benchmarks.yardsticks:plain`, with `BENCH_REDIS_URL` in the environment; `benchmarks.bare_django` is another one.
"""

import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

BODY = b'{"message": "hello"}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


@cache
def _redis() -> Any:
    from redis import Redis  # After the fork: no connection is shared.

    return Redis.from_url(os.environ["BENCH_REDIS_URL"])


def plain(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/redis":
        _redis().get("hello")
    start_response("200 OK", HEADERS)
    return [BODY]
