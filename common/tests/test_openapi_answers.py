"""
What the API really answers is what its description says: status, body and headers of one call after the other.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from conftest import PASSWORD
from posts.tests.factories import make_post
from tasks.tests.factories import make_task
from tiers.tests.factories import make_rate_limit

from .openapi import complaints, operations, resolved

pytestmark = pytest.mark.django_db

API = "/api/v1"
ALWAYS = {"X-Request-ID"}
TOLD = {"WWW-Authenticate", "Retry-After", "X-Cache", "ETag", "RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", *ALWAYS}


def operation_for(method: str, path: str) -> dict[str, Any]:
    """
    Return the operation that a path belongs to: the one with the fewest variables.
    """
    found = [
        (name.count("{"), operation)
        for name, operation in operations()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", name), f"{method} {path.partition('?')[0]}")
    ]
    best: dict[str, Any] = min(found, key=lambda pair: pair[0])[1]
    return best


def call(client: APIClient, method: str, path: str, body: Any = None, **extra: Any) -> Any:
    """
    Make the call, hold what comes back against the description, and return it.
    """
    response = getattr(client, method)(path, body, **extra)
    described = operation_for(method, path)["responses"].get(str(response.status_code))
    assert described is not None, (method, path, response.status_code, response.content)
    if response.status_code != 304:
        assert complaints(described["content"]["application/json"]["schema"], response.json()) == []
    required = {name for name, header in described["headers"].items() if resolved(header).get("required") and name != "Set-Cookie"}
    assert required <= set(response.headers)
    assert set(response.headers) & TOLD <= set(described["headers"])
    assert bool(response.cookies) == ("Set-Cookie" in described["headers"])
    return response


def test_session_from_login_to_logout(client: APIClient, alice: Any) -> None:
    token = call(client, "post", f"{API}/login", {"username": "alice", "password": PASSWORD}).json()["access_token"]
    call(client, "post", f"{API}/refresh")
    call(client, "post", f"{API}/logout", headers={"Authorization": f"Bearer {token}"})

    assert call(APIClient(), "post", f"{API}/logout").status_code == 401
    assert call(APIClient(), "post", f"{API}/refresh").status_code == 401
    assert call(APIClient(), "post", f"{API}/logout/all").status_code == 401


def test_logins_that_fail(client: APIClient, alice: Any) -> None:
    assert call(client, "post", f"{API}/login", {"username": "alice", "password": "wrong"}).status_code == 401
    assert call(client, "post", f"{API}/login", {"username": "alice"}).status_code == 422
    assert call(client, "post", f"{API}/login", "x", content_type="text/plain").status_code == 415


def test_guard_of_the_login(client: APIClient, alice: Any, settings: Settings) -> None:
    settings.LOGIN_RATE_LIMIT = (1, 31_536_000)
    call(client, "post", f"{API}/login", {"username": "alice", "password": "wrong"})

    assert call(client, "post", f"{API}/login", {"username": "alice", "password": "wrong"}).status_code == 429


def test_user_from_registration_to_the_end(client: APIClient, client_for: Callable[[Any], APIClient], admin: Any) -> None:
    body = {"name": "Carol", "username": "carol", "email": "carol@example.com", "password": PASSWORD}
    call(client, "post", f"{API}/user", body)
    call(client, "post", f"{API}/user", body)
    call(client, "post", f"{API}/user", {"name": 1, "more": 2})
    carol = client_for(type(admin).objects.get(username="carol"))
    call(carol, "get", f"{API}/user/me/")
    call(carol, "patch", f"{API}/user/carol", {"name": "Caroline"})
    call(carol, "patch", f"{API}/user/admin", {"name": "Mine"})
    call(carol, "delete", f"{API}/user/carol")

    assert call(client, "get", f"{API}/user/carol").status_code == 404


def test_public_reads_of_users(client: APIClient, client_for: Callable[[Any], APIClient], alice: Any, admin: Any) -> None:
    etag = call(client, "get", f"{API}/users")["ETag"]
    call(client_for(alice), "get", f"{API}/users?items_per_page=1")
    call(client, "get", f"{API}/users?cursor=&items_per_page=1")
    call(client, "get", f"{API}/users?page=0")
    call(client, "get", f"{API}/user/alice/tier")

    assert call(client, "get", f"{API}/users", headers={"If-None-Match": etag}).status_code == 304
    assert call(client_for(admin), "delete", f"{API}/user/admin").status_code == 409


def test_tiers_and_rate_limits(client: APIClient, client_for: Callable[[Any], APIClient], admin: Any, alice: Any) -> None:
    boss = client_for(admin)
    tier = call(boss, "post", f"{API}/tier", {"name": "gold"}).json()
    call(boss, "patch", f"{API}/user/alice/tier", {"tier_id": tier["id"]})
    call(boss, "patch", f"{API}/user/alice/tier", {"tier_id": 0})
    call(boss, "delete", f"{API}/tier/gold")
    limit = call(boss, "post", f"{API}/tier/gold/rate_limit", {"path": "api/v1/users", "limit": 1, "period": 31_536_000}).json()
    call(boss, "patch", f"{API}/tier/gold/rate_limit/{limit['id']}", {"limit": 2})
    call(client, "get", f"{API}/tier/gold/rate_limit/{limit['id']}")
    call(client, "get", f"{API}/tier/gold/rate_limit/x")
    call(client, "get", f"{API}/tier/gold/rate_limits")
    call(boss, "get", f"{API}/user/alice/rate_limits")
    call(client, "get", f"{API}/user/alice/tier")
    call(client_for(alice), "post", f"{API}/tier", {"name": "mine"})

    assert call(boss, "delete", f"{API}/tier/gold/rate_limit/{limit['id']}").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_name_of_a_tier_that_is_taken(client_for: Callable[[Any], APIClient], admin: Any, free: Any) -> None:
    assert call(client_for(admin), "post", f"{API}/tier", {"name": "free"}).status_code == 422


def test_limit_of_a_tier(client_for: Callable[[Any], APIClient], alice: Any, free: Any) -> None:
    make_rate_limit(free, path="api/v1/users", limit=1)
    type(alice).objects.filter(pk=alice.pk).update(tier=free)
    client = client_for(alice)

    assert call(client, "get", f"{API}/users")["X-RateLimit-Limit"] == "1"
    assert call(client, "get", f"{API}/users").status_code == 429


def test_posts(client: APIClient, client_for: Callable[[Any], APIClient], alice: Any, admin: Any) -> None:
    author = client_for(alice)
    post = call(author, "post", f"{API}/alice/post", {"title": "Hello", "text": "World"}).json()
    call(author, "post", f"{API}/admin/post", {"title": "Hello", "text": "World"})
    call(author, "post", f"{API}/nobody/post", {"title": "Hello", "text": "World"})
    call(author, "patch", f"{API}/alice/post/{post['id']}", {"media_url": "https://example.com/a.jpg"})
    call(client, "get", f"{API}/alice/posts")
    call(client, "get", f"{API}/alice/posts")
    call(client, "get", f"{API}/alice/posts?cursor=")
    call(client, "get", f"{API}/alice/post/{post['id']}")
    call(client, "get", f"{API}/alice/post/x")
    call(author, "delete", f"{API}/alice/post/{post['id']}")
    call(author, "delete", f"{API}/alice/db_post/{post['id']}")

    assert call(client_for(admin), "delete", f"{API}/alice/db_post/{make_post(alice).pk}").status_code == 200


def test_tasks(client: APIClient, alice: Any, settings: Settings) -> None:
    settings.DEFAULT_RATE_LIMIT = (3, 31_536_000)
    call(client, "post", f"{API}/tasks/task?message=hello")
    call(client, "post", f"{API}/tasks/task", {"message": "hello"})
    call(client, "post", f"{API}/tasks/task?message=")

    assert call(client, "post", f"{API}/tasks/task?message=hello").status_code == 429
    assert call(client, "get", f"{API}/tasks/task/{make_task().pk.hex}")["Retry-After"] == "1"
    assert call(client, "get", f"{API}/tasks/task/{make_task(alice).pk.hex}").status_code == 404


def test_tasks_without_a_queue(client: APIClient, settings: Settings) -> None:
    settings.QUEUE_ENABLED = False

    assert call(client, "post", f"{API}/tasks/task?message=hello").status_code == 503


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health(client: APIClient, path: str) -> None:
    assert call(client, "get", path).status_code == 200


def test_bodies_that_are_too_large(client_for: Callable[[Any], APIClient], alice: Any, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 10

    assert call(APIClient(), "post", f"{API}/user", {"name": "Carol Jones"}).status_code == 413
