"""
SQL statements per call. What a transaction costs is counted too: inside the suite's own, a savepoint and its release.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts.models import User
from conftest import PASSWORD, make_user
from tiers.models import RateLimit, Tier

from .factories import API, log_in, make_session, registration

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("users", 1),
        ("users?items_per_page=1", 2),
        ("users?cursor=", 1),
        ("user/alice", 1),
        ("user/nobody", 1),
        ("user/alice/tier", 1),
        ("user/me/", 0),
    ],
)
def test_anonymous_reader_costs(
    client: APIClient, alice: Any, free: Tier, django_assert_num_queries: DjangoAssertNumQueries, path: str, count: int
) -> None:
    User.objects.filter(pk=alice.pk).update(tier=free)

    with django_assert_num_queries(count):
        client.get(f"{API}/{path}")


@pytest.mark.parametrize(
    ("path", "count"), [("users", 2), ("user/me/", 1), ("user/alice", 2), ("user/alice/rate_limits", 2), ("user/bob/rate_limits", 2)]
)
def test_superuser_costs_one_statement_more(
    client_for: ClientFor, admin: Any, alice: Any, bob: Any, django_assert_num_queries: DjangoAssertNumQueries, path: str, count: int
) -> None:
    admins = client_for(admin)

    with django_assert_num_queries(count):
        admins.get(f"{API}/{path}")


def test_tier_costs_one_statement_for_its_limit(
    client_for: ClientFor, alice: Any, free: Tier, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    User.objects.filter(pk=alice.pk).update(tier=free)
    alices = client_for(alice)

    with django_assert_num_queries(2):
        alices.get(f"{API}/user/me/")


@pytest.mark.parametrize(
    ("method", "path", "body", "count"),
    [
        ("patch", "user/alice", {"name": "Alicia"}, 6),
        ("patch", "user/alice", {}, 5),
        ("delete", "user/alice", None, 9),
        ("post", "logout", None, 5),
        ("post", "logout/all", None, 7),
    ],
)
def test_writing_user_costs(
    client_for: ClientFor,
    alice: Any,
    django_assert_num_queries: DjangoAssertNumQueries,
    method: str,
    path: str,
    body: Any,
    count: int,
) -> None:
    alices = client_for(alice)

    with django_assert_num_queries(count):
        getattr(alices, method)(f"{API}/{path}", body)


def test_login_costs_two_statements(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(2):
        client.post(f"{API}/login", {"username": "alice", "password": PASSWORD})


def test_unknown_login_costs_one_statement(client: APIClient, db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        client.post(f"{API}/login", {"username": "nobody", "password": PASSWORD})


def test_refresh_costs_one_statement_and_its_transaction(
    client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    log_in(client, "alice")

    with django_assert_num_queries(3):
        client.post(f"{API}/refresh")


def test_refresh_with_a_broken_cookie_costs_none(client: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client.cookies["refresh_token"] = "a.b.c"

    with django_assert_num_queries(0):
        client.post(f"{API}/refresh")


def test_registration_costs_one_statement_and_its_transaction(client: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(3):
        client.post(f"{API}/user", registration())


def test_list_does_not_grow_with_its_rows(client: APIClient, free: Tier, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(20):
        make_user(f"user{number}", tier=free)

    with django_assert_num_queries(1):
        assert len(client.get(f"{API}/users?items_per_page=100").json()["data"]) == 20


def test_rate_limits_do_not_grow_with_their_rows(
    client_for: ClientFor, admin: Any, free: Tier, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_user("dave", tier=free)
    for path in ("api_v1_users", "api_v1_tiers", "api_v1_tasks_task"):
        RateLimit.objects.create(tier=free, path=path, limit=1, period=60)
    admins = client_for(admin)

    with django_assert_num_queries(3):
        assert len(admins.get(f"{API}/user/dave/rate_limits").json()["tier_rate_limits"]) == 3


def test_ending_sessions_does_not_grow_with_their_number(alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(5):
        make_session(alice)

    with django_assert_num_queries(3):
        alice.sessions.all().end()


def test_patch_writes_only_the_fields_that_it_names(client_for: ClientFor, alice: Any) -> None:
    alices = client_for(alice)

    with CaptureQueriesContext(connection) as queries:
        alices.patch(f"{API}/user/alice", {"name": "Alicia"})

    (update,) = [query["sql"] for query in queries.captured_queries if query["sql"].startswith("UPDATE")]
    written = update.partition(" SET ")[2].partition(" WHERE ")[0]
    assert [column.split(" = ")[0] for column in written.split(", ")] == ['"updated_at"', '"name"']
