from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import Session
from accounts.tokens import access_token, refresh_token
from common.tests.servers import wait_until

from .factories import API, bearer, log_in, make_session

pytestmark = pytest.mark.django_db

URL = f"{API}/login"
WRONG = {"detail": "Wrong username, email or password."}
FORM = "application/x-www-form-urlencoded"


class TestAccessToken:
    def test_token_names_its_user_and_session(self, client: APIClient, alice: Any) -> None:
        claims = AccessToken(log_in(client, "alice")).payload  # type: ignore[arg-type]

        assert (claims["user_id"], claims["sid"]) == (str(alice.pk), str(Session.objects.get().pk))
        assert claims["exp"] - claims["iat"] == 30 * 60

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
    def test_scheme_is_taken_in_any_case(self, client: APIClient, alice: Any, scheme: str) -> None:
        token = log_in(client, "alice")

        assert client.get(f"{API}/user/me/", headers={"Authorization": f"{scheme} {token}"}).status_code == 200

    @pytest.mark.parametrize("header", [None, "Basic YWxpY2U6eA==", "Token abc", "Bearerabc"])
    def test_no_token_is_401(self, client: APIClient, header: str | None) -> None:
        response = client.get(f"{API}/user/me/", headers={"Authorization": header} if header else {})

        assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})
        assert response["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.e30", "ü.ü.ü", "null"])
    def test_token_that_is_none_is_401(self, client: APIClient, token: str) -> None:
        response = client.get(f"{API}/user/me/", headers=bearer(token))

        assert (response.status_code, response.json()) == (401, {"detail": "User not authenticated."})
        assert response["WWW-Authenticate"] == "Bearer"

    def test_expired_token_is_401(self, client: APIClient, alice: Any) -> None:
        token = AccessToken(access_token(make_session(alice)))  # type: ignore[arg-type]
        token.set_exp(lifetime=-timedelta(seconds=1))

        response = client.get(f"{API}/user/me/", headers=bearer(str(token)))

        assert (response.status_code, response.json()) == (401, {"detail": "User not authenticated."})

    def test_token_that_was_good_expires(self, client: APIClient, alice: Any) -> None:
        token = AccessToken(access_token(make_session(alice)))  # type: ignore[arg-type]
        token.set_exp(lifetime=timedelta(seconds=10))
        headers = bearer(str(token))

        assert client.get(f"{API}/user/me/", headers=headers).status_code == 200
        wait_until(lambda: client.get(f"{API}/user/me/", headers=headers).status_code == 401, seconds=30, what="the end of the token")

    def test_token_of_an_expired_session_is_401(self, client: APIClient, alice: Any) -> None:
        session = make_session(alice, expires_at=timezone.now() - timedelta(seconds=1))

        assert client.get(f"{API}/user/me/", headers=bearer(access_token(session))).status_code == 401

    def test_token_signed_with_another_key_is_401(self, client: APIClient, alice: Any) -> None:
        claims = AccessToken(access_token(make_session(alice))).payload  # type: ignore[arg-type]

        token = jwt.encode(claims, "another-key-that-is-long-enough-for-the-algorithm", "HS256")

        assert client.get(f"{API}/user/me/", headers=bearer(token)).status_code == 401

    def test_unsigned_token_is_401(self, client: APIClient, alice: Any) -> None:
        claims = AccessToken(access_token(make_session(alice))).payload  # type: ignore[arg-type]

        assert client.get(f"{API}/user/me/", headers=bearer(jwt.encode(claims, "", "none"))).status_code == 401

    @pytest.mark.parametrize(
        ("claim", "value"), [("sid", None), ("sid", 5), ("sid", "x"), ("sid", "0123456789abcdef" * 2), ("user_id", "x"), ("user_id", "0")]
    )
    def test_token_with_strange_claims_is_401(self, client: APIClient, alice: Any, claim: str, value: Any) -> None:
        token = AccessToken(access_token(make_session(alice)))  # type: ignore[arg-type]
        token[claim] = value

        assert client.get(f"{API}/user/me/", headers=bearer(str(token))).status_code == 401

    def test_refresh_token_is_no_access_token(self, client: APIClient, alice: Any) -> None:
        token = refresh_token(make_session(alice))

        response = client.get(f"{API}/user/me/", headers=bearer(token))

        assert (response.status_code, response.json()) == (401, {"detail": "User not authenticated."})

    def test_bad_token_counts_as_none_where_anyone_may_call(self, client: APIClient, alice: Any) -> None:
        response = client.get(f"{API}/user/alice", headers=bearer("a.b.c"))

        assert (response.status_code, response.json()["email"]) == (200, None)
