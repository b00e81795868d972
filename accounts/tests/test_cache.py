"""
Users are cached for anonymous callers: every way to write a user or a tier, each followed by reads that were cached before.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from common.tests import cached_reads
from common.tests.cached_reads import set_fields
from common.tests.redis_commands import commands_of
from conftest import PASSWORD, make_user
from tiers.models import Tier

from .factories import API, registration

pytestmark = pytest.mark.django_db(transaction=True)

World = SimpleNamespace
PATHS = (
    "users",
    "users?items_per_page=1",
    "users?page=9&items_per_page=1",
    "user/alice",
    "user/alice/tier",
    "user/alicia",
    "user/alicia/tier",
    "user/bob",
    "user/carol",
)


@pytest.fixture
def world(alice: Any, bob: Any, admin: Any, free: Tier, pro: Tier, client: APIClient, client_for: Callable[[Any], APIClient]) -> World:
    alice.tier = free
    alice.save()
    bob.soft_delete()
    site = Client()
    site.force_login(admin)
    return World(
        alice=alice, bob=bob, free=free, pro=pro, client=client, own=client_for(alice), superuser=client_for(admin), site=site, admin=admin
    )


def in_admin(world: World, path: str, data: dict[str, Any]) -> None:
    cached_reads.in_admin(world.site, path, data)


def action(world: World, name: str, user: Any, **data: Any) -> None:
    in_admin(world, "accounts/user/", {"action": name, "_selected_action": [user.pk], **data})


def limits_form(world: World, **fields: Any) -> dict[str, Any]:
    return {"rate_limits-TOTAL_FORMS": 0, "rate_limits-INITIAL_FORMS": 0, **fields}


WRITES: dict[str, Callable[[World], object]] = {
    "registered over the API": lambda world: world.client.post(f"{API}/user", registration(username="carol", email="c@example.com")),
    "patched over the API": lambda world: world.own.patch(f"{API}/user/alice", {"name": "Alicia"}),
    "renamed over the API": lambda world: world.own.patch(f"{API}/user/alice", {"username": "alicia"}),
    "deleted over the API": lambda world: world.own.delete(f"{API}/user/alice"),
    "removed over the API": lambda world: world.superuser.delete(f"{API}/db_user/alice"),
    "given a tier over the API": lambda world: world.superuser.patch(f"{API}/user/alice/tier", {"tier_id": world.pro.pk}),
    "left without a tier over the API": lambda world: world.superuser.patch(f"{API}/user/alice/tier", {"tier_id": None}),
    "tier renamed over the API": lambda world: world.superuser.patch(f"{API}/tier/free", {"name": "basic"}),
    "created in code": lambda _: make_user("carol"),
    "changed in code": lambda world: set_fields(world.alice, profile_image_url="https://example.com/a.png"),
    "renamed in code": lambda world: set_fields(world.alice, username="alicia"),
    "restored in code": lambda world: world.bob.restore(),
    "removed by a queryset": lambda _: User.objects.filter(username="alice").delete(),
    "tier renamed in code": lambda world: set_fields(world.free, name="basic"),
    "created in the admin": lambda world: in_admin(
        world,
        "accounts/user/add/",
        {"username": "carol", "name": "Carol", "email": "c@example.com", "tier": "", "usable_password": "true"}
        | {"password1": PASSWORD, "password2": PASSWORD},
    ),
    "given a tier in bulk in the admin": lambda world: action(world, "set_tier", world.alice, tier=world.pro.pk),
    "marked in bulk in the admin": lambda world: action(world, "soft_delete", world.alice),
    "restored in bulk in the admin": lambda world: action(world, "restore", world.bob),
    "removed in bulk in the admin": lambda world: action(world, "delete_selected", world.alice, post="yes"),
    "tier renamed in the admin": lambda world: in_admin(world, f"tiers/tier/{world.free.pk}/change/", limits_form(world, name="basic")),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_next_read_is_right_after_the_user_is(world: World, write: Callable[[World], object]) -> None:
    cached_reads.assert_the_next_read_is_right(world.client, [f"{API}/{path}" for path in PATHS], lambda: write(world))


@pytest.mark.parametrize("path", ["users", "user/alice", "user/alice/tier"])
class TestHits:
    def test_a_hit_is_one_round_trip_and_no_sql(self, world: World, path: str) -> None:
        cached_reads.assert_a_hit_is_one_round_trip_and_no_sql(world.client, f"{API}/{path}")

    def test_signed_in_callers_are_shown_what_is_theirs_and_leave_nothing_behind(self, world: World, path: str) -> None:
        anonymous = world.client.get(f"{API}/{path}").json()

        own, superusers = world.own.get(f"{API}/{path}"), world.superuser.get(f"{API}/{path}")

        assert "alice@example.com" in own.content.decode()
        assert "alice@example.com" in superusers.content.decode()
        assert ("X-Cache" in own, "X-Cache" in superusers) == (False, False)
        assert world.client.get(f"{API}/{path}").json() == anonymous
        assert "@" not in str(anonymous)

    def test_signed_in_callers_fill_nothing(self, world: World, path: str) -> None:
        world.superuser.get(f"{API}/{path}")

        assert world.client.get(f"{API}/{path}")["X-Cache"] == "miss"


def test_a_write_of_one_user_leaves_the_answers_about_others(world: World) -> None:
    world.bob.restore()
    world.client.get(f"{API}/user/bob")

    set_fields(world.alice, name="Alicia")

    assert world.client.get(f"{API}/user/bob")["X-Cache"] == "hit"


def test_a_name_that_is_taken_marks_nothing(world: World) -> None:
    world.client.get(f"{API}/users")

    assert world.client.post(f"{API}/user", registration(username="alice", email="new@example.com")).status_code == 422

    assert world.client.get(f"{API}/users")["X-Cache"] == "hit"


def test_a_write_is_one_round_trip_before_and_one_after_its_commit(world: World) -> None:
    set_fields(world.alice, name="Alicia")

    with commands_of("default") as commands:
        set_fields(world.alice, name="Alice")

    assert commands == ["EVALSHA", "EVALSHA"]


def test_pages_past_the_end_make_no_entries(world: World) -> None:
    redis = caches["default"].client.get_client()  # type: ignore[attr-defined]

    for number in range(2, 50):
        assert world.client.get(f"{API}/users?page={number}").status_code == 200

    assert redis.keys("entry:user_list:*") == []
