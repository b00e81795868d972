"""
How many SQL queries a call takes.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from common.routing import api_routes

from ..models import Tier
from .factories import make_rate_limit, make_tier

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("rows", [1, 30])
def test_a_list_of_tiers_takes_one_query(client: APIClient, django_assert_num_queries: DjangoAssertNumQueries, rows: int) -> None:
    for number in range(rows):
        make_tier(f"tier {number}")

    # A page that is not full needs no count.
    with django_assert_num_queries(1):
        client.get("/api/v1/tiers?items_per_page=100")


@pytest.mark.parametrize("rows", [1, 15])
def test_a_list_of_limits_takes_two_queries(
    client: APIClient, free: Tier, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for route in list(api_routes())[:rows]:
        make_rate_limit(free, path=route.replace("<str:", "{").replace(">", "}"))

    with django_assert_num_queries(2):  # the tier, the rows
        client.get("/api/v1/tier/free/rate_limits?items_per_page=100")


def test_an_anonymous_call_asks_for_no_limit(client: APIClient, free: Tier, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_rate_limit(free, path="api/v1/tiers")

    with django_assert_num_queries(1):
        client.get("/api/v1/tiers")


@pytest.mark.parametrize(("has_tier", "queries"), [(False, 2), (True, 3)])
def test_a_limit_costs_a_user_in_a_tier_one_query(
    client_for: Callable[[Any], APIClient],
    alice: Any,
    free: Tier,
    django_assert_num_queries: DjangoAssertNumQueries,
    has_tier: bool,
    queries: int,
) -> None:
    alice.tier = free if has_tier else None
    alice.save()
    client = client_for(alice)

    with django_assert_num_queries(queries):  # the caller with their session, the limit of the tier, the tier
        client.get("/api/v1/tier/free")
