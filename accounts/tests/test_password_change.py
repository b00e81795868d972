from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.tokens import access_token, refresh_token
from common.tests.answers import refused, said
from common.tests.concurrency import at_once, overtaken_by
from conftest import PASSWORD, make_user

from .factories import API, YEAR, bearer, log_in, make_session, refresh_with, registration, status_of
from .guesses import held

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]
URL = f"{API}/user/me/password"
LOGIN = f"{API}/login"
NEW = "An0ther-Word"
WRONG = "Wr0ngest!"
CHANGED = (200, "Password changed")


def change(client: APIClient, current: Any = PASSWORD, new: Any = NEW) -> Any:
    return client.post(URL, {"current_password": current, "new_password": new})


def login_status(password: str, username: str = "alice") -> int:
    return int(APIClient().post(LOGIN, {"username": username, "password": password}).status_code)


class TestChange:
    def test_the_new_password_logs_in_and_the_old_one_does_not(self, client_for: ClientFor, alice: Any) -> None:
        response = change(client_for(alice))

        assert said(response) == CHANGED
        assert [login_status(NEW), login_status(PASSWORD)] == [200, 401]

    def test_this_session_stays(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

        change(client)

        assert status_of(token) == 200
        assert client.post(f"{API}/refresh").status_code == 200

    def test_every_other_session_ends(self, client_for: ClientFor, alice: Any) -> None:
        others = [make_session(alice), make_session(alice)]

        change(client_for(alice))

        assert [status_of(access_token(session)) for session in others] == [401, 401]
        assert [refresh_with(refresh_token(session)).status_code for session in others] == [401, 401]
        assert Session.objects.alive().count() == 1

    def test_sessions_of_others_go_on(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        session = make_session(bob)

        change(client_for(alice))

        assert status_of(access_token(session)) == 200

    def test_the_session_may_change_it_again(self, client_for: ClientFor, alice: Any) -> None:
        alices = client_for(alice)
        change(alices)

        assert said(change(alices, current=NEW, new=PASSWORD)) == CHANGED

    def test_nothing_else_of_the_user_changes(self, client_for: ClientFor, alice: Any) -> None:
        User.objects.filter(pk=alice.pk).update(is_email_verified=True)

        change(client_for(alice))

        alice.refresh_from_db()
        assert (alice.is_active, alice.is_email_verified, alice.email) == (True, True, "alice@example.com")

    def test_it_takes_few_statements(self, client_for: ClientFor, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        alices = client_for(alice)
        make_session(alice)

        # Two reads and a write of the user, two and two of the sessions and their tokens, and the savepoints around them.
        with django_assert_num_queries(11):
            change(alices)


class TestRefusals:
    def test_wrong_current_password_changes_nothing(self, client_for: ClientFor, alice: Any) -> None:
        session = make_session(alice)

        response = change(client_for(alice), current=WRONG)

        assert refused(response) == [("value_error", ["body", "current_password"])]
        assert login_status(PASSWORD) == 200
        assert status_of(access_token(session)) == 200

    def test_both_places_are_named_at_once(self, client_for: ClientFor, alice: Any) -> None:
        response = change(client_for(alice), current=WRONG, new="password")

        assert refused(response) == [("value_error", ["body", "current_password"]), ("value_error", ["body", "new_password"])]

    @pytest.mark.parametrize(
        "password", ["", "a", "Sh0rt!!", "password", "12345678901", "carol.jones", "Carol@example.com", "x" * 129, 5, None]
    )
    def test_the_rules_are_those_of_a_registration(self, client: APIClient, client_for: ClientFor, password: Any) -> None:
        registered = refused(client.post(f"{API}/user", registration(password=password)))
        carols = client_for(make_user("carol", name="Carol Jones"))

        assert [error for error, _ in refused(change(carols, new=password))] == [error for error, _ in registered]

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            ({}, [("missing", ["body", "current_password"]), ("missing", ["body", "new_password"])]),
            ({"current_password": PASSWORD, "new_password": NEW, "x": 1}, [("extra_forbidden", ["body", "x"])]),
            ({"current_password": 5, "new_password": NEW}, [("string_type", ["body", "current_password"])]),
            ({"current_password": "x" * 129, "new_password": NEW}, [("string_too_long", ["body", "current_password"])]),
        ],
    )
    def test_bad_input_is_refused_at_its_place(self, client_for: ClientFor, alice: Any, body: Any, errors: Any) -> None:
        assert refused(client_for(alice).post(URL, body)) == errors

    def test_what_was_sent_is_not_echoed(self, client_for: ClientFor, alice: Any) -> None:
        assert WRONG.encode() not in change(client_for(alice), current=WRONG, new=WRONG).content

    def test_who_is_not_signed_in_is_refused(self, client: APIClient) -> None:
        assert said(change(client)) == (401, "Not authenticated")

    def test_user_without_a_password_has_no_current_one(self, alice: Any) -> None:
        User.objects.filter(pk=alice.pk).update(password="!")
        client = APIClient(headers=bearer(access_token(make_session(User.objects.get()))))

        assert refused(change(client)) == [("value_error", ["body", "current_password"])]


class TestGuard:
    def test_guesses_are_slowed_down_like_those_at_a_login(self, client_for: ClientFor, alice: Any, settings: Settings) -> None:
        settings.LOGIN_FAILURE_LIMIT = 2
        alices = client_for(alice)

        statuses = [held(change(alices, current=WRONG)).status_code for _ in range(3)]

        assert statuses == [422, 422, 429]
        assert change(alices).status_code == 429

    def test_they_do_not_shut_the_user_out_of_the_login(self, client_for: ClientFor, alice: Any, settings: Settings) -> None:
        alices = client_for(alice)
        settings.LOGIN_FAILURE_LIMIT = 1
        held(change(alices, current=WRONG))

        assert change(alices).status_code == 429
        assert login_status(PASSWORD) == 200

    def test_a_right_one_clears_the_count(self, client_for: ClientFor, alice: Any, settings: Settings) -> None:
        settings.LOGIN_FAILURE_LIMIT = 2
        alices = client_for(alice)
        change(alices, current=WRONG)
        change(alices, new="password")

        assert change(alices, current=WRONG).status_code == 422

    def test_calls_count_as_logins_of_their_address(self, client_for: ClientFor, alice: Any, settings: Settings) -> None:
        alices = client_for(alice)
        settings.LOGIN_RATE_LIMIT = (2, YEAR)
        change(alices, current=WRONG)

        assert [login_status(PASSWORD), change(alices).status_code] == [200, 429]


class TestStartOfASession:
    def test_user_who_was_read_before_a_change_starts_none(self, alice: Any) -> None:
        before = User.objects.get()
        alice.change_password(NEW)

        assert Session.start(before) is None
        assert not Session.objects.exists()

    @pytest.mark.parametrize("fields", [{"is_active": False}, {"deleted_at": "2026-01-31T12:00:00Z"}])
    def test_user_who_is_gone_starts_none(self, alice: Any, fields: dict[str, Any]) -> None:
        User.objects.filter(pk=alice.pk).update(**fields)

        assert Session.start(alice) is None

    def test_session_is_stored_as_it_is_returned(self, alice: Any) -> None:
        session = Session.start(alice, ip_address="2001:db8::1", user_agent="Browser")

        assert session is not None
        stored = Session.objects.get()
        names = [field.attname for field in Session._meta.concrete_fields]
        assert [getattr(session, name) for name in names] == [getattr(stored, name) for name in names]


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_login_that_a_change_overtakes_is_refused(self, alice: Any) -> None:
        def write() -> None:
            alice.set_password(NEW)
            alice.save()

        with overtaken_by(write) as begin:
            login = begin(partial(login_status, PASSWORD))

        assert login.result(30) == 401
        assert not Session.objects.alive().exists()

    def test_of_two_changes_at_once_one_is_made(self, client_for: ClientFor, alice: Any) -> None:
        clients = [client_for(alice), client_for(alice)]

        answers = at_once(*(partial(change, client, new=f"{NEW}-{number}") for number, client in enumerate(clients)))

        assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 422])
        assert Session.objects.alive().count() == 1

    def test_logins_that_all_hash_the_password_anew_all_succeed(self, alice: Any, settings: Settings) -> None:
        settings.PASSWORD_HASH_CONCURRENCY = 3
        User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

        assert at_once(*[partial(login_status, PASSWORD)] * 3) == [200, 200, 200]
        assert Session.objects.alive().count() == 3

    def test_hashing_anew_does_not_bring_an_old_password_back(self, alice: Any) -> None:
        User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        before = User.objects.get()
        alice.set_password(NEW)
        alice.save()

        assert before.check_password(PASSWORD)

        assert User.objects.get().check_password(NEW)
