from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.mail_tokens import EMAIL_VERIFICATION, PASSWORD_RESET, make_token
from accounts.models import Session, User
from accounts.tasks import send_password_reset
from accounts.tokens import access_token
from common.tests.answers import refused, said
from common.tests.concurrency import at_once
from conftest import PASSWORD, make_user
from tasks.models import Task

from .factories import API, YEAR, make_session, registration, status_of
from .guesses import redis_now
from .mailbox import aged_token

pytestmark = pytest.mark.django_db

FORGOT = f"{API}/password/forgot"
RESET = f"{API}/password/reset"
NEW = "An0ther-Word"
ON_ITS_WAY = (202, "If the address is known, a mail is on its way")
CHANGED = (200, "Password changed")
# In microseconds.
HOUR = 3600 * 1_000_000
BAD_TOKEN = [("value_error", ["body", "token"])]


def forgot(email: Any = "alice@example.com", **extra: Any) -> Any:
    return APIClient().post(FORGOT, {"email": email}, **extra)


def reset(token: Any, password: Any = NEW) -> Any:
    return APIClient().post(RESET, {"token": token, "new_password": password})


def reset_token(user: Any) -> str:
    return make_token(PASSWORD_RESET, User.objects.get(pk=user.pk))


def login_status(password: str) -> int:
    return int(APIClient().post(f"{API}/login", {"username": "alice", "password": password}).status_code)


def statements(call: Callable[[], Any]) -> list[str]:
    """
    Return what a call asks of the database, without its values.
    """
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"].partition("WHERE")[0].partition("VALUES")[0] for query in queries.captured_queries]


class TestForgot:
    @pytest.mark.parametrize("email", ["alice@example.com", "ALICE@example.com", "nobody@example.com"])
    def test_the_answer_is_always_the_same(self, alice: Any, email: str) -> None:
        assert said(forgot(email)) == ON_ITS_WAY

    def test_the_work_in_the_request_is_the_same(self, alice: Any) -> None:
        known = statements(forgot)

        assert known == statements(partial(forgot, "nobody@example.com"))
        assert len(known) == 2

    def test_the_mail_is_left_to_a_worker(self, alice: Any, mailoutbox: list[Any]) -> None:
        forgot()

        task = Task.objects.get()
        assert (task.function, task.queue_name, task.status) == ("send_password_reset", "mail", "queued")
        assert mailoutbox == []

    @pytest.mark.parametrize(("email", "known"), [("alice@example.com", True), ("nobody@example.com", False)])
    def test_the_record_names_an_id_and_nothing_else(self, alice: Any, email: str, known: bool) -> None:
        forgot(email)

        task = Task.objects.get()
        assert (task.args, task.kwargs, task.owner) == ([alice.pk if known else None], {}, None)

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({}, ("missing", ["body", "email"])),
            ({"email": "alice"}, ("value_error", ["body", "email"])),
            ({"email": 5}, ("string_type", ["body", "email"])),
            ({"email": f"{'a' * 250}@example.com"}, ("string_too_long", ["body", "email"])),
            ({"email": "alice@example.com", "x": 1}, ("extra_forbidden", ["body", "x"])),
        ],
    )
    def test_bad_input_is_refused_at_its_place(self, client: APIClient, body: Any, error: Any) -> None:
        assert error in refused(client.post(FORGOT, body))
        assert not Task.objects.exists()


