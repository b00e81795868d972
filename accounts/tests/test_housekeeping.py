from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.sessions.models import Session as AdminSession
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.housekeeping import remove_expired
from accounts.models import Session
from accounts.tasks import remove_expired_sessions
from common.tests.servers import wait_until

from .factories import make_session

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def make_over(user: Any, *, hours: int, field: str = "ended_at") -> Session:
    return make_session(user, **{field: timezone.now() - hours * HOUR})


def age_tokens(**fields: Any) -> None:
    OutstandingToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1), **fields)


class TestSessions:
    @pytest.mark.parametrize("field", ["ended_at", "expires_at"])
    def test_those_that_have_been_over_for_a_day_go(self, alice: Any, field: str) -> None:
        make_over(alice, hours=25, field=field)
        recent = make_over(alice, hours=23, field=field)
        alive = make_session(alice)

        assert remove_expired() == (1, 0)
        assert set(Session.objects.all()) == {recent, alive}

    def test_those_of_a_deleted_user_go_when_they_are_over(self, alice: Any) -> None:
        make_session(alice)
        alice.soft_delete()
        Session.objects.update(ended_at=timezone.now() - 25 * HOUR)

        assert remove_expired()[0] == 1

    def test_more_than_a_batch_goes_in_batches(self, alice: Any) -> None:
        for _ in range(7):
            make_over(alice, hours=48)
        alive = [make_session(alice) for _ in range(3)]

        assert remove_expired(batch=3) == (7, 0)
        assert set(Session.objects.all()) == set(alive)

    def test_statements_do_not_grow_with_the_rows_of_a_batch(self, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        for _ in range(20):
            make_over(alice, hours=48)

        # Keys, rows and a look for more; a look for tokens; the admin's sessions.
        with django_assert_num_queries(5):
            remove_expired()


class TestTokens:
    def test_those_past_their_expiry_go_with_their_entry_in_the_blacklist(self, alice: Any) -> None:
        make_session(alice)
        alice.sessions.all().end()
        age_tokens()

        assert remove_expired() == (0, 1)
        assert not BlacklistedToken.objects.exists()

    def test_those_that_would_still_be_good_stay_in_the_blacklist(self, alice: Any) -> None:
        make_session(alice)
        alice.sessions.all().end()

        assert remove_expired() == (0, 0)
        assert BlacklistedToken.objects.count() == 1

    def test_those_of_nobody_go_too(self, alice: Any) -> None:
        make_session(alice)
        alice.sessions.all().end()
        age_tokens(user=None)

        assert remove_expired() == (0, 1)


def test_sessions_of_the_admins_visitors_go_too(db: None) -> None:
    AdminSession.objects.create(session_key="old", session_data="", expire_date=timezone.now() - HOUR)
    AdminSession.objects.create(session_key="new", session_data="", expire_date=timezone.now() + HOUR)

    remove_expired()

    assert [session.session_key for session in AdminSession.objects.all()] == ["new"]


def test_command_says_what_it_removed(alice: Any) -> None:
    make_over(alice, hours=48)
    outputs = [StringIO(), StringIO()]

    for output in outputs:
        call_command("remove_expired_sessions", stdout=output)

    assert [output.getvalue() for output in outputs] == ["Removed 1 sessions and 0 tokens.\n", "Removed 0 sessions and 0 tokens.\n"]


def test_it_runs_every_hour(settings: Settings) -> None:
    (entry,) = [entry for entry in settings.CELERY_BEAT_SCHEDULE.values() if entry["task"] == remove_expired_sessions.name]

    assert entry["schedule"] == 3600


@pytest.mark.django_db(transaction=True)
def test_a_worker_knows_the_task(start_worker: Callable[..., Any], alice: Any) -> None:
    make_over(alice, hours=48)
    start_worker()

    remove_expired_sessions.apply_async(queue="default")

    wait_until(lambda: not Session.objects.exists(), what="the housekeeping")
