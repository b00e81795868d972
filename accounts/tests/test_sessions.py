import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import Session
from accounts.tokens import access_token, refresh_token
from common.tests.concurrency import at_once
from common.tests.servers import Server
from conftest import PASSWORD

from .factories import API, bearer, log_in, make_session, refresh_with, status_of

pytestmark = pytest.mark.django_db

REFRESH = f"{API}/refresh"
LOGOUT = f"{API}/logout"
ME = f"{API}/user/me/"
INVALID = (401, {"detail": "Invalid refresh token."})


class TestRefresh:
    def test_cookie_buys_an_access_token(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")

        response = client.post(REFRESH)

        assert response.status_code == 200
        assert response.json().keys() == {"access_token", "token_type"}
        assert status_of(response.json()["access_token"]) == 200

    def test_refresh_token_rotates(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")
        before = client.cookies["refresh_token"].value

        cookie = client.post(REFRESH).cookies["refresh_token"]

        assert cookie.value != before
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"], cookie["path"]) == (True, "Lax", 604_800, "/api/v1")

    def test_rotated_token_buys_again(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")
        client.post(REFRESH)

        assert client.post(REFRESH).status_code == 200

    def test_first_access_token_stays_good(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")
        client.post(REFRESH)

        assert status_of(token) == 200

    def test_refresh_carries_the_session_on(self, alice: Any) -> None:
        session = make_session(alice, expires_at=timezone.now() + timedelta(minutes=1))

        refresh_with(refresh_token(session))

        session.refresh_from_db()
        assert session.expires_at - timezone.now() > timedelta(days=6, hours=23)

    def test_session_lives_90_days_at_most(self, alice: Any) -> None:
        session = make_session(alice, created_at=timezone.now() - timedelta(days=89))

        refresh_with(refresh_token(session))

        session.refresh_from_db()
        assert session.expires_at == session.created_at + timedelta(days=90)

    def test_no_cookie_is_401(self, client: APIClient) -> None:
        response = client.post(REFRESH)

        assert (response.status_code, response.json()) == (401, {"detail": "Refresh token missing."})
        assert response["WWW-Authenticate"] == "Bearer"

    def test_only_the_cookie_is_read(self, client: APIClient, alice: Any) -> None:
        token = refresh_token(make_session(alice))

        response = client.post(REFRESH, {"refresh_token": token}, headers=bearer(token))

        assert response.json() == {"detail": "Refresh token missing."}

    @pytest.mark.parametrize("cookie", ["x", "a.b.c", "e30.e30.e30", "%00", "null"])
    def test_token_that_is_none_is_401(self, cookie: str) -> None:
        response = refresh_with(cookie)

        assert (response.status_code, response.json()) == INVALID

    def test_access_token_is_no_refresh_token(self, alice: Any) -> None:
        response = refresh_with(access_token(make_session(alice)))

        assert (response.status_code, response.json()) == INVALID

    def test_token_of_an_expired_session_is_401(self, alice: Any) -> None:
        session = make_session(alice)
        token = refresh_token(session)
        Session.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        response = refresh_with(token)

        assert (response.status_code, response.json()) == INVALID

    def test_expired_token_is_401(self, alice: Any) -> None:
        session = make_session(alice, expires_at=timezone.now() - timedelta(seconds=1))
        token = refresh_token(session)
        Session.objects.update(expires_at=timezone.now() + timedelta(days=1))

        response = refresh_with(token)

        assert (response.status_code, response.json()) == INVALID

    def test_session_table_holds_no_token(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")

        row = " ".join(str(value) for value in Session.objects.values_list().get())

        assert client.cookies["refresh_token"].value.split(".")[2] not in row


class TestReplay:
    def test_token_that_was_rotated_just_now_gives_the_same_successor(self, alice: Any) -> None:
        first = refresh_token(make_session(alice))

        successors = [refresh_with(first).cookies["refresh_token"].value for _ in range(2)]

        assert successors[0] == successors[1]

    def test_token_that_was_rotated_before_is_401(self, alice: Any, settings: Settings) -> None:
        settings.REFRESH_REUSE_GRACE = timedelta(0)
        first = refresh_token(make_session(alice))
        refresh_with(first)

        response = refresh_with(first)

        assert (response.status_code, response.json()) == INVALID

    def test_replay_ends_the_session_with_all_its_tokens(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.REFRESH_REUSE_GRACE = timedelta(0)
        token = log_in(client, "alice")
        first = client.cookies["refresh_token"].value
        client.post(REFRESH)

        refresh_with(first)

        assert (status_of(token), client.post(REFRESH).status_code) == (401, 401)

    def test_token_two_generations_old_is_a_replay_at_once(self, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")
        first = client.cookies["refresh_token"].value
        client.post(REFRESH)
        client.post(REFRESH)

        assert refresh_with(first).status_code == 401
        assert client.post(REFRESH).status_code == 401

    def test_replay_is_logged_without_the_token(self, alice: Any, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
        settings.REFRESH_REUSE_GRACE = timedelta(0)
        first = refresh_token(make_session(alice))
        refresh_with(first)

        with caplog.at_level(logging.WARNING, "accounts.tokens"):
            refresh_with(first)

        assert f"user_id={alice.pk}" in caplog.text
        assert first not in caplog.text

    def test_replay_leaves_the_users_other_sessions(self, alice: Any, settings: Settings) -> None:
        settings.REFRESH_REUSE_GRACE = timedelta(0)
        other = access_token(make_session(alice))
        first = refresh_token(make_session(alice))
        refresh_with(first)
        refresh_with(first)

        assert status_of(other) == 200

    @pytest.mark.django_db(transaction=True)
    def test_refreshing_at_once_gives_one_successor(self, alice: Any) -> None:
        first = refresh_token(make_session(alice))

        answers = at_once(*[partial(refresh_with, first)] * 6)

        assert [answer.status_code for answer in answers] == [200] * 6
        assert len({answer.cookies["refresh_token"].value for answer in answers}) == 1


class TestOrigin:
    def test_own_origin_may_refresh(self, alice: Any) -> None:
        response = refresh_with(refresh_token(make_session(alice)), headers={"Origin": "http://testserver"})

        assert response.status_code == 200

    @pytest.mark.parametrize("origin", ["https://evil.example", "https://testserver.evil.example", "http://testserver:81", "null", "x"])
    def test_origin_that_is_not_trusted_is_403(self, alice: Any, origin: str) -> None:
        response = refresh_with(refresh_token(make_session(alice)), headers={"Origin": origin})

        assert (response.status_code, response.json()) == (403, {"detail": "Request forbidden -- authorization will not help"})

    def test_origin_that_is_not_trusted_rotates_nothing(self, alice: Any) -> None:
        refresh_with(refresh_token(make_session(alice)), headers={"Origin": "https://evil.example"})

        assert Session.objects.get().generation == 0

    def test_foreign_page_cannot_log_out_by_the_cookie_alone(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")

        assert client.post(LOGOUT, headers={"Origin": "https://evil.example"}).status_code == 403
        assert status_of(token) == 200

    @pytest.mark.django_db(transaction=True)
    def test_trusted_origin_may_refresh(self, serve: Callable[..., Server], alice: Any) -> None:
        server = serve(CSRF_TRUSTED_ORIGINS="https://app.example.com", WEB_CONCURRENCY="1")
        browser = requests.Session()
        browser.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)

        answers = [
            browser.post(f"{server.api}/refresh", headers={"Origin": origin}, timeout=30).status_code
            for origin in ("https://app.example.com", "https://other.example.com")
        ]

        assert answers == [200, 403]
