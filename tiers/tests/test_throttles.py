"""
Limits as the caller meets them; the counting itself is tested in `common`.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from common.routing import api_patterns
from common.tests.answers import said
from common.tests.concurrency import at_once
from common.tests.servers import wait_until
from conftest import make_user

from ..models import Tier
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db

TASK = "/api/v1/tasks/task?message=hello"
REFUSED = (429, "Rate limit exceeded.")
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")


@pytest.fixture
def alice(free: Tier) -> Any:
    return make_user("alice", tier=free)


def remaining(response: Any) -> int:
    return int(response["X-RateLimit-Remaining"])


class TestTierLimit:
    def test_the_limit_is_met_after_that_many_calls(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", limit=2)

        answers = [alice_client.get("/api/v1/users") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert said(answers[2]) == REFUSED

    # Those left out are called by nobody in particular: guards of their own hold on them, whatever the tier.
    @pytest.mark.parametrize(
        ("route", "methods"),
        [
            (route, sorted(getattr(pattern.callback, "actions", None) or {"post"}))
            for route, pattern in api_patterns()
            if pattern.name not in ("login", "refresh")
        ],
    )
    def test_it_holds_on_every_route(
        self, client_for: Callable[[Any], APIClient], admin: Any, free: Tier, route: str, methods: list[str]
    ) -> None:
        admin.tier = free
        admin.save()
        make_rate_limit(free, path=re.sub(r"<str:(\w+)>", r"{\1}", route), limit=0)

        response = getattr(client_for(admin), methods[0])("/" + re.sub(r"<\w+:(\w+)>", "1", route), {})

        assert said(response) == REFUSED

    def test_all_methods_of_a_route_count_together(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/{username}", limit=2)

        alice_client.head("/api/v1/user/alice")
        alice_client.patch("/api/v1/user/alice/", {})

        assert said(alice_client.get("/api/v1/user/alice")) == REFUSED

    def test_another_value_in_the_path_is_the_same_route(self, alice_client: APIClient, free: Tier, bob: Any) -> None:
        make_rate_limit(free, path="api/v1/user/{username}", limit=1)

        alice_client.get("/api/v1/user/alice")

        assert said(alice_client.get("/api/v1/user/bob")) == REFUSED

    def test_other_routes_are_free(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", limit=0)

        assert alice_client.get("/api/v1/user/alice").status_code == 200

    def test_two_users_do_not_share_a_count(self, alice_client: APIClient, client_for: Callable[[Any], APIClient], free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", limit=1)
        other = client_for(make_user("carol", tier=free))

        assert [client.get("/api/v1/users").status_code for client in (alice_client, other, alice_client)] == [200, 200, 429]

    def test_a_user_shares_the_count_on_all_devices(self, client_for: Callable[[Any], APIClient], alice: Any, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", limit=1)

        assert [client_for(alice).get("/api/v1/users").status_code for _ in range(2)] == [200, 429]

    def test_a_cached_answer_counts(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/{username}/posts", limit=1)

        assert [alice_client.get("/api/v1/alice/posts").status_code for _ in range(2)] == [200, 429]

    def test_a_limit_of_another_tier_does_not_matter(self, alice_client: APIClient, pro: Tier) -> None:
        make_rate_limit(pro, path="api/v1/users", limit=0)

        assert alice_client.get("/api/v1/users").status_code == 200

    def test_the_window_ends_when_retry_after_says(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", limit=1, period=2)
        refusal = wait_until(lambda: next((answer for answer in [alice_client.get("/api/v1/users")] if answer.status_code == 429), None))

        assert 1 <= int(refusal["Retry-After"]) <= 2
        time.sleep(int(refusal["Retry-After"]))
        assert alice_client.get("/api/v1/users").status_code == 200

    def test_switched_off_no_limit_holds(self, alice_client: APIClient, free: Tier, settings: Settings) -> None:
        settings.RATE_LIMIT_ENABLED = False
        make_rate_limit(free, path="api/v1/users", limit=0)

        response = alice_client.get("/api/v1/users")

        assert response.status_code == 200
        assert "X-RateLimit-Limit" not in response


@pytest.mark.django_db(transaction=True)
def test_exactly_the_limit_is_admitted_of_many_calls_at_once(alice_client: APIClient, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/users", limit=5)

    answers = at_once(*[lambda: alice_client.get("/api/v1/users")] * 12)

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 7


class TestDefault:
    @pytest.fixture(autouse=True)
    def default(self, settings: Settings) -> None:
        settings.DEFAULT_RATE_LIMIT = (2, 31_536_000)

    def test_it_holds_anonymous_callers_of_the_sample_task(self, client: APIClient) -> None:
        assert [client.post(TASK).status_code for _ in range(3)] == [201, 201, 429]

    def test_it_counts_anonymous_callers_by_address(self, client: APIClient) -> None:
        for _ in range(2):
            client.post(TASK)

        assert client.post(TASK, REMOTE_ADDR="192.0.2.1").status_code == 201

    def test_it_holds_users_whose_tier_has_no_limit_there(self, alice_client: APIClient) -> None:
        assert [alice_client.post(TASK).status_code for _ in range(3)] == [201, 201, 429]

    def test_it_holds_users_without_a_tier(self, client_for: Callable[[Any], APIClient], bob: Any) -> None:
        client = client_for(bob)

        assert [client.post(TASK).status_code for _ in range(3)] == [201, 201, 429]

    def test_the_tiers_own_limit_comes_first(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, limit=3)

        assert [alice_client.post(TASK).status_code for _ in range(4)] == [201, 201, 201, 429]

    @pytest.mark.parametrize("path", ["users", "tiers", "user/alice", "alice/posts", "tasks/task/1"])
    def test_it_holds_nowhere_else(self, client: APIClient, alice: Any, path: str) -> None:
        assert "X-RateLimit-Limit" not in client.get(f"/api/v1/{path}")


class TestHeaders:
    def test_an_admitted_call_tells_all(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/user/{username}", limit=3, period=3600)

        response = alice_client.get("/api/v1/user/alice")

        reset = int(response["X-RateLimit-Reset"])
        assert 0 < reset <= 3600
        assert {name: response[name] for name in HEADERS} == {
            "X-RateLimit-Limit": "3",
            "X-RateLimit-Remaining": "2",
            "X-RateLimit-Reset": str(reset),
            "RateLimit-Policy": '"api_v1_user_{username}";q=3;w=3600',
            "RateLimit": f'"api_v1_user_{{username}}";r=2;t={reset}',
        }
        assert "Retry-After" not in response

    def test_a_refused_call_tells_all_and_when_to_come_back(self, alice_client: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", limit=0, period=3600)

        response = alice_client.get("/api/v1/users")

        assert response["Retry-After"] == response["X-RateLimit-Reset"]
        assert response["RateLimit"] == f'"api_v1_users";r=0;t={response["Retry-After"]}'
        assert response["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize("path", ["user/nobody", "user/alice"])
    def test_what_is_refused_later_tells_all_too(self, alice_client: APIClient, free: Tier, path: str) -> None:
        make_rate_limit(free, path="api/v1/user/{username}", limit=3)

        response = alice_client.patch(f"/api/v1/{path}", {"name": 5})

        assert response.status_code in (404, 422)
        assert remaining(response) == 2

    def test_where_no_limit_holds_nothing_is_told(self, alice_client: APIClient) -> None:
        response = alice_client.get("/api/v1/users")

        assert not [name for name in HEADERS if name in response]
