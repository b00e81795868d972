import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import Session
from common.tests.answers import refused
from conftest import PASSWORD, make_user

from .factories import API, YEAR, bearer, log_in, make_session

pytestmark = pytest.mark.django_db

URL = f"{API}/login"
WRONG = {"detail": "Wrong username, email or password."}
FORM = "application/x-www-form-urlencoded"


def test_login_answers_with_a_bearer_token(client: APIClient, alice: Any) -> None:
    response = client.post(URL, {"username": "alice", "password": PASSWORD})

    assert response.status_code == 200
    assert response.json().keys() == {"access_token", "token_type"}
    assert response.json()["token_type"] == "bearer"


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.com", "Alice@Example.com"])
def test_name_is_a_username_or_an_email_in_any_case(client: APIClient, alice: Any, name: str) -> None:
    token = log_in(client, name)

    assert client.get(f"{API}/user/me/", headers=bearer(token)).json()["username"] == "alice"


def test_form_logs_in(client: APIClient, alice: Any) -> None:
    response = client.post(URL, "username=alice&password=Str1ngst%21", content_type=FORM)

    assert response.status_code == 200


def test_multipart_form_logs_in(client: APIClient, alice: Any) -> None:
    assert client.post(URL, {"username": "alice", "password": PASSWORD}, format="multipart").status_code == 200


def test_form_passes_over_what_oauth2_clients_add(client: APIClient, alice: Any) -> None:
    body = "grant_type=password&username=alice&password=Str1ngst%21&scope=&client_id=x&client_secret=y"

    assert client.post(URL, body, content_type=FORM).status_code == 200


def test_json_with_an_unknown_field_is_refused(client: APIClient, alice: Any) -> None:
    response = client.post(URL, {"username": "alice", "password": PASSWORD, "scope": ""})

    assert refused(response) == [("extra_forbidden", ["body", "scope"])]


def test_of_a_repeated_form_field_the_last_counts(client: APIClient, alice: Any) -> None:
    response = client.post(URL, "username=bob&username=alice&password=Str1ngst%21", content_type=FORM)

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "errors"),
    [
        ("", FORM, [("missing", ["body"])]),
        ("x=1", FORM, [("missing", ["body", "username"]), ("missing", ["body", "password"])]),
        ("username=alice", FORM, [("missing", ["body", "password"])]),
        ("username=&password=x", FORM, [("string_too_short", ["body", "username"])]),
        ("username=al%00ice&password=x", FORM, [("value_error", ["body", "username"])]),
        ('{"username": "alice", "password": 5}', "application/json", [("string_type", ["body", "password"])]),
        ('{"username": "alice", "password": "\\ud800"}', "application/json", [("value_error", ["body", "password"])]),
        ('["alice"]', "application/json", [("model_attributes_type", ["body"])]),
    ],
)
def test_bad_input_is_refused_at_its_place(client: APIClient, body: str, content_type: str, errors: list[Any]) -> None:
    response = client.post(URL, body, content_type=content_type)

    assert refused(response) == errors


def test_other_media_type_is_415(client: APIClient) -> None:
    response = client.post(URL, "alice", content_type="text/plain")

    assert (response.status_code, response.json()) == (415, {"detail": "Unsupported media type."})


def test_get_is_405(client: APIClient) -> None:
    response = client.get(URL)

    assert (response.status_code, response.json()) == (405, {"detail": "Method not allowed."})
    assert response["Allow"] == "POST, OPTIONS"


