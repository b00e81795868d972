"""
What clients and shared caches may keep.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from posts.tests.factories import make_post
from tiers.models import Tier
from tiers.tests.factories import make_rate_limit

pytestmark = pytest.mark.django_db

PUBLIC = ["users", "user/alice", "alice/posts", "alice/post/{id}", "tiers", "tier/free", "tier/free/rate_limits"]
PRIVATE = "private, no-store"


@pytest.fixture(autouse=True)
def post_id(alice: Any, free: Tier) -> int:
    return make_post(alice).pk


@pytest.fixture(params=PUBLIC)
def public_url(request: pytest.FixtureRequest, post_id: int) -> str:
    return f"/api/v1/{request.param}".replace("{id}", str(post_id))


def test_what_anyone_may_read_may_be_kept(client: APIClient, public_url: str) -> None:
    response = client.get(public_url)

    assert (response["Cache-Control"], response["Vary"]) == ("public, max-age=60", "Authorization")


def test_head_says_the_same_as_get(client: APIClient, public_url: str) -> None:
    head, get = client.head(public_url), client.get(public_url)

    names = ("Cache-Control", "Vary", "ETag", "Content-Length", "Content-Type")
    assert {name: head[name] for name in names} == {name: get[name] for name in names}


def test_a_call_with_a_good_token_is_not_kept(client_for: Callable[[Any], APIClient], bob: Any, public_url: str) -> None:
    response = client_for(bob).get(public_url)

    assert response["Cache-Control"] == PRIVATE
    assert "ETag" not in response


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic YTpi", ""])
def test_a_call_with_any_authorization_is_not_kept(client: APIClient, public_url: str, header: str) -> None:
    assert client.get(public_url, HTTP_AUTHORIZATION=header)["Cache-Control"] == PRIVATE


@pytest.mark.parametrize("path", ["user/nobody", "alice/posts?page=0", "alice/post/0", "user/me/", "nothing/at/all"])
def test_an_error_is_not_kept(client: APIClient, path: str) -> None:
    response = client.get(f"/api/v1/{path}")

    assert response.status_code >= 400
    assert response["Cache-Control"] == PRIVATE


@pytest.mark.parametrize("path", ["user/me/", "user/alice", "users", "alice/posts"])
def test_one_users_answer_is_never_kept_for_the_next(client_for: Callable[[Any], APIClient], alice: Any, path: str) -> None:
    assert client_for(alice).get(f"/api/v1/{path}")["Cache-Control"] == PRIVATE


def test_a_write_is_not_kept(client_for: Callable[[Any], APIClient], alice: Any) -> None:
    response = client_for(alice).post("/api/v1/alice/post", {"title": "Hello", "text": "World"})

    assert response["Cache-Control"] == PRIVATE


def test_a_task_is_not_kept(client: APIClient) -> None:
    made = client.post("/api/v1/tasks/task?message=hello")

    assert made["Cache-Control"] == PRIVATE
    assert client.get(f"/api/v1/tasks/task/{made.json()['id']}")["Cache-Control"] == PRIVATE


def test_an_answer_with_limit_headers_is_not_kept(client_for: Callable[[Any], APIClient], alice: Any, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/users")
    alice.tier = free
    alice.save()

    response = client_for(alice).get("/api/v1/users")

    assert (response["Cache-Control"], "X-RateLimit-Limit" in response) == (PRIVATE, True)


@pytest.mark.parametrize(("age", "expected"), [(0, "no-cache"), (5, "public, max-age=5")])
def test_the_age_is_a_setting(client: APIClient, settings: Settings, age: int, expected: str) -> None:
    settings.CLIENT_CACHE_MAX_AGE = age

    response = client.get("/api/v1/users")

    assert response["Cache-Control"] == expected
    assert response["ETag"]


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/openapi.json", "/docs"])
def test_what_is_around_the_api_is_not_kept(client: APIClient, path: str) -> None:
    assert client.get(path)["Cache-Control"] == PRIVATE


class TestETag:
    def test_what_has_not_changed_is_not_sent_again(self, client: APIClient, public_url: str) -> None:
        tag = client.get(public_url)["ETag"]

        response = client.get(public_url, HTTP_IF_NONE_MATCH=tag)

        assert (response.status_code, response.content) == (304, b"")
        assert (response["ETag"], response["Cache-Control"], response["Vary"]) == (tag, "public, max-age=60", "Authorization")
        assert response["X-Request-ID"]

    @pytest.mark.parametrize("given", ["*", "W/{tag}", '"other", {tag}'])
    def test_weak_lists_and_stars_match_too(self, client: APIClient, given: str) -> None:
        tag = client.get("/api/v1/users")["ETag"]

        assert client.get("/api/v1/users", HTTP_IF_NONE_MATCH=given.replace("{tag}", tag)).status_code == 304

    def test_another_tag_gets_the_answer(self, client: APIClient) -> None:
        assert client.get("/api/v1/users", HTTP_IF_NONE_MATCH='"other"').status_code == 200

    def test_a_change_changes_it(self, client: APIClient, alice: Any) -> None:
        tag = client.get("/api/v1/user/alice")["ETag"]
        alice.name = "Alicia"
        alice.save()

        response = client.get("/api/v1/user/alice", HTTP_IF_NONE_MATCH=tag)

        assert (response.status_code, response.json()["name"]) == (200, "Alicia")

    def test_a_call_with_a_token_is_always_answered(self, client: APIClient, client_for: Callable[[Any], APIClient], bob: Any) -> None:
        tag = client.get("/api/v1/users")["ETag"]

        assert client_for(bob).get("/api/v1/users", HTTP_IF_NONE_MATCH=tag).status_code == 200
