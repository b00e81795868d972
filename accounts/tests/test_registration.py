from functools import partial
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from common.tests.answers import refused
from common.tests.concurrency import at_once
from conftest import PASSWORD
from tiers.models import Tier

from .factories import API, YEAR, registration

pytestmark = pytest.mark.django_db

URL = f"{API}/user"


def test_registration_answers_with_the_user_and_shows_the_email(client: APIClient) -> None:
    response = client.post(URL, registration())

    assert response.status_code == 201
    assert response.json() == {
        "id": User.objects.get().pk,
        "name": "Carol Jones",
        "username": "carol",
        "email": "carol@example.com",
        "profile_image_url": "https://profileimageurl.com",
        "tier_id": None,
    }


def test_new_user_can_log_in(client: APIClient) -> None:
    client.post(URL, registration())

    assert client.post(f"{API}/login", {"username": "carol", "password": PASSWORD}).status_code == 200


def test_new_user_is_no_superuser(client: APIClient) -> None:
    client.post(URL, registration())

    user = User.objects.get()
    assert (user.is_superuser, user.is_staff, user.is_active) == (False, False, True)


def test_password_is_stored_hashed(client: APIClient) -> None:
    client.post(URL, registration())

    assert User.objects.get().password.startswith("argon2$argon2id$")


def test_email_is_kept_in_lower_case(client: APIClient) -> None:
    response = client.post(URL, registration(email="Carol@Example.COM"))

    assert response.json()["email"] == "carol@example.com"


def test_name_is_not_trimmed(client: APIClient) -> None:
    assert client.post(URL, registration(name=" Carol ")).json()["name"] == " Carol "


def test_new_user_gets_the_default_tier(client: APIClient, free: Tier, settings: Settings) -> None:
    settings.DEFAULT_TIER = "free"

    assert client.post(URL, registration()).json()["tier_id"] == free.pk


def test_default_tier_that_does_not_exist_gives_none(client: APIClient, settings: Settings) -> None:
    settings.DEFAULT_TIER = "gone"

    assert client.post(URL, registration()).json()["tier_id"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Cj"},
        {"name": "ü" * 30},
        {"username": "c2"},
        {"username": "1" * 20},
        {"username": "admin"},
        {"email": f"carol@{'.'.join(['a' * 60] * 4)}.aero"},
        {"email": "carol+list@sub.example.co.uk"},
        {"password": "Str1ngs!"},
        {"password": "Ä😀-" * 42},
    ],
)
def test_input_at_its_bounds_is_taken(client: APIClient, fields: dict[str, str]) -> None:
    assert client.post(URL, registration(**fields)).status_code == 201


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("name", "C", "string_too_short"),
        ("name", "", "string_too_short"),
        ("name", "C" * 31, "string_too_long"),
        ("name", "   ", "value_error"),
        ("name", 12, "string_type"),
        ("name", None, "string_type"),
        ("name", ["Carol"], "string_type"),
        ("name", "Ca\x00rol", "value_error"),
        ("username", "c", "string_too_short"),
        ("username", "c" * 21, "string_too_long"),
        ("username", "Carol", "string_pattern_mismatch"),
        ("username", "ca rol", "string_pattern_mismatch"),
        ("username", "carol\n", "string_pattern_mismatch"),
        ("username", "cärol", "string_pattern_mismatch"),
        ("username", "٣٤", "string_pattern_mismatch"),
        ("username", 12, "string_type"),
        ("username", True, "string_type"),
        ("email", "carol", "value_error"),
        ("email", "carol@", "value_error"),
        ("email", "carol@example.com\n", "value_error"),
        ("email", " carol@example.com", "value_error"),
        ("email", f"carol@{'.'.join(['a' * 60] * 4)}.museum", "string_too_long"),
        ("email", "", "string_too_short"),
        ("email", None, "string_type"),
        ("email", "car\x00ol@example.com", "value_error"),
        ("password", "Str1ng!", "string_too_short"),
        ("password", "a", "string_too_short"),
        ("password", "Str1ngst!" * 15, "string_too_long"),
        ("password", "password123", "value_error"),
        ("password", "8675309421", "value_error"),
        ("password", "carol1", "string_too_short"),
        ("password", "carol.jones", "value_error"),
        ("password", "carol@example.com", "value_error"),
        ("password", "Str1ngst\x00!", "value_error"),
        ("password", 12345678, "string_type"),
        ("is_superuser", True, "extra_forbidden"),
        ("tier_id", 1, "extra_forbidden"),
        ("id", 1, "extra_forbidden"),
    ],
)
def test_bad_input_is_refused_at_its_place(client: APIClient, field: str, value: Any, kind: str) -> None:
    response = client.post(URL, registration(**{field: value}))

    assert refused(response) == [(kind, ["body", field])]


def test_lone_surrogate_is_refused(client: APIClient) -> None:
    body = '{"name": "Ca\\ud800rol", "username": "carol", "email": "carol@example.com", "password": "Str1ngst!"}'

    response = client.post(URL, body, content_type="application/json")

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["body", "name"]]


