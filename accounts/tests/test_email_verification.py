from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.mail_tokens import EMAIL_VERIFICATION, PASSWORD_RESET, make_token
from accounts.models import User
from accounts.tasks import send_email_verification
from common.tests.answers import refused, said
from conftest import PASSWORD, make_user
from tasks.models import Task

from .factories import API, YEAR, log_in, registration
from .mailbox import aged_token

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]
VERIFY = f"{API}/email/verify"
RESEND = f"{API}/email/resend"
LOGIN = f"{API}/login"
VERIFIED = (200, "E-mail address verified")
BAD_TOKEN = [("value_error", ["body", "token"])]
DAY = 24 * 3600


@pytest.fixture
def required(settings: Settings) -> None:
    settings.REQUIRE_VERIFIED_EMAIL = True


def verify(token: Any) -> Any:
    return APIClient().post(VERIFY, {"token": token})


def verification_token(user: Any) -> str:
    return make_token(EMAIL_VERIFICATION, User.objects.get(pk=user.pk))


def is_verified(user: Any) -> bool:
    return bool(User.objects.values_list("is_email_verified", flat=True).get(pk=user.pk))


def set_verified(user: Any) -> None:
    User.objects.filter(pk=user.pk).update(is_email_verified=True)
    user.refresh_from_db()


def asked_for() -> list[tuple[str, Any]]:
    """
    Return the mails that were asked for, each with the user's id.
    """
    return [(task.function, task.args[0]) for task in Task.objects.order_by("created_at")]


class TestVerify:
    def test_token_verifies_the_address(self, alice: Any) -> None:
        assert said(verify(verification_token(alice))) == VERIFIED
        assert is_verified(alice)

    def test_second_click_does_no_harm(self, alice: Any) -> None:
        token = verification_token(alice)
        verify(token)

        assert said(verify(token)) == VERIFIED

    def test_token_for_an_older_address_is_refused(self, alice: Any) -> None:
        token = verification_token(alice)
        alice.email = "alice@example.org"
        alice.save()

        assert refused(verify(token)) == BAD_TOKEN
        assert not is_verified(alice)

    def test_address_that_changes_under_the_token_is_not_verified(self, alice: Any) -> None:
        before = User.objects.get()
        alice.email = "alice@example.org"
        alice.save()

        assert not before.verify_email()
        assert not is_verified(alice)

    def test_token_is_good_for_three_days(self, alice: Any) -> None:
        assert said(verify(aged_token(EMAIL_VERIFICATION, alice, seconds=3 * DAY - 10))) == VERIFIED

    @pytest.mark.parametrize("token", ["nonsense", "1.a.b", "1"])
    def test_bad_token_is_refused(self, alice: Any, token: str) -> None:
        assert refused(verify(token)) == BAD_TOKEN

    def test_old_token_is_refused(self, alice: Any) -> None:
        assert refused(verify(aged_token(EMAIL_VERIFICATION, alice, seconds=3 * DAY + 1))) == BAD_TOKEN

    def test_token_that_resets_a_password_verifies_nothing(self, alice: Any) -> None:
        assert refused(verify(make_token(PASSWORD_RESET, alice))) == BAD_TOKEN

    @pytest.mark.parametrize("fields", [{"is_active": False}, {"deleted_at": "2026-01-31T12:00:00Z"}])
    def test_token_of_who_is_gone_is_refused(self, alice: Any, fields: dict[str, Any]) -> None:
        token = verification_token(alice)
        User.objects.filter(pk=alice.pk).update(**fields)

        assert refused(verify(token)) == BAD_TOKEN

    def test_body_without_a_token_is_refused(self, client: APIClient) -> None:
        assert refused(client.post(VERIFY, {})) == [("missing", ["body", "token"])]


