"""
Tiers and rate limits are cached: every way to write them, each followed by reads that were cached before.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from common.tests import cached_reads
from common.tests.cached_reads import set_fields

from ..models import RateLimit, Tier
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db(transaction=True)

World = SimpleNamespace
API = "/api/v1"
PATHS = ("tiers", "tier/free", "tier/basic", "tier/free/rate_limits", "tier/basic/rate_limits", "tier/pro/rate_limits")
LIMIT = {"path": "api/v1/users", "limit": 5, "period": 60}


@pytest.fixture
def world(admin: Any, free: Tier, pro: Tier, client: APIClient, client_for: Callable[[Any], APIClient]) -> World:
    site = Client()
    site.force_login(admin)
    limit = make_rate_limit(free)
    return World(free=free, pro=pro, limit=limit, client=client, superuser=client_for(admin), site=site)


def in_admin(world: World, path: str, data: dict[str, Any]) -> None:
    cached_reads.in_admin(world.site, path, data)


def tier_form(world: World, **fields: Any) -> dict[str, Any]:
    row = {"id": world.limit.pk, "tier": world.free.pk, "path": world.limit.path, "limit": 2, "period": 60, "name": ""}
    form = {f"rate_limits-0-{name}": value for name, value in {**row, **fields.pop("limit", {})}.items()}
    return {"name": "free", "rate_limits-TOTAL_FORMS": 1, "rate_limits-INITIAL_FORMS": 1, **form, **fields}


WRITES: dict[str, Callable[[World], object]] = {
    "tier created over the API": lambda world: world.superuser.post(f"{API}/tier", {"name": "basic"}),
    "tier renamed over the API": lambda world: world.superuser.patch(f"{API}/tier/free", {"name": "basic"}),
    "tier deleted over the API": lambda world: world.superuser.delete(f"{API}/tier/free"),
    "limit created over the API": lambda world: world.superuser.post(f"{API}/tier/free/rate_limit", LIMIT),
    "limit patched over the API": lambda world: world.superuser.patch(f"{API}/tier/free/rate_limit/{world.limit.pk}", {"limit": 7}),
    "limit deleted over the API": lambda world: world.superuser.delete(f"{API}/tier/free/rate_limit/{world.limit.pk}"),
    "tier renamed in code": lambda world: set_fields(world.free, name="basic"),
    "tier removed by a queryset": lambda _: Tier.objects.filter(name="free").delete(),
    "limit given to another tier in code": lambda world: set_fields(world.limit, tier=world.pro),
    "limit removed by a queryset": lambda _: RateLimit.objects.all().delete(),
    "tier renamed in the admin": lambda world: in_admin(world, f"tiers/tier/{world.free.pk}/change/", tier_form(world, name="basic")),
    "limit changed in the admin": lambda world: in_admin(
        world, f"tiers/tier/{world.free.pk}/change/", tier_form(world, limit={"limit": 9})
    ),
    "limit removed in the admin": lambda world: in_admin(
        world, f"tiers/tier/{world.free.pk}/change/", tier_form(world, limit={"DELETE": "on"})
    ),
    "tiers removed in bulk in the admin": lambda world: in_admin(
        world, "tiers/tier/", {"action": "delete_selected", "_selected_action": [world.free.pk], "post": "yes"}
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_next_read_is_right_after_the_tier_is(world: World, write: Callable[[World], object]) -> None:
    paths = [*PATHS, *(f"tier/{name}/rate_limit/{world.limit.pk}" for name in ("free", "basic", "pro"))]

    cached_reads.assert_the_next_read_is_right(world.client, [f"{API}/{path}" for path in paths], lambda: write(world))


@pytest.mark.parametrize("path", ["tiers", "tier/free", "tier/free/rate_limits", "tier/free/rate_limit/{id}"])
class TestHits:
    def test_a_hit_is_one_round_trip_and_no_sql(self, world: World, path: str) -> None:
        cached_reads.assert_a_hit_is_one_round_trip_and_no_sql(world.client, f"{API}/{path}".replace("{id}", str(world.limit.pk)))

    def test_signed_in_callers_are_served_from_the_cache(self, world: World, path: str) -> None:
        url = f"{API}/{path}".replace("{id}", str(world.limit.pk))
        world.client.get(url)

        assert world.superuser.get(url)["X-Cache"] == "hit"


def test_a_name_with_separators_is_invalidated_too(world: World) -> None:
    set_fields(world.free, name="a:b *")
    assert world.client.get(f"{API}/tier/a:b%20*").json()["name"] == "a:b *"
    assert world.client.get(f"{API}/tier/a:b%20*")["X-Cache"] == "hit"

    set_fields(world.free, name="free")

    assert world.client.get(f"{API}/tier/a:b%20*").status_code == 404


def test_a_write_of_one_tier_leaves_the_answers_about_others(world: World) -> None:
    world.client.get(f"{API}/tier/pro")

    set_fields(world.free, name="basic")

    assert world.client.get(f"{API}/tier/pro")["X-Cache"] == "hit"


def test_an_id_with_zeros_before_it_makes_no_entry(world: World) -> None:
    url = f"{API}/tier/free/rate_limit/000000000000000000000000{world.limit.pk}"

    assert [world.client.get(url).json()["id"] for _ in range(2)] == [world.limit.pk] * 2
    assert world.client.get(url)["X-Cache"] == "miss"
