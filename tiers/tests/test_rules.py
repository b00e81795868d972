"""
A write of a tier or of a limit is in force on the next call, whatever the process has kept.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from common.tests.concurrency import in_thread
from conftest import make_user

from ..models import RateLimit, Tier
from ..rules import Rules, rules
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db(transaction=True)

USERS = "/api/v1/users"


@pytest.fixture
def limit(free: Tier) -> RateLimit:
    return make_rate_limit(free, path="api/v1/users", limit=5)


@pytest.fixture
def alice_client(client_for: Callable[[Any], APIClient], free: Tier, limit: RateLimit) -> APIClient:
    """
    Alice, in a process that has kept the limits.
    """
    client = client_for(make_user("alice", tier=free))
    told(client)
    return client


def told(client: APIClient) -> str | None:
    limit: str | None = client.get(USERS).headers.get("X-RateLimit-Limit")
    return limit


@pytest.mark.parametrize("version", [None, b"seen"])
class TestOfTier:
    def test_each_tier_has_its_own(self, free: Tier, pro: Tier, version: bytes | None) -> None:
        make_rate_limit(free, limit=3, period=60)

        found = [Rules().of_tier(tier.pk, version) for tier in (free, pro)]

        assert found == [("free", {"api_v1_tasks_task": (3, 60)}), ("pro", {})]

    @pytest.mark.parametrize("tier_id", [None, 0])
    def test_without_a_tier_there_is_nothing(self, free: Tier, version: bytes | None, tier_id: int | None) -> None:
        assert Rules().of_tier(tier_id, version) is None


def test_the_same_version_asks_the_database_once_for_all_tiers(
    free: Tier, pro: Tier, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    kept = Rules()

    with django_assert_num_queries(1):
        for tier in (free, pro, free):
            kept.of_tier(tier.pk, b"seen")


def test_another_version_asks_again(free: Tier, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    kept = Rules()

    with django_assert_num_queries(2):
        for version in (b"one", b"two"):
            kept.of_tier(free.pk, version)


WRITES: dict[str, Callable[[RateLimit], Any]] = {
    "save": lambda limit: RateLimit(pk=limit.pk, name="mine", limit=9).save(update_fields=["limit"]),
    "update": lambda limit: RateLimit.objects.filter(pk=limit.pk).update(limit=9),
    "update through the tier": lambda limit: limit.tier.rate_limits.update(limit=9),
    "update_or_create": lambda limit: RateLimit.objects.update_or_create({"limit": 9}, pk=limit.pk),
    "bulk_update": lambda limit: RateLimit.objects.bulk_update([RateLimit(pk=limit.pk, limit=9)], ["limit"]),
    "bulk_create": lambda limit: RateLimit.objects.bulk_create(
        [RateLimit(tier_id=limit.tier_id, path=limit.path, limit=9, period=60, name=limit.name)],
        update_conflicts=True,
        unique_fields=["tier", "path"],
        update_fields=["limit"],
    ),
}


@pytest.mark.parametrize("how", WRITES)
def test_every_way_to_write_a_limit_is_in_force_on_the_next_call(alice_client: APIClient, limit: RateLimit, how: str) -> None:
    WRITES[how](limit)

    assert told(alice_client) == "9"


@pytest.mark.parametrize("delete", [lambda limit: limit.delete(), lambda limit: limit.tier.rate_limits.all().delete()], ids=["one", "bulk"])
def test_a_deleted_limit_holds_no_longer(alice_client: APIClient, limit: RateLimit, delete: Callable[[RateLimit], Any]) -> None:
    delete(limit)

    assert told(alice_client) is None


def test_while_a_write_is_under_way_the_committed_limit_holds(alice_client: APIClient, limit: RateLimit) -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            RateLimit.objects.update(limit=9)
            meanwhile = in_thread(lambda: told(alice_client), pool).result(20)

        assert (meanwhile, told(alice_client)) == ("5", "9")


def test_after_a_rollback_the_limit_of_before_holds(alice_client: APIClient, limit: RateLimit) -> None:
    with transaction.atomic():
        RateLimit.objects.update(limit=9)
        transaction.set_rollback(True)

    assert told(alice_client) == "5"


def test_a_slow_reader_does_not_bring_back_what_was_before(alice_client: APIClient, limit: RateLimit) -> None:
    before = rules.kept

    RateLimit.objects.update(limit=9)
    assert told(alice_client) == "9"
    # A thread that read before the write stores what it read after everyone else.
    rules.kept = before

    assert told(alice_client) == "9"


@pytest.mark.parametrize(("name", "value"), [("AUTH_CACHE_SECONDS", 0), ("CACHE_ENABLED", False)])
def test_without_a_cache_changes_are_in_force_too(
    alice_client: APIClient, limit: RateLimit, settings: Settings, name: str, value: Any
) -> None:
    setattr(settings, name, value)
    assert told(alice_client) == "5"

    RateLimit.objects.update(limit=9)

    assert told(alice_client) == "9"


def test_with_the_caches_redis_away_changes_are_in_force_too(alice_client: APIClient, limit: RateLimit, settings: Settings) -> None:
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert told(alice_client) == "5"

    RateLimit.objects.update(limit=9)

    assert told(alice_client) == "9"