class TestCookie:
    def test_refresh_token_is_a_cookie_that_scripts_cannot_read(self, client: APIClient, alice: Any) -> None:
        cookie = client.post(URL, {"username": "alice", "password": PASSWORD}).cookies["refresh_token"]

        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"], cookie["path"]) == (True, "Lax", 604_800, "/api/v1")

    def test_cookie_is_not_secure_in_local_mode(self, client: APIClient, alice: Any) -> None:
        assert not client.post(URL, {"username": "alice", "password": PASSWORD}).cookies["refresh_token"]["secure"]

    def test_cookie_is_secure_where_the_setting_says_so(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.REFRESH_COOKIE_SECURE = True

        assert client.post(URL, {"username": "alice", "password": PASSWORD}).cookies["refresh_token"]["secure"] is True

    def test_samesite_follows_the_setting(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.REFRESH_COOKIE_SAMESITE = "Strict"

        assert client.post(URL, {"username": "alice", "password": PASSWORD}).cookies["refresh_token"]["samesite"] == "Strict"

    def test_wrong_login_sets_none(self, client: APIClient, alice: Any) -> None:
        assert "refresh_token" not in client.post(URL, {"username": "alice", "password": "Wr0ngest!"}).cookies

    def test_answer_is_kept_by_nobody(self, client: APIClient, alice: Any) -> None:
        assert client.post(URL, {"username": "alice", "password": PASSWORD})["Cache-Control"] == "private, no-store"


class TestWrong:
    def test_wrong_password_is_401(self, client: APIClient, alice: Any) -> None:
        response = client.post(URL, {"username": "alice", "password": "Wr0ngest!"})

        assert (response.status_code, response.json()) == (401, WRONG)
        assert response["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("name", ["nobody", "nobody@example.com", "me", "alice@", " alice", "ali%"])
    def test_unknown_user_reads_the_same(self, client: APIClient, alice: Any, name: str) -> None:
        response = client.post(URL, {"username": name, "password": PASSWORD})

        assert (response.status_code, response.json()) == (401, WRONG)

    def test_deleted_user_reads_the_same(self, client: APIClient, alice: Any) -> None:
        alice.soft_delete()

        response = client.post(URL, {"username": "alice", "password": PASSWORD})

        assert (response.status_code, response.json()) == (401, WRONG)

    def test_inactive_user_reads_the_same(self, client: APIClient, alice: Any) -> None:
        alice.is_active = False
        alice.save()

        response = client.post(URL, {"username": "alice", "password": PASSWORD})

        assert (response.status_code, response.json()) == (401, WRONG)

    def test_user_without_a_password_reads_the_same(self, client: APIClient, alice: Any) -> None:
        alice.set_unusable_password()
        alice.save()

        response = client.post(URL, {"username": "alice", "password": PASSWORD})

        assert (response.status_code, response.json()) == (401, WRONG)

    def test_password_is_not_trimmed(self, client: APIClient, alice: Any) -> None:
        assert client.post(URL, {"username": "alice", "password": f"{PASSWORD} "}).status_code == 401

    def test_wrong_login_starts_no_session(self, client: APIClient, alice: Any) -> None:
        client.post(URL, {"username": "alice", "password": "Wr0ngest!"})

        assert not Session.objects.exists()

    @pytest.mark.parametrize("name", ["nobody", "deleted", "inactive", "unusable"])
    def test_refusal_takes_as_long_as_a_wrong_password(self, client: APIClient, alice: Any, settings: Settings, name: str) -> None:
        # A name that is guessed at is refused without a hash after a while, which would be the fastest.
        settings.LOGIN_FAILURE_LIMIT = 0
        make_user("deleted").soft_delete()
        make_user("inactive", is_active=False)
        make_user("unusable", password=None)

        def timed(name: str) -> float:
            # A hash is computed in the thread that asks for it. What else the machine does meanwhile is not to be measured.
            started = time.thread_time()
            response = client.post(URL, {"username": name, "password": "Wr0ngest!"})
            assert response.status_code == 401
            return time.thread_time() - started

        # In turn, and the fastest of each: a machine may become slower.
        pairs = [(timed(name), timed("alice")) for _ in range(8)]

        assert 0.5 < min(first for first, _ in pairs) / min(second for _, second in pairs) < 2


class TestGuard:
    def test_too_many_attempts_from_one_address_are_refused(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (2, YEAR)
        client.post(URL, {"username": "alice", "password": "Wr0ngest!"})
        client.post(URL, {"username": "bob", "password": "Wr0ngest!"})

        response = client.post(URL, {"username": "alice", "password": PASSWORD})

        assert (response.status_code, response.json()) == (429, {"detail": "Rate limit exceeded."})
        assert 0 < int(response["Retry-After"]) <= YEAR

    def test_attempts_from_another_address_are_free(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (1, YEAR)
        client.post(URL, {"username": "nobody", "password": "Wr0ngest!"})

        response = client.post(URL, {"username": "alice", "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")

        assert response.status_code == 200

    def test_malformed_attempt_is_counted(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (1, YEAR)
        client.post(URL, "{", content_type="application/json")

        assert client.post(URL, {"username": "alice", "password": PASSWORD}).status_code == 429

    def test_405_is_not_counted(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (1, YEAR)
        client.get(URL)

        assert client.post(URL, {"username": "alice", "password": PASSWORD}).status_code == 200

    def test_signed_in_caller_is_counted_by_address_too(
        self, client_for: Callable[[Any], APIClient], alice: Any, settings: Settings
    ) -> None:
        alices = client_for(alice)
        settings.LOGIN_RATE_LIMIT = (1, YEAR)
        alices.post(URL, {"username": "bob", "password": "Wr0ngest!"})

        assert APIClient().post(URL, {"username": "alice", "password": PASSWORD}).status_code == 429


def test_password_hashed_by_django_is_hashed_anew_and_ends_no_session(client: APIClient, alice: Any) -> None:
    session = make_session(alice)
    type(alice).objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    log_in(client, "alice")

    alice.refresh_from_db()
    session.refresh_from_db()
    assert alice.password.startswith("argon2$")
    assert session.ended_at is None