def test_all_missing_fields_are_named_at_once(client: APIClient) -> None:
    response = client.post(URL, {})

    assert response.status_code == 422
    assert {(error["type"], *error["loc"]) for error in response.json()["detail"]} == {
        ("missing", "body", field) for field in ("name", "username", "email", "password")
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "missing"),
        ("{", "json_invalid"),
        ("[]", "model_attributes_type"),
        ('"carol"', "model_attributes_type"),
        (b'{"name": "\xff"}', "json_invalid"),
        ('{"name": NaN}', "json_invalid"),
    ],
)
def test_body_that_is_no_json_object_is_refused(client: APIClient, body: Any, kind: str) -> None:
    response = client.post(URL, body, content_type="application/json")

    assert refused(response) == [(kind, ["body"])]


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/xml"])
def test_other_media_type_is_415(client: APIClient, content_type: str) -> None:
    response = client.post(URL, "name=Carol", content_type=content_type)

    assert response.status_code == 415
    assert response.json() == {"detail": "Unsupported media type."}


def test_422_does_not_echo_the_password(client: APIClient) -> None:
    response = client.post(URL, registration(password="Carol.Jones", name=5))

    assert response.status_code == 422
    assert b"Carol.Jones" not in response.content


def test_422_does_not_echo_a_password_in_the_wrong_field(client: APIClient) -> None:
    response = client.post(URL, registration(username="S3cret Word!", email="S3cret Word!"))

    assert response.status_code == 422
    assert b"S3cret" not in response.content


def test_one_letter_is_no_password(client: APIClient) -> None:
    assert client.post(URL, registration(password="a")).status_code == 422


def test_email_over_50_characters_is_no_500(client: APIClient) -> None:
    email = f"{'c' * 50}@example.com"

    assert client.post(URL, registration(email=email)).json()["email"] == email


class TestTaken:
    def test_email_that_is_taken_is_refused(self, client: APIClient, alice: Any) -> None:
        response = client.post(URL, registration(email="alice@example.com"))

        assert (response.status_code, response.json()) == (422, {"detail": "Email is already registered"})

    def test_email_is_taken_in_any_case(self, client: APIClient, alice: Any) -> None:
        assert client.post(URL, registration(email="ALICE@example.com")).json() == {"detail": "Email is already registered"}

    def test_username_that_is_taken_is_refused(self, client: APIClient, alice: Any) -> None:
        response = client.post(URL, registration(username="alice"))

        assert (response.status_code, response.json()) == (422, {"detail": "Username not available"})

    @pytest.mark.parametrize("username", ["alice", "users"])
    def test_email_is_asked_first(self, client: APIClient, alice: Any, username: str) -> None:
        response = client.post(URL, registration(username=username, email="alice@example.com"))

        assert response.json() == {"detail": "Email is already registered"}

    @pytest.mark.parametrize("username", ["me", "user", "users", "tier", "tiers", "tasks", "login", "logout", "refresh"])
    def test_name_of_a_route_is_not_available(self, client: APIClient, username: str) -> None:
        response = client.post(URL, registration(username=username))

        assert (response.status_code, response.json()) == (422, {"detail": "Username not available"})

    def test_names_of_a_deleted_user_stay_taken(self, client: APIClient, alice: Any) -> None:
        alice.soft_delete()

        assert client.post(URL, registration(username="alice")).json() == {"detail": "Username not available"}
        assert client.post(URL, registration(email="alice@example.com")).json() == {"detail": "Email is already registered"}

    def test_names_of_a_removed_user_are_free(self, client: APIClient, alice: Any) -> None:
        alice.delete()

        assert client.post(URL, registration(username="alice", email="alice@example.com")).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_registering_the_same_user_at_once_succeeds_once(settings: Settings) -> None:
    settings.PASSWORD_HASH_CONCURRENCY = 6

    answers = at_once(*[lambda: APIClient().post(URL, registration())] * 6)

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422, 422]
    assert {answer.json()["detail"] for answer in answers if answer.status_code == 422} == {"Email is already registered"}
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_taking_one_username_at_once_succeeds_once(settings: Settings) -> None:
    settings.PASSWORD_HASH_CONCURRENCY = 4
    bodies = [registration(email=f"carol{number}@example.com") for number in range(4)]

    answers = at_once(*[partial(APIClient().post, URL, body) for body in bodies])

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert {answer.json()["detail"] for answer in answers if answer.status_code == 422} == {"Username not available"}


class TestGuard:
    def test_too_many_registrations_from_one_address_are_refused(self, client: APIClient, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = (1, YEAR)
        client.post(URL, registration())

        response = client.post(URL, registration(username="dave", email="dave@example.com"))

        assert (response.status_code, response.json()) == (429, {"detail": "Rate limit exceeded."})
        assert 0 < int(response["Retry-After"]) <= YEAR

    def test_reading_users_is_not_counted_as_registering(self, client: APIClient, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = (1, YEAR)
        client.get(f"{API}/users")
        client.get(f"{API}/users")

        assert client.post(URL, registration()).status_code == 201

    def test_guard_is_asked_before_the_body(self, client: APIClient, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = (1, YEAR)
        client.post(URL, registration())

        assert client.post(URL, "{", content_type="application/json").status_code == 429

    def test_guard_can_be_switched_off(self, client: APIClient, settings: Settings) -> None:
        settings.REGISTRATION_RATE_LIMIT = None

        assert client.post(URL, registration()).status_code == 201
