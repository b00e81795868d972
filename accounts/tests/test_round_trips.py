"""
What an authenticated request costs: on a warm cache no SQL and one round trip to Redis, on a cold one one query more.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from common.tests.redis_commands import commands_of
from tiers.models import Tier
from tiers.tests.factories import make_rate_limit

pytestmark = pytest.mark.django_db(transaction=True)
ME = "/api/v1/user/me/"


def sql_of(client: APIClient, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.fixture
def signed_in(alice: Any, client_for: Callable[[Any], APIClient]) -> APIClient:
    client = client_for(alice)
    client.get(ME)
    return client


def test_a_warm_read_is_one_round_trip_and_no_sql(signed_in: APIClient) -> None:
    with commands_of("default") as cache, commands_of("throttle") as throttle:
        assert sql_of(signed_in, ME) == 0

    assert (cache, throttle) == (["MGET"], [])


def test_a_full_page_of_users_is_one_round_trip_more_and_no_count(signed_in: APIClient) -> None:
    users = "/api/v1/users?items_per_page=1"
    assert sql_of(signed_in, users) == 2

    with commands_of("default") as cache:
        assert sql_of(signed_in, users) == 1

    assert cache == ["MGET", "MGET"]


def test_a_cold_read_is_one_query_more(signed_in: APIClient) -> None:
    caches["default"].clear()

    assert sql_of(signed_in, ME) == 1


def test_a_limit_adds_one_round_trip_and_no_sql(signed_in: APIClient, alice: Any, free: Tier) -> None:
    make_rate_limit(tier=free, path="api/v1/user/me", limit=100)
    alice.tier = free
    alice.save()
    signed_in.get(ME)

    with commands_of("default") as cache, commands_of("throttle") as throttle:
        assert sql_of(signed_in, ME) == 0

    assert (cache, throttle) == (["MGET"], ["EVALSHA"])


def test_without_a_redis_of_the_cache_each_read_asks_the_database(signed_in: APIClient, settings: Any) -> None:
    settings.CACHE_ENABLED = False

    assert [sql_of(signed_in, ME), sql_of(signed_in, ME)] == [1, 1]