class TestGuard:
    @pytest.fixture(autouse=True)
    def two_calls(self, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = (2, YEAR)

    def test_calls_of_one_address_are_limited(self, db: None) -> None:
        assert [forgot().status_code for _ in range(3)] == [202, 202, 429]

    def test_another_address_is_free(self, db: None) -> None:
        forgot()
        forgot()

        assert forgot(REMOTE_ADDR="192.0.2.7").status_code == 202

    def test_registrations_count_apart(self, client: APIClient) -> None:
        forgot()
        forgot()

        assert client.post(f"{API}/user", registration()).status_code == 201

    def test_a_refused_call_asks_for_no_mail(self, alice: Any) -> None:
        for _ in range(5):
            forgot()

        assert Task.objects.count() == 2


class TestWhoGetsAMail:
    def test_who_has_the_address(self, alice: Any, mailoutbox: list[Any]) -> None:
        send_password_reset(alice.pk)

        assert [mail.to for mail in mailoutbox] == [["alice@example.com"]]

    @pytest.mark.parametrize("fields", [{"is_active": False}, {"deleted_at": "2026-01-31T12:00:00Z"}, {"password": "!"}])
    def test_nobody_who_may_not_log_in(self, alice: Any, mailoutbox: list[Any], fields: dict[str, Any]) -> None:
        User.objects.filter(pk=alice.pk).update(**fields)

        send_password_reset(alice.pk)

        assert mailoutbox == []

    def test_nobody_for_an_address_that_is_unknown(self, db: None, mailoutbox: list[Any]) -> None:
        send_password_reset(None)

        assert mailoutbox == []

    def test_nobody_gets_more_than_five_an_hour(self, alice: Any, bob: Any, mailoutbox: list[Any]) -> None:
        began = redis_now() // HOUR
        for _ in range(7):
            send_password_reset(alice.pk)
        # An hour that begins meanwhile has five of its own.
        most = 5 if redis_now() // HOUR == began else 7
        send_password_reset(bob.pk)

        *alices, bobs = [mail.to[0] for mail in mailoutbox]
        assert (set(alices), bobs) == ({"alice@example.com"}, "bob@example.com")
        assert 5 <= len(alices) <= most


class TestReset:
    def test_the_new_password_logs_in_and_the_old_one_does_not(self, alice: Any) -> None:
        assert said(reset(reset_token(alice))) == CHANGED
        assert [login_status(NEW), login_status(PASSWORD)] == [200, 401]

    def test_all_sessions_end(self, alice: Any) -> None:
        sessions = [make_session(alice), make_session(alice)]

        reset(reset_token(alice))

        assert [status_of(access_token(session)) for session in sessions] == [401, 401]
        assert not Session.objects.alive().exists()

    def test_the_address_is_verified_thereby(self, alice: Any) -> None:
        reset(reset_token(alice))

        assert User.objects.get().is_email_verified

    def test_token_is_good_once(self, alice: Any) -> None:
        token = reset_token(alice)
        reset(token)

        assert refused(reset(token, "A-Third-W0rd")) == BAD_TOKEN
        assert login_status(NEW) == 200

    def test_first_of_two_tokens_ends_the_second(self, alice: Any) -> None:
        first, second = reset_token(alice), aged_token(PASSWORD_RESET, User.objects.get(), seconds=5)
        reset(second)

        assert refused(reset(first)) == BAD_TOKEN

    def test_token_is_good_for_an_hour(self, alice: Any) -> None:
        assert said(reset(aged_token(PASSWORD_RESET, alice, seconds=3590))) == CHANGED

    def test_token_is_not_good_for_longer(self, alice: Any) -> None:
        assert refused(reset(aged_token(PASSWORD_RESET, alice, seconds=3601))) == BAD_TOKEN

    @pytest.mark.parametrize(
        "fields",
        [
            {"is_active": False},
            {"deleted_at": "2026-01-31T12:00:00Z"},
            {"password": "!"},
            {"email": "alice@example.org"},
        ],
        ids=["inactive", "deleted", "without a password", "with another address"],
    )
    def test_token_ends_with_what_it_was_made_for(self, alice: Any, fields: dict[str, Any]) -> None:
        token = reset_token(alice)
        User.objects.filter(pk=alice.pk).update(**fields)

        assert refused(reset(token)) == BAD_TOKEN

    def test_token_of_a_removed_user_is_bad(self, alice: Any) -> None:
        token = reset_token(alice)
        alice.delete()

        assert refused(reset(token)) == BAD_TOKEN

    def test_token_of_a_restored_user_is_good_again(self, alice: Any) -> None:
        token = reset_token(alice)
        alice.soft_delete()
        alice.restore()

        assert said(reset(token)) == CHANGED

    def test_token_is_good_for_its_own_user_only(self, alice: Any, bob: Any) -> None:
        token = reset_token(alice).partition(".")[2]

        assert refused(reset(f"{bob.pk}.{token}")) == BAD_TOKEN

    def test_token_that_verifies_an_address_resets_nothing(self, alice: Any) -> None:
        assert refused(reset(make_token(EMAIL_VERIFICATION, alice))) == BAD_TOKEN

    @pytest.mark.parametrize("token", ["nonsense", "1", "1.2.3", "..", "9" * 400, "1.1vMxyz.ü", "-1.a.b", "٣.a.b", f"{2**70}.a.b"])
    def test_what_is_no_token_is_refused(self, alice: Any, token: str) -> None:
        assert refused(reset(token)) == BAD_TOKEN

    @pytest.mark.parametrize(
        ("token", "error"), [("", "string_too_short"), (5, "string_type"), ("x" * 501, "string_too_long"), ("a\0b", "value_error")]
    )
    def test_what_is_no_text_is_refused_as_such(self, alice: Any, token: Any, error: str) -> None:
        assert refused(reset(token)) == [(error, ["body", "token"])]

    def test_every_broken_place_is_named_at_once(self, alice: Any) -> None:
        response = APIClient().post(RESET, {"token": "nonsense", "new_password": "password", "x": 1})

        assert {place[-1] for _, place in refused(response)} == {"token", "new_password", "x"}

    @pytest.mark.parametrize("password", ["", "a", "Sh0rt!!", "password", "12345678901", "carol.jones", "Carol@example.com", "x" * 129, 5])
    def test_the_rules_are_those_of_a_registration(self, client: APIClient, password: Any) -> None:
        registered = refused(client.post(f"{API}/user", registration(password=password)))
        carol = make_user("carol", name="Carol Jones")

        answer = refused(reset(reset_token(carol), password))

        assert [error for error, _ in answer] == [error for error, _ in registered]
        assert answer[0][1] == ["body", "new_password"]

    def test_a_password_that_is_refused_leaves_the_token_good(self, alice: Any) -> None:
        token = reset_token(alice)
        reset(token, "password")

        assert said(reset(token)) == CHANGED


@pytest.mark.django_db(transaction=True)
def test_of_resets_with_one_token_at_once_one_wins(alice: Any, settings: Settings) -> None:
    settings.PASSWORD_HASH_CONCURRENCY = 4
    token = reset_token(alice)
    passwords = [f"{NEW}-{number}" for number in range(4)]

    answers = at_once(*(partial(reset, token, password) for password in passwords))

    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    (winner,) = [password for password, answer in zip(passwords, answers, strict=True) if answer.status_code == 200]
    assert User.objects.get().check_password(winner)
