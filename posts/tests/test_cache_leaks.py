"""
What one caller is answered never reaches another, and what is sent cannot make or name an entry.
"""

import itertools
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import caches
from rest_framework.test import APIClient

from conftest import make_user
from tiers.models import Tier
from tiers.tests.factories import make_rate_limit

from .factories import make_post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PATHS = (
    "users",
    "users?page=1&items_per_page=3",
    "user/alice",
    "user/bob",
    "user/alice/tier",
    "alice/posts",
    "alice/post/{post}",
    "tiers",
    "tier/free",
    "tier/free/rate_limits",
    "tier/free/rate_limit/{limit}",
)
CALLERS = ("anonymous", "alice", "bob", "admin")


def redis() -> Any:
    return caches["default"].client.get_client()  # type: ignore[attr-defined]


@pytest.fixture
def paths(alice: Any, bob: Any, free: Tier) -> list[str]:
    alice.tier = free
    alice.save()
    numbers = {"post": make_post(alice).pk, "limit": make_rate_limit(free).pk}
    return [f"/api/v1/{path.format(**numbers)}" for path in PATHS]


@pytest.fixture
def callers(client_for: Callable[[Any], APIClient], alice: Any, bob: Any, admin: Any) -> dict[str, APIClient]:
    return {"anonymous": APIClient(), "alice": client_for(alice), "bob": client_for(bob), "admin": client_for(admin)}


def test_everybody_is_answered_alike_in_whatever_order_they_call(paths: list[str], callers: dict[str, APIClient]) -> None:
    caches["default"].clear()
    right = {}
    for name, path in itertools.product(CALLERS, paths):
        caches["default"].clear()
        right[name, path] = callers[name].get(path).json()
    wrong = []

    for order in itertools.permutations(CALLERS):
        caches["default"].clear()
        for path, name in itertools.product(paths, (*order, *order)):
            if callers[name].get(path).json() != right[name, path]:
                wrong.append((order, name, path))

    assert wrong == []
    # They do differ: who asks is told their own address.
    assert right["alice", "/api/v1/user/alice"]["email"] == right["admin", "/api/v1/user/alice"]["email"] == "alice@example.com"
    assert right["bob", "/api/v1/user/alice"]["email"] is right["anonymous", "/api/v1/user/alice"]["email"] is None


def test_no_address_is_in_any_answer_that_is_kept(paths: list[str], callers: dict[str, APIClient]) -> None:
    for name, path in itertools.product(CALLERS, paths):
        callers[name].get(path)

    answers = [redis().get(key) for key in redis().keys("entry:*") if not key.startswith(b"entry:auth:") and redis().type(key) == b"string"]

    assert len(answers) > 1
    assert [answer for answer in answers if b"@example.com" in answer] == []


@pytest.mark.parametrize("path", ["user/alice", "users", "alice/posts", "tiers"])
def test_a_stored_answer_is_as_public_as_a_computed_one(client: APIClient, paths: list[str], path: str) -> None:
    names = ("Cache-Control", "Vary", "ETag", "Content-Type")
    first, second = client.get(f"/api/v1/{path}"), client.get(f"/api/v1/{path}")

    assert second["X-Cache"] == "hit"
    assert {name: second[name] for name in names} == {name: first[name] for name in names}
    assert second["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("user/nobody", 404),
        ("nobody/posts", 404),
        ("alice/post/999999", 404),
        ("alice/post/x", 422),
        ("users?page=0", 422),
        ("alice/posts?items_per_page=101", 422),
        ("tier/none", 404),
        ("user/bob/tier", 404),
        ("user/me/", 401),
        ("user/alice/rate_limits", 401),
    ],
)
def test_errors_are_not_stored(client: APIClient, paths: list[str], path: str, status: int) -> None:
    before = set(redis().keys("entry:*"))

    assert [client.get(f"/api/v1/{path}").status_code for _ in range(2)] == [status, status]

    assert set(redis().keys("entry:*")) == before


@pytest.mark.parametrize("path", ["users", "user/alice", "user/alice/tier", "alice/posts", "alice/post/{post}", "tiers", "tier/free"])
def test_a_thousand_random_parameters_make_no_new_key(client: APIClient, paths: list[str], path: str) -> None:
    url = next(each for each in paths if each.startswith(f"/api/v1/{path.partition('{')[0]}"))
    client.get(url)
    before = set(redis().keys())

    for _ in range(1000):
        client.get(url, {secrets.token_hex(4): secrets.token_hex(4), "utm_source": secrets.token_hex(4)})

    # Some of them may have expired.
    assert set(redis().keys()) <= before


@pytest.mark.parametrize("path", ["users", "alice/posts", "tiers", "tier/free/rate_limits"])
def test_pages_that_are_not_there_make_no_entry(client: APIClient, paths: list[str], path: str) -> None:
    client.get(f"/api/v1/{path}")
    # How many there are is kept where a page does not tell it: one entry, whatever page that was.
    client.get(f"/api/v1/{path}?page=2")
    before = set(redis().keys("entry:*"))

    for _ in range(200):
        assert client.get(f"/api/v1/{path}", {"page": secrets.randbelow(10**9) + 2}).status_code == 200

    assert set(redis().keys("entry:*")) == before


NAMES = (
    "a",
    "a:posts",
    "a%3Aposts",
    "*",
    "a*",
    "users:*",
    "[ab]",
    "?",
    "a b",
    "a\nb",
    "a\r\nSET x y",
    "é",
    "\u2028",
    "a:b:posts:post_1",
    "{username}",
    "a\\",
)


def test_no_name_is_taken_for_another_or_for_a_pattern(client: APIClient) -> None:
    posts = {name: make_post(make_user(name, email=f"{number}@example.com"), title=f"Post {number}") for number, name in enumerate(NAMES)}
    paths = {name: f"/api/v1/{quote(name, safe='')}/posts" for name in NAMES}
    titles = {name: [item["title"] for item in client.get(path).json()["data"]] for name, path in paths.items()}
    assert titles == {name: [post.title] for name, post in posts.items()}

    for written in NAMES:
        posts[written].title = f"New {written}"[:20]
        posts[written].save()
        others = {client.get(path)["X-Cache"] for name, path in paths.items() if name != written}
        here = client.get(paths[written])

        assert (others, here["X-Cache"], here.json()["data"][0]["title"]) == ({"hit"}, "miss", posts[written].title)
