"""
What consumes a limit, and when a change of it is in force.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.tests.factories import registration
from common.tests.answers import said
from common.tests.redis_commands import commands_of
from conftest import make_user
from posts.tests.factories import make_post
from tasks.models import Status
from tasks.tests.factories import make_task

from ..models import RateLimit, Tier
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db

REFUSED = (429, "Rate limit exceeded.")


@pytest.fixture
def alice(free: Tier) -> Any:
    return make_user("alice", tier=free)


def remaining(response: Any) -> int:
    return int(response["X-RateLimit-Remaining"])


class TestCounting:
    def test_a_refused_call_consumes_nothing(self, alice_client: APIClient, free: Tier) -> None:
        limit = make_rate_limit(free, path="api/v1/users", limit=1)
        for _ in range(4):
            alice_client.get("/api/v1/users")

        limit.limit = 5
        limit.save()

        assert remaining(alice_client.get("/api/v1/users")) == 3

    @pytest.mark.parametrize(
        ("method", "body", "is_counted"),
        [
            ("options", None, False),
            ("post", {}, False),  # 405
            ("put", {}, False),  # 405
            ("patch", {"text": "x" * 1_048_577}, False),  # 413
            ("patch", {"text": 5}, True),  # 422
            ("patch", {}, True),
            ("head", None, True),
        ],
    )
    def test_what_counts(self, alice_client: APIClient, alice: Any, free: Tier, method: str, body: Any, is_counted: bool) -> None:
        make_rate_limit(free, path="api/v1/{username}/post/{id}", limit=10)
        path = f"/api/v1/alice/post/{make_post(alice).pk}"

        getattr(alice_client, method)(path, body)

        assert remaining(alice_client.get(path)) == (8 if is_counted else 9)

    @pytest.mark.parametrize("path", ["alice/post/999", "alice/post/abc", "nobody/post/1"])
    def test_what_the_path_does_not_find_counts(self, alice_client: APIClient, free: Tier, path: str) -> None:
        make_rate_limit(free, path="api/v1/{username}/post/{id}", limit=10)

        assert [remaining(alice_client.get(f"/api/v1/{path}")) for _ in range(2)] == [9, 8]

    def test_another_media_type_counts(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/{username}/post", limit=10)

        response = alice_client.post("/api/v1/alice/post", "text", content_type="text/plain")

        assert (response.status_code, remaining(response)) == (415, 9)

    def test_what_is_not_yours_counts(self, alice_client: APIClient, free: Tier, bob: Any) -> None:
        make_rate_limit(free, path="api/v1/{username}/post", limit=10)

        response = alice_client.post("/api/v1/bob/post", {})

        assert (response.status_code, remaining(response)) == (403, 9)

    def test_what_only_superusers_may_does_not_count(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/tier/{name}", limit=10)

        assert alice_client.delete("/api/v1/tier/free").status_code == 403

        assert remaining(alice_client.get("/api/v1/tier/free")) == 9

    def test_an_unauthenticated_call_does_not_count(self, client: APIClient, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/me", limit=10)

        assert client.get("/api/v1/user/me/").status_code == 401

        assert remaining(alice_client.get("/api/v1/user/me/")) == 9


class TestChanges:
    @pytest.fixture
    def limit(self, free: Tier) -> RateLimit:
        return make_rate_limit(free, path="api/v1/users", limit=5)

    def test_a_changed_limit_keeps_the_count(self, alice_client: APIClient, limit: RateLimit) -> None:
        alice_client.get("/api/v1/users")

        limit.limit = 10
        limit.save()

        assert remaining(alice_client.get("/api/v1/users")) == 8

    def test_a_limit_set_below_the_count_refuses(self, alice_client: APIClient, limit: RateLimit) -> None:
        for _ in range(3):
            alice_client.get("/api/v1/users")

        limit.limit = 2
        limit.save()

        response = alice_client.get("/api/v1/users")
        assert (said(response), remaining(response)) == (REFUSED, 0)

    def test_a_changed_period_starts_anew(self, alice_client: APIClient, limit: RateLimit) -> None:
        alice_client.get("/api/v1/users")

        limit.period = 1000
        limit.save()

        assert remaining(alice_client.get("/api/v1/users")) == 4

    def test_a_limit_changed_over_the_api_holds(
        self, alice_client: APIClient, client_for: Callable[[Any], APIClient], admin: Any, limit: RateLimit
    ) -> None:
        response = client_for(admin).patch(f"/api/v1/tier/free/rate_limit/{limit.pk}", {"limit": 0})

        assert said(response) == (200, "Rate Limit updated")
        assert said(alice_client.get("/api/v1/users")) == REFUSED

    def test_a_deleted_limit_holds_no_longer(self, alice_client: APIClient, limit: RateLimit) -> None:
        limit.delete()

        assert "X-RateLimit-Limit" not in alice_client.get("/api/v1/users")

    def test_another_tier_brings_its_limit_and_keeps_the_count(
        self, alice_client: APIClient, alice: Any, limit: RateLimit, pro: Tier
    ) -> None:
        make_rate_limit(pro, path="api/v1/users", limit=100)
        alice_client.get("/api/v1/users")

        alice.tier = pro
        alice.save()

        assert remaining(alice_client.get("/api/v1/users")) == 98

    def test_without_a_tier_the_limit_is_gone(self, alice_client: APIClient, alice: Any, limit: RateLimit) -> None:
        alice.tier = None
        alice.save()

        assert "X-RateLimit-Limit" not in alice_client.get("/api/v1/users")


class TestTwoLimits:
    """
    Who starts a failed task anew is held to the limits of two routes, and who registers to that of a route and to a guard.
    """

    @pytest.fixture
    def retry_url(self, alice: Any, free: Tier) -> str:
        make_rate_limit(free, path="api/v1/tasks/task", limit=1)
        return f"/api/v1/tasks/task/{make_task(alice, status=Status.FAILED).pk.hex}/retry"

    def used(self, client: APIClient) -> dict[str, int]:
        return {limit["path"]: limit["used"] for limit in client.get("/api/v1/user/me/rate_limits").json()["data"]}

    def test_what_one_refuses_consumes_nothing_of_the_other(self, alice_client: APIClient, free: Tier, retry_url: str) -> None:
        make_rate_limit(free, path="api/v1/tasks/task/{id}/retry", limit=5)

        statuses = [alice_client.post(retry_url).status_code for _ in range(4)]

        assert statuses == [201, 429, 429, 429]
        assert self.used(alice_client) == {"api_v1_tasks_task": 1, "api_v1_tasks_task_{id}_retry": 1}

    @pytest.mark.parametrize("limit", [0, 5])
    def test_the_caller_is_told_of_the_one_that_refuses_for_longest(
        self, alice_client: APIClient, free: Tier, retry_url: str, limit: int
    ) -> None:
        make_rate_limit(free, path="api/v1/tasks/task/{id}/retry", limit=limit, period=31_536_000)
        responses = [alice_client.post(retry_url) for _ in range(2)]

        refused = responses[1]
        assert said(refused) == REFUSED
        assert refused["Retry-After"] == refused["X-RateLimit-Reset"]
        assert refused["RateLimit-Policy"].startswith('"api_v1_tasks_task";' if limit else '"api_v1_tasks_task_{id}_retry";')

    def test_a_guard_that_refuses_tells_of_the_limit_that_holds(self, alice_client: APIClient, free: Tier, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = (0, 3600)
        make_rate_limit(free, path="api/v1/user", limit=5)

        responses = [alice_client.post("/api/v1/user", registration()) for _ in range(2)]

        assert [said(response) for response in responses] == [REFUSED] * 2
        assert [remaining(response) for response in responses] == [5, 5]

    def test_a_limit_that_refuses_consumes_nothing_of_a_guard(
        self, alice_client: APIClient, client: APIClient, free: Tier, settings: Settings
    ) -> None:
        settings.REGISTRATION_RATE_LIMIT = (1, 31_536_000)
        make_rate_limit(free, path="api/v1/user", limit=0)
        for _ in range(3):
            assert alice_client.post("/api/v1/user", registration()).status_code == 429

        assert client.post("/api/v1/user", registration()).status_code == 201

    def test_both_are_counted_in_one_round_trip(self, alice_client: APIClient, free: Tier, retry_url: str) -> None:
        make_rate_limit(free, path="api/v1/tasks/task/{id}/retry", limit=5)

        with commands_of("throttle") as commands:
            assert alice_client.post(retry_url).status_code == 201

        assert commands == ["EVALSHA"]
