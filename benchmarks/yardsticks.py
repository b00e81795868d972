"""
What the API is held against, on the same gunicorn: a bare WSGI application, the same with one GET from Redis, and a bare Django view.

`gunicorn benchmarks.yardsticks:plain` and `gunicorn benchmarks.yardsticks:django_view`, with `BENCH_REDIS_URL` in the environment.
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


@cache
def _django() -> Any:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def hello(_: HttpRequest) -> HttpResponse:
        return HttpResponse(BODY, content_type="application/json")

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(path("", hello), path("health", hello)), SECRET_KEY="none")  # noqa: S106
    return WSGIHandler()


def django_view(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    answer: Iterable[bytes] = _django()(environ, start_response)
    return answer
