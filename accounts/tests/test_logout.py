from typing import Any

import pytest
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.models import Session
from accounts.tokens import access_token, refresh_token

from .factories import API, bearer, log_in, make_session, refresh_with, status_of

pytestmark = pytest.mark.django_db

REFRESH = f"{API}/refresh"
LOGOUT = f"{API}/logout"
ME = f"{API}/user/me/"
INVALID = (401, {"detail": "Invalid refresh token."})


class TestLogout:
    def test_logout_ends_the_session(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")

        response = client.post(LOGOUT, headers=bearer(token))

        assert (response.status_code, response.json()) == (200, {"message": "Logged out successfully"})
        assert status_of(token) == 401

    def test_logout_deletes_the_cookie(self, client: APIClient, alice: Any) -> None:
        cookie = client.post(LOGOUT, headers=bearer(log_in(client, "alice"))).cookies["refresh_token"]

        assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", 0, "/api/v1")

    def test_refresh_token_does_not_survive_logout(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")
        cookie = client.cookies["refresh_token"].value
        client.post(LOGOUT, headers=bearer(token))

        response = refresh_with(cookie)

        assert (response.status_code, response.json()) == INVALID

    def test_access_token_from_a_refresh_ends_with_its_session(self, client: APIClient, alice: Any) -> None:
        first = log_in(client, "alice")
        second = client.post(REFRESH).json()["access_token"]
        client.post(LOGOUT, headers=bearer(first))

        assert status_of(second) == 401

    def test_access_token_alone_is_enough(self, alice: Any) -> None:
        session = make_session(alice)

        assert APIClient().post(LOGOUT, headers=bearer(access_token(session))).status_code == 200
        assert refresh_with(refresh_token(session)).status_code == 401

    def test_cookie_alone_is_enough(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")

        assert client.post(LOGOUT).json() == {"message": "Logged out successfully"}
        assert status_of(token) == 401

    def test_broken_token_with_a_live_cookie_is_enough(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")

        assert client.post(LOGOUT, headers=bearer("a.b.c")).status_code == 200
        assert status_of(token) == 401

    def test_cookie_of_another_session_of_the_user_ends_too(self, client: APIClient, alice: Any) -> None:
        by_cookie = log_in(client, "alice")
        other = make_session(alice)

        client.post(LOGOUT, headers=bearer(access_token(other)))

        assert status_of(by_cookie) == 401

    def test_cookie_of_another_user_ends_nothing(self, client: APIClient, alice: Any, bob: Any) -> None:
        bobs = log_in(client, "bob")

        client.post(LOGOUT, headers=bearer(access_token(make_session(alice))))

        assert status_of(bobs) == 200

    def test_other_sessions_go_on(self, client: APIClient, alice: Any) -> None:
        other = access_token(make_session(alice))
        client.post(LOGOUT, headers=bearer(log_in(client, "alice")))

        assert status_of(other) == 200

    def test_logging_out_twice_is_no_500(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")
        client.post(LOGOUT, headers=bearer(token))

        response = client.post(LOGOUT, headers=bearer(token))

        assert (response.status_code, response.json()) == (401, {"detail": "User not authenticated."})

    def test_nothing_at_all_is_401(self, client: APIClient) -> None:
        response = client.post(LOGOUT)

        assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})
        assert response["WWW-Authenticate"] == "Bearer"

    def test_ended_cookie_alone_is_401(self, client: APIClient, alice: Any) -> None:
        session = make_session(alice)
        client.cookies["refresh_token"] = refresh_token(session)
        alice.sessions.all().end()

        assert client.post(LOGOUT).status_code == 401

    def test_ended_token_is_on_simplejwts_blacklist(self, client: APIClient, alice: Any) -> None:
        client.post(LOGOUT, headers=bearer(log_in(client, "alice")))

        assert (OutstandingToken.objects.get().user, BlacklistedToken.objects.count()) == (alice, 1)


class TestLogoutAll:
    def test_all_sessions_end(self, client: APIClient, alice: Any) -> None:
        others = [make_session(alice) for _ in range(2)]

        response = client.post(f"{LOGOUT}/all", headers=bearer(log_in(client, "alice")))

        assert (response.status_code, response.json()) == (200, {"message": "Logged out everywhere"})
        assert [refresh_with(refresh_token(session)).status_code for session in others] == [401, 401]
        assert not Session.objects.alive().exists()

    def test_cookie_is_deleted(self, client: APIClient, alice: Any) -> None:
        response = client.post(f"{LOGOUT}/all", headers=bearer(log_in(client, "alice")))

        assert response.cookies["refresh_token"].value == ""

    def test_sessions_of_others_go_on(self, client: APIClient, alice: Any, bob: Any) -> None:
        bobs = access_token(make_session(bob))
        client.post(f"{LOGOUT}/all", headers=bearer(log_in(client, "alice")))

        assert status_of(bobs) == 200

    def test_cookie_alone_is_not_enough(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")

        response = client.post(f"{LOGOUT}/all")

        assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})
