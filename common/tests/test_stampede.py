"""
Who computes an answer that many ask for at once, and what the others are given.
"""

import threading
import time
from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.db import transaction
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from common.cache import invalidate
from common.caching import cached
from common.routing import path
from common.views import View

from .concurrency import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

calls: list[str] = []
computing = threading.Event()
may_end = threading.Event()


class SlowView(View):
    permission_classes = (AllowAny,)

    @cached("slow:{name}:one")
    def get(self, request: Request, name: str) -> Response:
        calls.append(name)
        computing.set()
        may_end.wait(0.5)
        if name == "missing":
            raise NotFound
        return Response({"calls": len(calls)})


class ExpiringView(View):
    permission_classes = (AllowAny,)

    @cached("expiring:{name}:one", expire=1, serve_expired=True)
    def get(self, request: Request, name: str) -> Response:
        calls.append(name)
        computing.set()
        may_end.wait(5)
        return Response({"calls": len(calls)})


urlpatterns = [
    path("slow/<str:name>", SlowView.as_view()),
    path("expiring/<str:name>", ExpiringView.as_view()),
]


@pytest.fixture(autouse=True)
def nothing_called() -> Iterator[None]:
    calls.clear()
    computing.clear()
    may_end.clear()
    yield
    may_end.set()


def test_one_computes_and_the_others_wait() -> None:
    answers = at_once(*[lambda: APIClient().get("/slow/a")] * 30)

    assert calls == ["a"]
    assert sorted(answer["X-Cache"] for answer in answers) == ["hit"] * 29 + ["miss"]


def test_nobody_waits_long_for_what_is_not_there() -> None:
    started = time.monotonic()

    at_once(*[lambda: APIClient().get("/slow/missing")] * 10)

    # The first one, then all others at once.
    assert time.monotonic() - started < 2


def test_whoever_waited_too_long_computes(client: APIClient) -> None:
    redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    redis.set("lock:slow:a:one", "somebody who died", px=60_000)
    started = time.monotonic()

    assert client.get("/slow/a").json() == {"calls": 1}
    assert 2 <= time.monotonic() - started < 4


def test_an_entry_that_ran_out_of_time_is_served_while_another_is_computed(client: APIClient) -> None:
    fill_and_expire(client)
    computed = threading.Thread(target=lambda: APIClient().get("/expiring/a"))
    computed.start()
    computing.wait(5)

    response = client.get("/expiring/a")
    may_end.set()
    computed.join(10)

    assert (response["X-Cache"], response.json()) == ("stale", {"calls": 1})
    assert client.get("/expiring/a").json() == {"calls": 2}


def test_one_that_was_invalidated_is_never(client: APIClient) -> None:
    fill_and_expire(client)
    with transaction.atomic():
        invalidate("expiring:a:*")
    computed = threading.Thread(target=lambda: APIClient().get("/expiring/a"))
    computed.start()
    computing.wait(5)
    threading.Timer(0.3, may_end.set).start()

    response = client.get("/expiring/a")
    computed.join(10)

    assert (response["X-Cache"], response.json()) == ("hit", {"calls": 2})


def fill_and_expire(client: APIClient) -> None:
    may_end.set()
    assert client.get("/expiring/a")["X-Cache"] == "miss"
    time.sleep(1.1)
    computing.clear()
    may_end.clear()
