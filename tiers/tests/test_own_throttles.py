"""
What a developer adds to a view: the default, a cost, a throttle of their own.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from common.tests.answers import said

from ..models import RateLimit, Tier

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tiers.tests.limited_views")]

REFUSED = (429, "Rate limit exceeded.")


class TestCost:
    def test_a_call_consumes_what_the_view_says(self, client: APIClient, settings: Settings) -> None:
        settings.DEFAULT_RATE_LIMIT = (12, 31_536_000)

        answers = [client.get("/api/v1/report") for _ in range(3)]

        assert [(answer.status_code, answer["X-RateLimit-Remaining"]) for answer in answers] == [(200, "7"), (200, "2"), (429, "2")]
        assert said(answers[2]) == REFUSED

    def test_it_counts_against_the_limit_of_a_tier_too(
        self, client_for: Callable[[Any], APIClient], alice: Any, free: Tier, settings: Settings
    ) -> None:
        RateLimit.objects.create(tier=free, path="api_v1_report", limit=5, period=31_536_000)
        alice.tier = free
        alice.save()
        client = client_for(alice)

        assert [client.get("/api/v1/report").status_code for _ in range(2)] == [200, 429]


class TestOwnThrottle:
    def test_it_admits_as_many_as_it_says(self, client: APIClient) -> None:
        assert [client.get("/api/v1/export/one").status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_it_counts_whom_it_says(self, client: APIClient) -> None:
        for _ in range(4):
            client.get("/api/v1/export/one")

        assert client.get("/api/v1/export/two").status_code == 200

    def test_its_refusal_says_how_long_to_wait(self, client: APIClient) -> None:
        answers = [client.get("/api/v1/export/one") for _ in range(4)]

        assert said(answers[3]) == REFUSED
        assert 0 < int(answers[3]["Retry-After"]) <= 31_536_000

    def test_its_headers_are_told_only_where_it_says_so(self, client: APIClient) -> None:
        assert "X-RateLimit-Limit" not in client.get("/api/v1/export/one")

    @pytest.mark.parametrize(("default", "told"), [(2, '"api_v1_told_{project}";r=1;'), (9, '"exports";r=2;')])
    def test_of_two_that_are_told_it_is_the_one_with_least_left(
        self, client: APIClient, settings: Settings, default: int, told: str
    ) -> None:
        settings.DEFAULT_RATE_LIMIT = (default, 31_536_000)

        assert client.get("/api/v1/told/one")["RateLimit"].startswith(told)