class TestResend:
    @pytest.mark.parametrize("email", ["alice@example.com", "bob@example.com", "nobody@example.com"])
    def test_the_answer_is_always_the_same(self, client: APIClient, alice: Any, bob: Any, email: str) -> None:
        set_verified(bob)

        response = client.post(RESEND, {"email": email})

        assert said(response) == (202, "If the address waits to be verified, a mail is on its way")
        assert Task.objects.get().function == "send_email_verification"

    def test_who_waits_gets_a_mail(self, alice: Any, mailoutbox: list[Any]) -> None:
        send_email_verification(alice.pk)

        assert [mail.to for mail in mailoutbox] == [["alice@example.com"]]

    @pytest.mark.parametrize("fields", [{"is_email_verified": True}, {"is_active": False}, {"deleted_at": "2026-01-31T12:00:00Z"}])
    def test_who_does_not_wait_gets_none(self, alice: Any, mailoutbox: list[Any], fields: dict[str, Any]) -> None:
        User.objects.filter(pk=alice.pk).update(**fields)

        send_email_verification(alice.pk)
        send_email_verification(None)

        assert mailoutbox == []

    def test_calls_of_one_address_are_limited_apart_from_forgot(self, client: APIClient, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = (1, YEAR)
        body = {"email": "alice@example.com"}
        client.post(f"{API}/password/forgot", body)

        assert [client.post(RESEND, body).status_code for _ in range(2)] == [202, 429]


class TestLogin:
    def test_it_is_open_to_all_by_default(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")

    def test_who_is_not_verified_is_refused_where_that_is_required(self, client: APIClient, required: None, alice: Any) -> None:
        response = client.post(LOGIN, {"username": "alice", "password": PASSWORD})

        assert said(response) == (403, "Verify your e-mail address first.")
        assert "refresh_token" not in response.cookies
        assert not alice.sessions.exists()

    @pytest.mark.parametrize("name", ["alice", "nobody"])
    def test_wrong_password_tells_nothing_of_that(self, client: APIClient, required: None, alice: Any, name: str) -> None:
        response = client.post(LOGIN, {"username": name, "password": "Wr0ngest!"})

        assert said(response) == (401, "Wrong username, email or password.")

    def test_who_is_verified_logs_in(self, client: APIClient, required: None, alice: Any) -> None:
        verify(verification_token(alice))

        log_in(client, "alice")

    def test_right_password_does_not_count_as_a_guess(self, client: APIClient, required: None, alice: Any, settings: Settings) -> None:
        settings.LOGIN_FAILURE_LIMIT = 1

        statuses = [client.post(LOGIN, {"username": "alice", "password": PASSWORD}).status_code for _ in range(3)]

        assert statuses == [403, 403, 403]


class TestMailToNewUsers:
    def test_new_user_gets_one_where_it_is_required(self, client: APIClient, required: None) -> None:
        carol = client.post(f"{API}/user", registration()).json()

        assert asked_for() == [("send_email_verification", carol["id"])]

    def test_nobody_gets_one_otherwise(self, client: APIClient, db: None) -> None:
        client.post(f"{API}/user", registration())

        assert asked_for() == []

    def test_registration_that_fails_sends_none(self, client: APIClient, required: None, alice: Any) -> None:
        before = len(asked_for())

        client.post(f"{API}/user", registration(email="alice@example.com"))

        assert len(asked_for()) == before

    def test_user_who_is_made_verified_gets_none(self, required: None, db: None) -> None:
        make_user("dave", is_email_verified=True)

        assert asked_for() == []


class TestChangeOfAddress:
    @pytest.fixture(autouse=True)
    def verified(self, alice: Any) -> None:
        set_verified(alice)

    def test_address_is_unverified_again(self, client_for: ClientFor, alice: Any) -> None:
        client_for(alice).patch(f"{API}/user/alice", {"email": "alice@example.org"})

        assert not is_verified(alice)

    def test_new_address_gets_a_mail_where_that_is_required(self, client_for: ClientFor, required: None, alice: Any) -> None:
        client_for(alice).patch(f"{API}/user/alice", {"email": "alice@example.org"})

        assert asked_for() == [("send_email_verification", alice.pk)]

    @pytest.mark.parametrize("body", [{"email": "Alice@Example.com"}, {"name": "Alicia"}, {"username": "alicia"}, {}])
    def test_other_changes_leave_it_verified(self, client_for: ClientFor, required: None, alice: Any, body: dict[str, str]) -> None:
        client_for(alice).patch(f"{API}/user/alice", body)

        assert is_verified(alice)
        assert asked_for() == []

    def test_save_of_other_fields_leaves_it_verified(self, alice: Any) -> None:
        alice.email = "alice@example.org"
        alice.save(update_fields=["name"])

        assert is_verified(alice)

    def test_user_read_in_part_is_unverified_too(self, alice: Any) -> None:
        user = User.objects.only("username").get()
        user.email = "alice@example.org"
        user.save(update_fields=["email"])

        assert not is_verified(alice)

    def test_address_may_be_given_as_verified(self, alice: Any) -> None:
        User.objects.filter(pk=alice.pk).update(is_email_verified=False)
        user = User.objects.get()
        user.email, user.is_email_verified = "alice@example.org", True
        user.save()

        assert is_verified(alice)

    def test_old_address_that_comes_back_is_unverified(self, client_for: ClientFor, alice: Any) -> None:
        alices = client_for(alice)
        alices.patch(f"{API}/user/alice", {"email": "alice@example.org"})
        alices.patch(f"{API}/user/alice", {"email": "alice@example.com"})

        assert not is_verified(alice)


class TestSuperusers:
    def test_those_made_by_commands_are_verified(self, settings: Settings, db: None) -> None:
        settings.FIRST_SUPERUSER = {"name": "Admin", "email": "admin@example.com", "username": "admin", "password": PASSWORD}
        call_command("create_first_superuser", verbosity=0)
        call_command("createsuperuser", "--no-input", username="root", email="root@example.com", name="Root", verbosity=0)

        assert list(User.objects.values_list("username", "is_email_verified")) == [("admin", True), ("root", True)]


def test_rows_that_the_version_before_writes_have_a_default(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_default FROM information_schema.columns WHERE table_name = 'accounts_user' AND column_name = 'is_email_verified'"
        )
        assert cursor.fetchone() == ("false",)
