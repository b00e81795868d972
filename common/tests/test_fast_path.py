"""
Where the fast path is taken, nothing shows it; where a view has more to say, it is not taken.
"""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.throttling import BaseThrottle

from common.caching import cached
from common.routing import path
from common.throttling import RateThrottle
from common.views import View

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

seen: list[str] = []


class OpenView(View):
    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        seen.append("initial")
        super().initial(request, *args, **kwargs)


class PlainView(View):
    permission_classes = (AllowAny,)

    @cached("plain:{name}:one", same_for_all=True)
    def get(self, request: Request, name: str) -> Response:
        seen.append("computed")
        return Response({"name": name})


class OwnInitialView(OpenView):
    @cached("initial:all", same_for_all=True)
    def get(self, request: Request) -> Response:
        return Response({})


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        seen.append("watched")
        return function(*args, **kwargs)

    return wrapper


class DecoratedView(View):
    permission_classes = (AllowAny,)

    @_watched
    @cached("decorated:all", same_for_all=True)
    def get(self, request: Request) -> Response:
        return Response({})


class CookieAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        seen.append("authenticated")
        user = get_user(request._request)
        return (user, None) if user.is_authenticated else None


class OwnAuthenticationView(View):
    permission_classes = (AllowAny,)
    authentication_classes = (CookieAuthentication,)

    @cached("authenticated:{user_id}:all")
    def get(self, request: Request) -> Response:
        return Response({"caller": request.user.pk})


class ThreeCalls(RateThrottle):
    is_told = True

    def get_rate(self, request: Request, view: Any) -> tuple[int, int]:
        return 3, 31_536_000

    def get_name(self, request: Request, view: Any) -> str:
        return "three"


class LimitedView(View):
    permission_classes = (AllowAny,)
    throttle_classes = (ThreeCalls,)

    @cached("limited:all", same_for_all=True)
    def get(self, request: Request) -> Response:
        return Response({})


class OddThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        seen.append("throttled")
        return True


class OddView(LimitedView):
    throttle_classes = (OddThrottle,)  # type: ignore[assignment]


class NestedView(View):
    permission_classes = (AllowAny,)

    @cached("nested:inner", same_for_all=True)
    def inner(self, request: Request) -> Response:
        return Response({"from": "inner"})

    @cached("nested:outer", same_for_all=True)
    def get(self, request: Request) -> Response:
        self.inner(request)
        return Response({"from": "outer"})


def _decorated_view(request: Any, **path: Any) -> Any:
    seen.append("view")
    return plain(request, **path)


plain = PlainView.as_view()
urlpatterns = [
    path("plain/<str:name>", plain),
    path("wrapped/<str:name>", functools.wraps(plain)(_decorated_view)),
    path("initial", OwnInitialView.as_view()),
    path("decorated", DecoratedView.as_view()),
    path("authenticated", OwnAuthenticationView.as_view()),
    path("limited", LimitedView.as_view()),
    path("odd", OddView.as_view()),
    path("nested", NestedView.as_view()),
]


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def test_a_hit_has_every_header_of_the_answer_that_was_stored(client: APIClient) -> None:
    first = client.get("/plain/a", headers={"X-Request-ID": "one"})
    second = client.get("/plain/a", headers={"X-Request-ID": "two"})

    assert (first["X-Cache"], second["X-Cache"], second["X-Request-ID"]) == ("miss", "hit", "two")
    told = {"X-Cache", "X-Request-ID"}
    assert {name: value for name, value in second.items() if name not in told} == {
        name: value for name, value in first.items() if name not in told
    }
    assert first.content == second.content
    assert seen == ["computed"]


def test_a_wrong_host_is_refused(client: APIClient) -> None:
    client.get("/plain/a")

    assert client.get("/plain/a", headers={"Host": "elsewhere.example"}).status_code == 400


@pytest.mark.parametrize("method", ["head", "options", "post"])
def test_other_methods_go_the_long_way(client: APIClient, method: str) -> None:
    client.get("/plain/a")

    expected = {"head": 200, "options": 204, "post": 405}
    assert getattr(client, method)("/plain/a").status_code == expected[method]


def test_a_body_that_is_too_large_is_refused(client: APIClient, settings: Any) -> None:
    client.get("/plain/a")

    assert client.generic("GET", "/plain/a", b"x" * (settings.MAX_BODY_BYTES + 1)).status_code == 413


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("/initial", "initial"),
        ("/decorated", "watched"),
        ("/authenticated", "authenticated"),
        ("/odd", "throttled"),
        ("/wrapped/a", "view"),
    ],
)
def test_a_view_with_more_to_say_says_it_at_each_hit(client: APIClient, url: str, what: str) -> None:
    answers = [client.get(url)["X-Cache"] for _ in range(3)]

    assert answers == ["miss", "hit", "hit"]
    assert seen.count(what) == 3


def test_a_limit_counts_hits(client: APIClient) -> None:
    answers = [client.get("/limited") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]


def test_whoever_is_signed_in_by_another_way_is_not_shown_what_is_for_strangers(client: APIClient, alice: Any) -> None:
    assert client.get("/authenticated").json() == {"caller": None}

    client.force_login(alice)

    assert client.get("/authenticated").json() == {"caller": alice.pk}


def test_what_was_looked_up_is_for_the_view_alone_and_not_for_what_it_calls(client: APIClient) -> None:
    assert [client.get("/nested").json()["from"] for _ in range(2)] == ["outer", "outer"]
