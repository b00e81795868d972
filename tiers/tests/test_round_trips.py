"""
What a limit costs: on a warm process no SQL, one round trip for a call that is counted, and none where no limit holds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from common.routing import api_routes
from common.tests.redis_commands import commands_of, own_redis
from conftest import make_user

from ..models import Tier
from ..rules import rules
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/user/me/"
MINE = "/api/v1/user/me/rate_limits"
TASK = "/api/v1/tasks/task"


@pytest.fixture
def alice_client(client_for: Callable[[Any], APIClient], free: Tier) -> APIClient:
    client = client_for(make_user("alice", tier=free))
    client.get(ME)
    return client


def cost(call: Callable[[], Any]) -> tuple[int, list[str], list[str]]:
    """
    Return the SQL queries, and the commands to the Redis of the cache and to that of the limits.
    """
    with commands_of("default") as cache, commands_of("throttle") as throttle, CaptureQueriesContext(connection) as captured:
        call()
    return len(captured), cache, throttle


class TestSignedIn:
    def test_where_no_limit_holds_nothing_is_added(self, alice_client: APIClient) -> None:
        assert cost(lambda: alice_client.get(ME)) == (0, ["MGET"], [])

    def test_without_a_tier_nothing_is_added(self, client_for: Callable[[Any], APIClient], bob: Any) -> None:
        client = client_for(bob)
        client.get(ME)

        assert cost(lambda: client.get(ME)) == (0, ["MGET"], [])

    def test_a_limit_adds_one_round_trip(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/me", limit=10)
        alice_client.get(ME)

        assert cost(lambda: alice_client.get(ME)) == (0, ["MGET"], ["EVALSHA"])

    def test_so_does_a_refusal(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/me", limit=0)
        alice_client.get(ME)

        assert cost(lambda: alice_client.get(ME)) == (0, ["MGET"], ["EVALSHA"])

    def test_the_default_adds_one_round_trip(self, alice_client: APIClient) -> None:
        alice_client.post(TASK, {"message": 5})

        assert cost(lambda: alice_client.post(TASK, {"message": 5})) == (0, ["MGET"], ["EVALSHA"])

    def test_after_a_change_the_limits_are_read_once(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/me", limit=10)

        queries = [cost(lambda: alice_client.get(ME))[0] for _ in range(3)]

        assert queries == [1, 0, 0]

    def test_a_process_that_knows_nothing_yet_reads_them_once(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/me", limit=10)
        alice_client.get(ME)
        rules.kept = (b"", {})

        assert [cost(lambda: alice_client.get(ME))[0] for _ in range(2)] == [1, 0]

    def test_switched_off_nothing_is_added(self, alice_client: APIClient, free: Tier, settings: Settings) -> None:
        make_rate_limit(free, path="api/v1/user/me", limit=10)
        settings.RATE_LIMIT_ENABLED = False

        assert cost(lambda: alice_client.get(ME)) == (0, ["MGET"], [])


class TestAnonymous:
    def test_where_no_limit_holds_nothing_is_asked(self, client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/tiers", limit=0)

        assert cost(lambda: client.get("/api/v1/tiers?cursor=")) == (1, [], [])  # the rows

    def test_the_default_adds_one_round_trip(self, client: APIClient) -> None:
        assert cost(lambda: client.post(TASK, {"message": 5})) == (0, [], ["EVALSHA"])


@pytest.mark.parametrize("number", [0, 1, 20])
def test_reading_what_is_used_is_one_round_trip_however_many_limits(alice_client: APIClient, free: Tier, number: int) -> None:
    routes = [route for route in api_routes() if "login" not in route and "rate_limits" not in route][:number]
    for route in routes:
        make_rate_limit(free, path=route.replace("<str:", "{").replace(">", "}"))
    alice_client.get(MINE)

    assert cost(lambda: alice_client.get(MINE)) == (0, ["MGET"], ["EVALSHA"])


def test_a_script_that_redis_forgot_is_sent_again(alice_client: APIClient, free: Tier, tmp_path: Path, settings: Settings) -> None:
    make_rate_limit(free, path="api/v1/user/me", limit=2)
    with own_redis("throttle", settings, tmp_path) as own:
        alice_client.get(ME)
        own.client.script_flush()

        assert [alice_client.get(ME).status_code for _ in range(2)] == [200, 429]
