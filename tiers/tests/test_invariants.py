"""
What the headers promise holds for any sequence of calls.
"""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from common.local_counter import LocalCounter
from common.throttling import Limit, count, read, reset
from conftest import make_user

from ..models import RateLimit, Tier

PERIOD = 31_536_000
patient = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@patient
@given(limit=st.integers(0, 12), costs=st.lists(st.integers(1, 5), max_size=20))
def test_counting_admits_what_fits_and_nothing_else(limit: int, costs: list[int]) -> None:
    name, used, reset_before = uuid.uuid4().hex, 0, PERIOD
    for cost in costs:
        usage = count(name, "x", limit, PERIOD, cost=cost)

        assert usage.is_admitted == (used + cost <= limit)
        used += cost if usage.is_admitted else 0
        assert (usage.used, usage.used + usage.remaining) == (used, limit)
        assert 0 < usage.reset <= reset_before
        reset_before = usage.reset
    (read_now,) = read("x", [Limit(name, limit, PERIOD)])
    assert (read_now.used, read_now.remaining) == (used, limit - used)


@patient
@given(steps=st.lists(st.tuples(st.integers(0, 6), st.sampled_from([PERIOD, PERIOD - 1])), max_size=20))
def test_a_changed_limit_keeps_the_count_and_each_period_has_its_own(steps: list[tuple[int, int]]) -> None:
    name, used = uuid.uuid4().hex, {PERIOD: 0, PERIOD - 1: 0}
    for limit, period in steps:
        usage = count(name, "x", limit, period)

        used[period] += usage.is_admitted
        assert (usage.used, usage.remaining) == (used[period], max(0, limit - used[period]))


@patient
@given(limit=st.integers(0, 6), costs=st.lists(st.integers(1, 3), max_size=20))
def test_a_process_counts_for_itself_as_redis_does(limit: int, costs: list[int]) -> None:
    name, local = uuid.uuid4().hex, LocalCounter()

    there = [count(name, "x", limit, PERIOD, cost=cost) for cost in costs]
    here = [local.count_all([name], [(limit, PERIOD, cost)])[0] for cost in costs]

    assert [(usage.is_admitted, usage.used) for usage in there] == [(bool(admitted), used) for admitted, used, _ in here]


@patient
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_reading_tells_each_counter_its_own_and_a_reset_all(counts: list[int]) -> None:
    subject, limits = uuid.uuid4().hex, [Limit(f"limit-{number}", 4, PERIOD - number) for number in range(len(counts))]
    for limit, number in zip(limits, counts, strict=True):
        for _ in range(number):
            count(limit.name, subject, limit.limit, limit.period)

    assert [usage.used for usage in read(subject, limits)] == counts
    assert reset(subject, limits)
    assert [usage.used for usage in read(subject, limits)] == [0] * len(counts)


class TestHeaders:
    @pytest.fixture
    def alice_client(self, db: None, free: Tier, client_for: Callable[[Any], APIClient]) -> APIClient:
        return client_for(make_user("alice", tier=free))

    @settings(patient, max_examples=15)
    @given(limit=st.integers(0, 8), methods=st.lists(st.sampled_from(["get", "head", "patch"]), min_size=1, max_size=12))
    def test_they_agree_with_each_other_and_with_what_was_admitted(
        self, alice_client: APIClient, free: Tier, limit: int, methods: list[str]
    ) -> None:
        RateLimit.objects.all().delete()
        # A period of its own: each example begins with nothing used.
        period = PERIOD - uuid.uuid4().int % 10_000_000
        RateLimit.objects.create(tier=free, path="api_v1_user_{username}", limit=limit, period=period)
        admitted, reset_before = 0, period
        for method in methods:
            response = getattr(alice_client, method)("/api/v1/user/alice", *([{}] if method == "patch" else []))

            admitted += response.status_code == 200
            told, remaining, ends = (int(response[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
            assert (told, remaining + admitted) == (limit, limit)
            assert 0 < ends <= reset_before
            assert response["RateLimit-Policy"] == f'"api_v1_user_{{username}}";q={limit};w={period}'
            assert response["RateLimit"] == f'"api_v1_user_{{username}}";r={remaining};t={ends}'
            assert response.get("Retry-After") == (str(ends) if response.status_code == 429 else None)
            reset_before = ends
        assert admitted == min(limit, len(methods))
