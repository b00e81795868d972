from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from common.tests.answers import refused
from conftest import make_user

from .factories import API, log_in, make_session, shown

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]


class TestMe:
    @pytest.mark.parametrize("path", ["me", "me/"])
    def test_user_reads_themselves(self, client_for: ClientFor, alice: Any, path: str) -> None:
        response = client_for(alice).get(f"{API}/user/{path}")

        assert (response.status_code, response.json()) == (200, shown(alice, email="alice@example.com"))

    def test_answer_is_kept_by_nobody(self, client_for: ClientFor, alice: Any) -> None:
        assert client_for(alice).get(f"{API}/user/me/")["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize("method", ["patch", "delete", "put", "post"])
    def test_nothing_but_reading_is_allowed(self, client: APIClient, method: str) -> None:
        response = getattr(client, method)(f"{API}/user/me/")

        assert (response.status_code, response.json()) == (405, {"detail": "Method not allowed."})


class TestRead:
    def test_anyone_reads_a_user_without_the_email(self, client: APIClient, alice: Any) -> None:
        response = client.get(f"{API}/user/alice")

        assert (response.status_code, response.json()) == (200, shown(alice))

    def test_user_and_superuser_read_the_email(self, client_for: ClientFor, alice: Any, admin: Any) -> None:
        answers = [client_for(user).get(f"{API}/user/alice").json()["email"] for user in (alice, admin)]

        assert answers == ["alice@example.com"] * 2

    def test_another_user_reads_no_email(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        assert client_for(bob).get(f"{API}/user/alice").json()["email"] is None

    def test_tier_is_shown(self, client: APIClient, free: Any) -> None:
        make_user("dave", tier=free)

        assert client.get(f"{API}/user/dave").json()["tier_id"] == free.pk

    @pytest.mark.parametrize("name", ["nobody", "Alice", "al%00ice", "%FF%FE", "%ED%A0%80", "a" * 5000, "alice%20"])
    def test_name_of_nobody_is_404(self, client: APIClient, alice: Any, name: str) -> None:
        response = client.get(f"{API}/user/{name}")

        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})

    def test_anonymous_answer_may_be_shared(self, client: APIClient, alice: Any) -> None:
        response = client.get(f"{API}/user/alice")

        assert (response["Cache-Control"], response["Vary"]) == ("public, max-age=60", "Authorization")

    def test_answer_to_a_user_is_kept_by_nobody(self, client_for: ClientFor, alice: Any) -> None:
        assert client_for(alice).get(f"{API}/user/alice")["Cache-Control"] == "private, no-store"

    def test_head_has_no_body(self, client: APIClient, alice: Any) -> None:
        response = client.head(f"{API}/user/alice")

        assert (response.status_code, response.content) == (200, b"")

    @pytest.mark.parametrize("path", ["user/alice/", "users/", "user/dave/tier/"])
    def test_trailing_slash_is_no_redirect(self, client: APIClient, alice: Any, free: Any, path: str) -> None:
        make_user("dave", tier=free)

        assert client.get(f"{API}/{path}").status_code == 200


