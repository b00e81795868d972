"""
A user of very many sessions: they end within seconds, by the same statements as a few.
"""

import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.models import Session, User
from accounts.tokens import RefreshToken, refresh_token
from common.tests.concurrency import at_once

from .factories import API, make_session

pytestmark = pytest.mark.django_db

MAKE = """
INSERT INTO accounts_session (id, user_id, generation, created_at, rotated_at, expires_at, user_agent)
SELECT gen_random_uuid(), %s, 0, now(), now(), now() + interval '7 days', '' FROM generate_series(1, %s)
"""
# Of this process's own work, which nobody else's slows down: measured are 0.01 s, and with a signature for each of them 20 s.
SECONDS_FOR_50_000 = 1


def make_sessions(user: Any, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MAKE, [user.pk, count])


def statements(call: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        call()
    return [query["sql"] for query in captured]


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


class TestStatements:
    @pytest.mark.parametrize("end", [deactivate, User.soft_delete, User.delete, lambda user: user.sessions.all().end()])
    def test_they_do_not_grow_with_the_sessions(self, alice: Any, bob: Any, end: Callable[[Any], Any]) -> None:
        make_sessions(alice, 5)
        make_sessions(bob, 5_000)

        few, many = (statements(partial(end, User.objects.get(pk=user.pk))) for user in (alice, bob))

        assert len(many) == len(few)
        # Nor does any of them name the sessions.
        assert sum(map(len, many)) < sum(map(len, few)) + 100
        assert not Session.objects.alive().exists()

    def test_logging_out_everywhere_sends_the_same(self, client_for: Callable[[Any], APIClient], alice: Any, bob: Any) -> None:
        callers = client_for(alice), client_for(bob)
        make_sessions(bob, 5_000)

        few, many = (statements(partial(caller.post, f"{API}/logout/all")) for caller in callers)

        assert len(many) == len(few)
        assert sum(map(len, many)) < sum(map(len, few)) + 100
        assert not Session.objects.alive().exists()

    def test_the_process_holds_none_of_them(self, alice: Any) -> None:
        make_sessions(alice, 5_000)
        tracemalloc.start()
        try:
            alice.sessions.all().end()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert peak < 1_000_000

    def test_more_than_a_statement_ends_are_ended_by_several(self, alice: Any) -> None:
        make_sessions(alice, 7)

        assert alice.sessions.all().end(batch=3) == 7
        assert BlacklistedToken.objects.count() == 7

    def test_a_choice_of_none_asks_nothing_of_the_rows(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(2):
            assert Session.objects.filter(pk__in=[]).end() == 0


@pytest.mark.slow
def test_fifty_thousand_end_without_work_for_each(alice: Any) -> None:
    make_sessions(alice, 50_000)
    began = time.process_time()

    alice.sessions.all().end()

    assert time.process_time() - began < SECONDS_FOR_50_000
    assert BlacklistedToken.objects.count() == 50_000


class TestBlacklist:
    def test_an_entry_is_of_the_token_that_was_current(self, alice: Any, bob: Any) -> None:
        tokens = [refresh_token(make_session(user, generation=7)) for user in (alice, bob)]
        expected = {(user.pk, RefreshToken(token)["jti"]) for user, token in zip((alice, bob), tokens, strict=True)}  # type: ignore[arg-type]

        assert Session.objects.all().end() == 2

        rows = BlacklistedToken.objects.select_related("token")
        assert {(row.token.user_id, row.token.jti) for row in rows} == expected

    def test_it_holds_no_token(self, alice: Any) -> None:
        session = make_session(alice)

        alice.sessions.all().end()

        row = OutstandingToken.objects.get()
        assert (row.token, row.created_at, row.expires_at) == ("", session.rotated_at, session.expires_at)

    def test_what_was_outstanding_before_is_blacklisted_too(self, alice: Any) -> None:
        session = make_session(alice)
        jti = RefreshToken(refresh_token(session))["jti"]  # type: ignore[arg-type]
        OutstandingToken.objects.create(user=alice, jti=jti, token="", expires_at=session.expires_at)

        alice.sessions.all().end()

        assert BlacklistedToken.objects.get().token.jti == jti


@pytest.mark.django_db(transaction=True)
def test_each_is_counted_by_one_of_those_who_end_them_at_once(alice: Any) -> None:
    make_sessions(alice, 2_000)

    counts = at_once(*[lambda: alice.sessions.all().end() for _ in range(4)])

    assert sum(counts) == 2_000
    assert (OutstandingToken.objects.count(), BlacklistedToken.objects.count()) == (2_000, 2_000)
