"""
`GET /user/me/rate_limits`: the limits that hold for the caller now, and what is used of them.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from common.tests.answers import said
from common.tests.openapi import description
from common.tests.ports import free_port
from conftest import make_user
from tiers.models import RateLimit, Tier
from tiers.tests.factories import make_rate_limit

pytestmark = pytest.mark.django_db

MINE = "/api/v1/user/me/rate_limits"
ME = "/api/v1/user/me/"
DEFAULT = {"path": "api_v1_tasks_task", "limit": 10, "period": 3600, "used": 0, "remaining": 10}
ClientFor = Callable[[Any], APIClient]


@pytest.fixture
def alice(free: Tier) -> Any:
    return make_user("alice", tier=free)


def mine(client: APIClient) -> list[dict[str, Any]]:
    """
    Return what is told, without the seconds, which pass.
    """
    body = client.get(MINE).json()
    assert list(body) == ["data"]
    return [{name: value for name, value in row.items() if name != "reset"} for row in body["data"]]


def test_each_limit_tells_what_is_used(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=3, period=31_536_000)
    for _ in range(2):
        alice_client.get(ME)

    used = {"path": "api_v1_user_me", "limit": 3, "period": 31_536_000, "used": 2, "remaining": 1}
    assert mine(alice_client) == [DEFAULT, used]


def test_the_fields_are_those_of_the_contract(alice_client: APIClient) -> None:
    (row,) = alice_client.get(MINE).json()["data"]

    assert list(row) == ["path", "limit", "period", "used", "remaining", "reset"]
    assert 0 < row["reset"] <= 3600


def test_it_agrees_with_the_headers(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=3, period=31_536_000)
    began = time.monotonic()
    told = alice_client.get(ME)

    row = alice_client.get(MINE).json()["data"][1]

    assert [row["limit"], row["remaining"]] == [int(told[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining")]
    assert 0 <= int(told["X-RateLimit-Reset"]) - row["reset"] < time.monotonic() - began + 1


def test_asking_does_not_count(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=3)

    assert [mine(alice_client)[1]["used"] for _ in range(5)] == [0] * 5


def test_a_limit_on_the_list_itself_counts(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/user/me/rate_limits", limit=2)

    assert [mine(alice_client)[1]["used"] for _ in range(2)] == [1, 2]
    assert alice_client.get(MINE).status_code == 429


def test_the_tiers_own_limit_stands_in_place_of_the_default(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/tasks/task", limit=5, period=60)

    assert [(row["path"], row["limit"], row["period"]) for row in mine(alice_client)] == [("api_v1_tasks_task", 5, 60)]


def test_a_limit_of_zero_is_shown(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/users", limit=0)

    assert [(row["limit"], row["remaining"]) for row in mine(alice_client)] == [(10, 10), (0, 0)]


def test_without_a_tier_the_default_is_all(client_for: ClientFor, bob: Any) -> None:
    assert mine(client_for(bob)) == [DEFAULT]


def test_limits_of_other_tiers_are_not_shown(alice_client: APIClient, pro: Tier) -> None:
    make_rate_limit(pro, path="api/v1/users")

    assert mine(alice_client) == [DEFAULT]


def test_a_limit_that_no_user_can_meet_is_not_shown(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/login")

    assert mine(alice_client) == [DEFAULT]


def test_what_others_use_is_theirs(alice_client: APIClient, client_for: ClientFor, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=3)
    client_for(make_user("carol", tier=free)).get(ME)

    assert mine(alice_client)[1]["used"] == 0


def test_a_lowered_limit_leaves_nothing(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=3)
    for _ in range(3):
        alice_client.get(ME)
    RateLimit.objects.update(limit=2)

    row = mine(alice_client)[1]
    assert (row["limit"], row["used"], row["remaining"]) == (2, 3, 0)


def test_switched_off_there_are_none(alice_client: APIClient, free: Tier, settings: Settings) -> None:
    settings.RATE_LIMIT_ENABLED = False
    make_rate_limit(free, path="api/v1/users")

    assert alice_client.get(MINE).json() == {"data": []}


def test_while_redis_is_away_the_process_tells_what_it_counted(alice_client: APIClient, free: Tier, settings: Settings) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=30)
    away = {**settings.CACHES["throttle"], "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}
    settings.CACHES = {**settings.CACHES, "throttle": away}
    before = mine(alice_client)[1]["used"]
    for _ in range(2):
        alice_client.get(ME)

    assert mine(alice_client)[1]["used"] == before + 2


@pytest.mark.parametrize("path", [MINE, f"{MINE}/"])
def test_it_wins_over_a_user_of_that_name(alice_client: APIClient, path: str) -> None:
    assert list(alice_client.get(path).json()) == ["data"]


def test_one_has_to_be_signed_in(client: APIClient) -> None:
    assert said(client.get(MINE)) == (401, "Not authenticated")


def test_it_is_described(client: APIClient) -> None:
    operation = description()["paths"][MINE]["get"]

    assert operation["operationId"] == "getMyRateLimits"
    assert operation["tags"] == ["Users"]
    assert set(operation["responses"]) == {"200", "401", "429"}
