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
from .redis_commands import commands_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

calls: list[str] = []
computing = threading.Event()
may_end = threading.Event()
nine = threading.Barrier(9)


class SlowView(View):
    permission_classes = (AllowAny,)

    @cached("slow:{name}:one")
    def get(self, request: Request, name: str) -> Response:
        calls.append(name)
        computing.set()
        may_end.wait(0.5)
        return Response({"calls": len(calls)})


class MissingView(View):
    permission_classes = (AllowAny,)

    @cached("missing:all")
    def get(self, request: Request) -> Response:
        calls.append("missing")
        if len(calls) > 1:
            nine.wait(20)
        else:
            may_end.wait(0.5)
        raise NotFound


class ExpiringView(View):
    permission_classes = (AllowAny,)

    @cached("expiring:{name}:one", expire=3600, serve_expired=True)
    def get(self, request: Request, name: str) -> Response:
        calls.append(name)
        computing.set()
        may_end.wait(60)
        return Response({"calls": len(calls)})


urlpatterns = [
    path("slow/<str:name>", SlowView.as_view()),
    path("missing", MissingView.as_view()),
    path("expiring/<str:name>", ExpiringView.as_view()),
]


@pytest.fixture(autouse=True)
def nothing_called() -> Iterator[None]:
    calls.clear()
    computing.clear()
    may_end.clear()
    nine.reset()
    yield
    may_end.set()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let a machine that stalls for a while take no caller's time to wait.
    """
    for name in ("LOCK_SECONDS", "NOBODY_SECONDS"):
        monkeypatch.setattr(f"common.cache.{name}", 60)


def test_one_computes_and_the_others_wait(patient: None) -> None:
    answers = at_once(*[lambda: APIClient().get("/slow/a")] * 30)

    assert calls == ["a"]
    assert sorted(answer["X-Cache"] for answer in answers) == ["hit"] * 29 + ["miss"]


def test_nobody_waits_long_for_what_is_not_there(patient: None) -> None:
    at_once(*[lambda: APIClient().get("/missing")] * 10)

    # The first one, then all others at once: each of the nine waited for the eight.
    assert len(calls) == 10


def test_whoever_waited_too_long_computes(client: APIClient) -> None:
    redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    redis.set("lock:slow:a:one", "somebody who died", px=60_000)
    may_end.set()
    started = time.monotonic()

    with commands_of("default") as commands:
        assert client.get("/slow/a").json() == {"calls": 1}

    assert time.monotonic() - started >= 2
    assert redis.get("lock:slow:a:one") == b"somebody who died"
    # It looks ten times a second at the end: after the two seconds of the promise and not after three, however slow the machine.
    assert commands.count("MGET") <= 30


def test_an_entry_that_ran_out_of_time_is_served_while_another_is_computed(client: APIClient, patient: None) -> None:
    fill_and_expire(client)
    computed = threading.Thread(target=lambda: APIClient().get("/expiring/a"))
    computed.start()
    assert computing.wait(30)

    response = client.get("/expiring/a")
    may_end.set()
    computed.join(30)

    assert (response["X-Cache"], response.json()) == ("stale", {"calls": 1})
    assert client.get("/expiring/a").json() == {"calls": 2}


def test_one_that_was_invalidated_is_never(client: APIClient, patient: None) -> None:
    fill_and_expire(client)
    with transaction.atomic():
        invalidate("expiring:a:*")
    computed = threading.Thread(target=lambda: APIClient().get("/expiring/a"))
    computed.start()
    assert computing.wait(30)
    threading.Timer(0.3, may_end.set).start()

    response = client.get("/expiring/a")
    computed.join(30)

    assert (response["X-Cache"], response.json()) == ("hit", {"calls": 2})


def fill_and_expire(client: APIClient) -> None:
    """
    Store an answer, and set back the time at which it ends by all that it has.
    """
    may_end.set()
    assert [client.get("/expiring/a")["X-Cache"] for _ in range(2)] == ["miss", "hit"]
    redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    head, _, body = redis.get("entry:expiring:a:one").partition(b"\n")
    versions, _, ends = head.rpartition(b" ")
    assert redis.ttl("entry:expiring:a:one") > 3600
    redis.set("entry:expiring:a:one", b"%s %d\n%s" % (versions, int(ends) - 3_600_000, body), keepttl=True)
    computing.clear()
    may_end.clear()
