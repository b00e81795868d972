"""
What holds on every route below `/api/v1/`; one that is added later is tested without anybody remembering it.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from rest_framework.test import APIClient

from common.routing import api_patterns

pytestmark = pytest.mark.django_db

ALL_METHODS = ("get", "post", "put", "patch", "delete", "trace")


class Route(NamedTuple):
    url: str
    methods: tuple[str, ...]


def _methods(callback: Any) -> tuple[str, ...]:
    actions = getattr(callback, "actions", None)
    return tuple(method for method in ALL_METHODS if (method in actions if actions else hasattr(callback.cls, method)))


ROUTES = {
    route: Route("/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda match: "1" if match[1] == "id" else "nobody", route), _methods(pattern.callback))
    for route, pattern in api_patterns()
}
CALLS = {f"{method.upper()} {name}": (method, route.url) for name, route in ROUTES.items() for method in route.methods}
REFUSED = {
    f"{method.upper()} {name}": (method, route) for name, route in ROUTES.items() for method in ALL_METHODS if method not in route.methods
}

every_route = pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
every_call = pytest.mark.parametrize(("method", "url"), CALLS.values(), ids=CALLS)


def call(client: APIClient, method: str, url: str) -> Any:
    return getattr(client, method)(url, None if method == "get" else {})


def other_slash(url: str) -> str:
    return url.removesuffix("/") if url.endswith("/") else f"{url}/"


def test_there_are_routes() -> None:
    assert len(ROUTES) > 20


@every_call
class TestEveryCall:
    def test_anonymous_callers_never_meet_a_server_error(self, client: APIClient, method: str, url: str) -> None:
        assert call(client, method, url).status_code in (200, 201, 202, 401, 403, 404, 422)

    def test_superusers_never_meet_a_server_error(self, client_for: Callable[[Any], APIClient], admin: Any, method: str, url: str) -> None:
        assert call(client_for(admin), method, url).status_code < 500

    def test_a_bad_token_is_no_server_error(self, client: APIClient, method: str, url: str) -> None:
        client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

        assert call(client, method, url).status_code in (200, 201, 202, 401, 403, 404, 422)

    def test_a_trailing_slash_makes_no_difference(self, client: APIClient, method: str, url: str) -> None:
        one, other = call(client, method, url), call(client, method, other_slash(url))

        assert one.status_code == other.status_code
        assert one.json().get("detail") == other.json().get("detail")

    def test_the_answer_is_json_whatever_accept_says(self, client: APIClient, method: str, url: str) -> None:
        response = getattr(client, method)(url, HTTP_ACCEPT="text/html")

        assert response["Content-Type"] == "application/json"

    def test_an_error_has_a_detail(self, client: APIClient, method: str, url: str) -> None:
        response = call(client, method, url)

        assert response.status_code < 400 or "detail" in response.json()

    def test_a_401_asks_for_a_bearer_token(self, client: APIClient, method: str, url: str) -> None:
        response = call(client, method, url)

        assert response.get("WWW-Authenticate") == ("Bearer" if response.status_code == 401 else None)

    def test_the_response_has_an_id(self, client: APIClient, method: str, url: str) -> None:
        assert re.fullmatch(r"[0-9a-f]{32}", call(client, method, url)["X-Request-ID"])

    def test_only_what_is_read_with_success_may_be_kept(self, client: APIClient, method: str, url: str) -> None:
        response = call(client, method, url)

        is_public = response["Cache-Control"] == "public, max-age=60"
        assert is_public or response["Cache-Control"] == "private, no-store"
        assert not is_public or (method, response.status_code) == ("get", 200)

    def test_nothing_is_kept_of_a_call_with_a_token(self, client: APIClient, method: str, url: str) -> None:
        client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

        assert call(client, method, url)["Cache-Control"] == "private, no-store"

    def test_a_body_that_is_too_large_is_refused_first(self, client: APIClient, method: str, url: str) -> None:
        response = client.generic(method.upper(), url, " " * 1_048_577, content_type="text/plain")

        assert (response.status_code, response.json()) == (413, {"detail": "Request body too large."})


@every_route
class TestEveryRoute:
    def test_head_is_there_where_get_is(self, client: APIClient, route: Route) -> None:
        response = client.head(route.url)

        assert response.content == b""
        assert response.status_code == (client.get(route.url).status_code if "get" in route.methods else 405)

    @pytest.mark.parametrize("has_token", [False, True])
    def test_options_answers_anyone_with_the_methods(self, client: APIClient, route: Route, has_token: bool) -> None:
        if has_token:
            client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

        response = client.options(route.url)

        assert (response.status_code, response.content) == (204, b"")
        assert allowed(response) == expected(route)

    def test_a_second_slash_is_another_path(self, client: APIClient, route: Route) -> None:
        response = client.get(f"{route.url.removesuffix('/')}//")

        assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(("method", "route"), REFUSED.values(), ids=REFUSED)
def test_other_methods_are_not_allowed(client: APIClient, method: str, route: Route) -> None:
    response = client.generic(method.upper(), route.url)

    assert (response.status_code, response.json()) == (405, {"detail": "Method not allowed."})
    assert allowed(response) == expected(route)


def allowed(response: Any) -> set[str]:
    return set(response["Allow"].split(", "))


def expected(route: Route) -> set[str]:
    return {"OPTIONS", *(method.upper() for method in route.methods), *({"HEAD"} if "get" in route.methods else ())}
