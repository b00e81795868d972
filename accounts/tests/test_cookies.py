"""
The refresh cookie's name and attributes, and whose pages may have it sent.
"""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.tokens import refresh_token
from config.tests.interpreters import python
from config.tests.test_env import PRODUCTION, refusal

from .factories import API, log_in, make_session

pytestmark = pytest.mark.django_db

SECURE_NAME = "__Secure-refresh_token"
APP = "https://app.example.com"


@pytest.fixture
def prefixed(settings: Settings) -> None:
    settings.REFRESH_COOKIE_NAME = SECURE_NAME
    settings.REFRESH_COOKIE_SECURE = True


def refresh(name: str, token: str, **headers: str) -> Any:
    client = APIClient()
    client.cookies[name] = token
    return client.post(f"{API}/refresh", headers=headers)


class TestPrefix:
    def test_login_sets_the_cookie_of_the_configured_name(self, prefixed: None, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")

        assert list(client.cookies) == [SECURE_NAME]
        assert client.cookies[SECURE_NAME]["secure"] is True

    def test_cookie_of_the_configured_name_refreshes(self, prefixed: None, alice: Any) -> None:
        response = refresh(SECURE_NAME, refresh_token(make_session(alice)))

        assert response.status_code == 200
        assert SECURE_NAME in response.cookies

    def test_cookie_of_the_other_name_is_not_read(self, prefixed: None, alice: Any) -> None:
        response = refresh("refresh_token", refresh_token(make_session(alice)))

        assert (response.status_code, response.json()) == (401, {"detail": "Refresh token missing."})

    def test_prefixed_cookie_is_not_read_without_the_prefix(self, alice: Any) -> None:
        assert refresh(SECURE_NAME, refresh_token(make_session(alice))).status_code == 401

    def test_logout_deletes_the_cookie_of_the_configured_name(self, prefixed: None, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")

        deleted = client.post(f"{API}/logout").cookies[SECURE_NAME]

        assert (deleted.value, deleted["max-age"], deleted["secure"], deleted["path"]) == ("", 0, True, "/api/v1")


class TestSettings:
    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ({}, "('refresh_token', False)"),
            ({"REFRESH_COOKIE_PREFIX": ""}, "('refresh_token', False)"),
            ({"REFRESH_COOKIE_PREFIX": "__Secure-"}, "('__Secure-refresh_token', True)"),
            ({"REFRESH_COOKIE_SAMESITE": "None"}, "('refresh_token', True)"),
            (PRODUCTION, "('refresh_token', True)"),
        ],
    )
    def test_name_and_secure_follow_the_environment(self, variables: dict[str, str], expected: str) -> None:
        code = "from config.settings import *; print((REFRESH_COOKIE_NAME, REFRESH_COOKIE_SECURE))"

        assert python(code, **variables).stdout.strip() == expected

    def test_other_prefix_is_refused(self) -> None:
        assert "REFRESH_COOKIE_PREFIX: Input should be '' or '__Secure-'" in refusal(REFRESH_COOKIE_PREFIX="__Host-")


class TestOrigin:
    @pytest.mark.parametrize("origin", [APP, "null", "https://testserver.evil.example", "http://testserver:8080"])
    def test_page_of_another_site_cannot_refresh(self, alice: Any, origin: str) -> None:
        assert refresh("refresh_token", refresh_token(make_session(alice)), Origin=origin).status_code == 403

    def test_named_origin_may_refresh(self, alice: Any, settings: Settings) -> None:
        settings.CORS_ALLOWED_ORIGINS = [APP]

        assert refresh("refresh_token", refresh_token(make_session(alice)), Origin=APP).status_code == 200

    def test_named_origin_may_log_out_by_the_cookie_alone(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.CORS_ALLOWED_ORIGINS = [APP]
        log_in(client, "alice")

        assert client.post(f"{API}/logout", headers={"Origin": APP}).status_code == 200

    def test_origin_beside_the_named_one_is_refused(self, alice: Any, settings: Settings) -> None:
        settings.CORS_ALLOWED_ORIGINS = [APP]

        assert refresh("refresh_token", refresh_token(make_session(alice)), Origin=f"{APP}.evil.example").status_code == 403
