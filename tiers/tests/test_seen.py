"""
What whoever runs the site sees of limits: counters at `/metrics`, and warnings where a default stands in.
"""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from common.counters import Label
from common.tests.api_calls import signed_in
from common.tests.servers import Server
from conftest import make_user

from ..models import Tier
from ..throttles import Seldom
from .factories import make_rate_limit

TASK = "/api/v1/tasks/task"


def counted(throttle: str, route: str, tier: str) -> tuple[float, float]:
    """
    Return how many calls were admitted and refused so far.
    """
    labels = {"throttle": throttle, "route": route, "tier": tier}
    return tuple(
        REGISTRY.get_sample_value("rate_limited_calls_total", {**labels, "outcome": outcome}) or 0 for outcome in ("admitted", "refused")
    )  # type: ignore[return-value]


@pytest.mark.django_db
class TestCounters:
    def test_calls_are_counted_by_route_and_tier(self, client_for: Callable[[Any], APIClient], alice: Any) -> None:
        name = f"tier {uuid.uuid4().hex}"
        alice.tier = Tier.objects.create(name=name)
        alice.save()
        make_rate_limit(alice.tier, path="api/v1/user/{username}", limit=2)
        client = client_for(alice)

        for _ in range(5):
            client.get("/api/v1/user/alice")

        assert counted("TierThrottle", "api_v1_user_{username}", name) == (2, 3)

    @pytest.mark.parametrize("is_known", [True, False])
    def test_who_has_no_tier_is_told_apart(
        self, client: APIClient, client_for: Callable[[Any], APIClient], bob: Any, is_known: bool
    ) -> None:
        caller = client_for(bob) if is_known else client
        tier = "(none)" if is_known else "(anonymous)"
        before = counted("TierThrottle", "api_v1_tasks_task", tier)

        caller.post(TASK, {"message": 5})

        assert counted("TierThrottle", "api_v1_tasks_task", tier) == (before[0] + 1, before[1])

    def test_guards_are_counted_whatever_the_tier(self, client: APIClient) -> None:
        before = counted("LoginThrottle", "api_v1_login", "(any)")

        client.post("/api/v1/login", {"username": "nobody", "password": "Wr0ngest!"})

        assert counted("LoginThrottle", "api_v1_login", "(any)") == (before[0] + 1, before[1])

    def test_where_no_limit_holds_nothing_is_counted(self, client_for: Callable[[Any], APIClient], bob: Any) -> None:
        client_for(bob).get("/api/v1/tiers")

        assert counted("TierThrottle", "api_v1_tiers", "(none)") == (0, 0)


def test_what_comes_after_many_tiers_shares_a_label() -> None:
    label = Label(most=2)

    assert [label(name) for name in ("free", "pro", "gold", "free", "silver")] == ["free", "pro", "(other)", "free", "(other)"]


@pytest.mark.django_db(transaction=True)
def test_a_default_that_stands_in_is_told_once_a_minute(serve: Callable[..., Server], alice: Any, bob: Any, free: Tier) -> None:
    make_user("carol", tier=free)
    make_rate_limit(free, path="api/v1/user/me", limit=1)
    server = serve(WEB_CONCURRENCY="1")
    for name in ("alice", "bob", "carol"):
        headers = signed_in(server, name)
        for _ in range(3):
            requests.post(f"{server.api}/tasks/task", json={"message": 5}, headers=headers, timeout=10)
            requests.get(f"{server.api}/user/me/", headers=headers, timeout=10)

    log = server.log.read_text()
    assert log.count(" has no tier: the default held on api_v1_tasks_task") == 1
    assert log.count("Tier free has no limit for api_v1_tasks_task: the default held") == 1
    assert log.count("the default held") == 2
    metrics = requests.get(f"{server.url}/metrics", timeout=10).text
    lines = [line for line in metrics.splitlines() if line.startswith("rate_limited_calls_total") and "TierThrottle" in line]
    labels = {
        ("(none)", "api_v1_tasks_task", "admitted"): 6,
        ("free", "api_v1_tasks_task", "admitted"): 3,
        ("free", "api_v1_user_me", "admitted"): 1,
        ("free", "api_v1_user_me", "refused"): 2,
    }
    assert sorted(lines) == sorted(
        f'rate_limited_calls_total{{outcome="{outcome}",route="{route}",throttle="TierThrottle",tier="{tier}"}} {number}.0'
        for (tier, route, outcome), number in labels.items()
    )


class TestSeldom:
    def test_it_is_time_once_for_each_key(self) -> None:
        seldom = Seldom()

        assert [seldom.is_time(key) for key in (("a", ""), ("a", ""), ("a", "b"), ("a", "b"))] == [True, False, True, False]

    def test_it_is_time_again_later(self) -> None:
        seldom = Seldom(seconds=0)

        assert [seldom.is_time(("a", "")) for _ in range(2)] == [True, True]

    def test_it_keeps_a_bounded_number_of_keys(self) -> None:
        seldom = Seldom(most=10)

        said = [seldom.is_time((f"{number}", "")) for number in range(30)]

        assert (sum(said), len(seldom.said_at)) == (10, 10)
