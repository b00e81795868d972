"""
What the decorator stores, and for whom.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.http import HttpResponse
from prometheus_client import REGISTRY
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from common.caching import cached
from common.fields import IntegerField, StringField
from common.routing import path
from common.serializers import QuerySerializer
from common.views import View

from .redis_commands import commands_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

calls: list[str] = []


class NumberQuery(QuerySerializer):
    number = IntegerField(default=1)
    secret = StringField(required=False)


class OpenView(View):
    permission_classes = (AllowAny,)


class ThingView(OpenView):
    @cached("things:{name}:number_{number}", query=NumberQuery)
    def get(self, request: Request, name: str) -> Response:
        calls.append(name)
        if name == "missing":
            raise NotFound
        return Response({"name": name, "caller": request.user.pk}, status=202 if name == "accepted" else 200)

    @cached("things:{name}:number_{number}", query=NumberQuery)
    def post(self, request: Request, name: str) -> Response:
        calls.append(name)
        return Response({})


class SharedView(OpenView):
    @cached("shared:all", same_for_all=True)
    def get(self, request: Request) -> Response:
        return Response({})


class OwnView(View):
    @cached("own:{user_id}:all")
    def get(self, request: Request) -> Response:
        return Response({"caller": request.user.pk})


class CookieView(OpenView):
    @cached("cookies:all")
    def get(self, request: Request) -> Response:
        response = Response({})
        response.set_cookie("a", "b")
        return response


class PageView(OpenView):
    @cached("html:all")
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse("<p>")


urlpatterns = [
    path("things/<str:name>", ThingView.as_view()),
    path("shared", SharedView.as_view()),
    path("own", OwnView.as_view()),
    path("cookies", CookieView.as_view()),
    path("html", PageView.as_view()),
]


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    calls.clear()


@pytest.fixture
def signed_in(client_for: Callable[[Any], APIClient], settings: Any, alice: Any) -> APIClient:
    settings.ROOT_URLCONF = "config.urls"
    client = client_for(alice)
    settings.ROOT_URLCONF = __name__
    return client


def keys(pattern: str) -> list[bytes]:
    redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    return sorted(redis.keys(pattern))


def results(client: APIClient, url: str, times: int = 2) -> list[str | None]:
    return [client.get(url).get("X-Cache") for _ in range(times)]


class TestWhatIsStored:
    def test_the_second_answer_is_the_first_one(self, client: APIClient) -> None:
        first, second = client.get("/things/a"), client.get("/things/a")

        assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
        assert first.content == second.content
        assert calls == ["a"]

    @pytest.mark.parametrize("url", ["/things/accepted", "/cookies", "/html"])
    def test_only_plain_json_with_status_200_is(self, client: APIClient, url: str) -> None:
        assert results(client, url) == ["miss", "miss"]
        assert keys("entry:*") == []

    def test_what_is_not_found_leaves_nothing_behind(self, client: APIClient) -> None:
        for _ in range(3):
            assert client.get("/things/missing").status_code == 404

        assert keys("entry:*") + keys("version:*") == []

    def test_post_is_passed_on(self, client: APIClient) -> None:
        client.post("/things/a", {})
        client.post("/things/a", {})

        assert calls == ["a", "a"]

    def test_values_do_not_mix(self, client: APIClient) -> None:
        names = ["a:number_1", "a", "a*", "a%3Anumber_1"]

        answers = [client.get("/things/" + name.replace("%", "%25")).json()["name"] for name in names * 2]

        assert answers == names * 2
        assert len(keys("entry:*")) == 4

    def test_a_thousand_unknown_parameters_make_one_entry(self, client: APIClient) -> None:
        for number in range(1000):
            client.get(f"/things/a?unknown={number}&u{number}=1")

        assert len(keys("entry:*")) == 1
        assert calls == ["a"]

    @pytest.mark.parametrize("query", ["secret=x", "number=x", "number=1&secret="])
    def test_a_wrong_parameter_and_one_that_the_key_does_not_name_are_passed_on(self, client: APIClient, query: str) -> None:
        assert results(client, f"/things/a?{query}") == [None, None]

    @pytest.mark.parametrize("query", ["number=1", "number=01", "number=7&number=1"])
    def test_one_value_is_one_entry_however_it_is_written(self, client: APIClient, query: str) -> None:
        client.get("/things/a")

        assert client.get(f"/things/a?{query}")["X-Cache"] == "hit"


class TestCallers:
    def test_what_a_signed_in_caller_gets_is_computed_and_not_stored(self, client: APIClient, signed_in: APIClient, alice: Any) -> None:
        client.get("/things/a")

        response = signed_in.get("/things/a")

        assert (response.json()["caller"], response.get("X-Cache")) == (alice.pk, None)
        assert client.get("/things/a").json()["caller"] is None

    def test_an_answer_that_is_the_same_for_all_is_served_to_all_and_stored_of_anonymous_callers(
        self, client: APIClient, signed_in: APIClient
    ) -> None:
        assert results(signed_in, "/shared") == ["miss", "miss"]
        assert results(client, "/shared") == ["miss", "hit"]
        assert results(signed_in, "/shared") == ["hit", "hit"]

    def test_a_key_that_names_the_caller_is_the_callers_own(self, client: APIClient, signed_in: APIClient, alice: Any) -> None:
        assert results(signed_in, "/own") == ["miss", "hit"]
        assert signed_in.get("/own").json() == {"caller": alice.pk}
        assert client.get("/own").status_code == 401
        assert keys("entry:own:*") == [b"entry:own:%d:all" % alice.pk]


class TestCost:
    def test_a_hit_is_one_round_trip(self, client: APIClient) -> None:
        client.get("/things/a")

        with commands_of("default") as commands:
            client.get("/things/a")

        assert commands == ["MGET"]

    def test_a_304_is_one_round_trip(self, client: APIClient) -> None:
        tag = client.get("/things/a")["ETag"]

        with commands_of("default") as commands:
            assert client.get("/things/a", HTTP_IF_NONE_MATCH=tag).status_code == 304

        assert commands == ["MGET"]

    @pytest.mark.parametrize("name", ["a", "missing"])
    def test_a_miss_is_three(self, client: APIClient, name: str) -> None:
        client.get("/things/b")
        client.get("/things/missing")
        caches["default"].clear()

        with commands_of("default") as commands:
            client.get(f"/things/{name}")

        assert commands == ["MGET", "EVALSHA", "EVALSHA"]

    def test_answers_are_counted_by_view_and_result(self, client: APIClient) -> None:
        def count(result: str) -> float:
            return REGISTRY.get_sample_value("cache_answers_total", {"view": "ThingView.get", "result": result}) or 0.0

        before = count("hit"), count("miss")
        results(client, "/things/a", 3)

        assert (count("hit"), count("miss")) == (before[0] + 2, before[1] + 1)