class TestChange:
    URL = f"{API}/user/alice"

    @pytest.mark.parametrize(
        ("field", "sent", "stored"),
        [
            ("name", "Alice Smith", "Alice Smith"),
            ("username", "alicia", "alicia"),
            ("email", "New@Example.com", "new@example.com"),
            ("profile_image_url", "ftp://example.com/a.png", "ftp://example.com/a.png"),
            ("profile_image_url", "https://example.com/ä b".replace(" ", "%20"), "https://example.com/ä%20b"),
        ],
    )
    def test_named_field_changes(self, client_for: ClientFor, alice: Any, field: str, sent: str, stored: str) -> None:
        response = client_for(alice).patch(self.URL, {field: sent})

        alice.refresh_from_db()
        assert (response.status_code, response.json()) == (200, {"message": "User updated"})
        assert getattr(alice, field) == stored

    def test_what_is_not_named_stays(self, client_for: ClientFor, alice: Any) -> None:
        client_for(alice).patch(self.URL, {"name": "Alice Smith"})

        assert APIClient().get(self.URL).json() == shown(alice, name="Alice Smith")

    def test_empty_object_changes_nothing(self, client_for: ClientFor, alice: Any) -> None:
        response = client_for(alice).patch(self.URL, {})

        assert (response.status_code, response.json()) == (200, {"message": "User updated"})
        assert APIClient().get(self.URL).json() == shown(alice)

    def test_own_names_are_not_taken(self, client_for: ClientFor, alice: Any) -> None:
        response = client_for(alice).patch(self.URL, {"username": "alice", "email": "alice@example.com"})

        assert response.status_code == 200

    @pytest.mark.parametrize(
        ("field", "value", "kind"),
        [
            ("name", None, "string_type"),
            ("username", None, "string_type"),
            ("email", None, "string_type"),
            ("profile_image_url", None, "string_type"),
            ("name", "A", "string_too_short"),
            ("name", " \t", "value_error"),
            ("username", "Alice", "string_pattern_mismatch"),
            ("username", "a" * 21, "string_too_long"),
            ("email", "alice", "value_error"),
            ("profile_image_url", "", "string_too_short"),
            ("profile_image_url", "javascript:alert(1)", "value_error"),
            ("profile_image_url", "example.com/a.png", "value_error"),
            ("profile_image_url", f"https://example.com/{'a' * 2048}", "string_too_long"),
            ("profile_image_url", "https://example.com/\x00", "value_error"),
            ("password", "An0ther-Word", "extra_forbidden"),
            ("is_superuser", True, "extra_forbidden"),
            ("tier_id", 1, "extra_forbidden"),
            ("id", 5, "extra_forbidden"),
        ],
    )
    def test_bad_input_is_refused_at_its_place(self, client_for: ClientFor, alice: Any, field: str, value: Any, kind: str) -> None:
        response = client_for(alice).patch(self.URL, {field: value})

        assert refused(response) == [(kind, ["body", field])]

    @pytest.mark.parametrize("body", ["", "[]", "{", "null"])
    def test_body_that_is_no_object_is_422(self, client_for: ClientFor, alice: Any, body: str) -> None:
        response = client_for(alice).patch(self.URL, body, content_type="application/json")

        assert response.status_code == 422
        assert [error["loc"] for error in response.json()["detail"]] == [["body"]]

    def test_other_media_type_is_415(self, client_for: ClientFor, alice: Any) -> None:
        assert client_for(alice).patch(self.URL, "name=Alice", content_type="text/plain").status_code == 415

    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            ({"username": "bob"}, "Username not available"),
            ({"username": "tiers"}, "Username not available"),
            ({"email": "Bob@example.com"}, "Email is already registered"),
            ({"email": "bob@example.com", "username": "bob"}, "Email is already registered"),
            ({"email": "bob@example.com", "username": "me"}, "Email is already registered"),
        ],
    )
    def test_taken_value_is_a_sentence(self, client_for: ClientFor, alice: Any, bob: Any, body: dict[str, str], detail: str) -> None:
        response = client_for(alice).patch(self.URL, body)

        assert (response.status_code, response.json()) == (422, {"detail": detail})

    def test_old_name_is_404_afterwards(self, client_for: ClientFor, alice: Any) -> None:
        client_for(alice).patch(self.URL, {"username": "alicia"})

        assert APIClient().get(self.URL).status_code == 404


class TestDelete:
    def test_deleted_user_is_not_found(self, client_for: ClientFor, alice: Any) -> None:
        response = client_for(alice).delete(f"{API}/user/alice")

        assert (response.status_code, response.json()) == (200, {"message": "User deleted"})
        assert APIClient().get(f"{API}/user/alice").json() == {"detail": "User not found"}

    def test_row_is_kept(self, client_for: ClientFor, alice: Any) -> None:
        client_for(alice).delete(f"{API}/user/alice")

        assert User.objects.get().is_deleted

    @pytest.mark.parametrize(
        ("method", "path"),
        [("get", "user/alice"), ("get", "user/alice/tier"), ("get", "user/alice/rate_limits"), ("patch", "user/alice/tier")],
    )
    def test_every_endpoint_finds_no_deleted_user(
        self, client_for: ClientFor, alice: Any, admin: Any, free: Any, method: str, path: str
    ) -> None:
        alice.soft_delete()

        response = getattr(client_for(admin), method)(f"{API}/{path}", {"tier_id": free.pk} if method == "patch" else None)

        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})

    def test_last_superuser_is_409(self, client_for: ClientFor, admin: Any) -> None:
        response = client_for(admin).delete(f"{API}/user/admin")

        assert response.status_code == 409
        assert response.json() == {"detail": "The last active superuser cannot be deleted, deactivated or demoted."}

    def test_refused_delete_ends_no_session(self, client_for: ClientFor, admin: Any) -> None:
        admins = client_for(admin)
        admins.delete(f"{API}/user/admin")

        assert admins.get(f"{API}/user/me/").status_code == 200

    def test_superuser_beside_another_may_go(self, client_for: ClientFor, admin: Any) -> None:
        make_user("root", is_superuser=True)

        assert client_for(admin).delete(f"{API}/user/admin").status_code == 200


def test_users_session_records_address_and_browser(client: APIClient, alice: Any) -> None:
    log_in(client, "alice", **{"User-Agent": "Browser" * 100})

    session = alice.sessions.get()
    assert (session.ip_address, session.user_agent) == ("127.0.0.1", ("Browser" * 100)[:255])


def test_session_text_names_its_user_and_start(alice: Any) -> None:
    assert str(make_session(alice)).startswith(f"{alice.pk} since 20")
