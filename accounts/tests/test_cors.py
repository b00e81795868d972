"""
Pages of named origins may call the API with the refresh cookie, and no others; caches keep the answers of origins apart.
"""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from common.tests.servers import Server
from config.tests.test_env import PRODUCTION, refusal, show
from conftest import PASSWORD, make_user

APP, OTHER = "https://app.example.com", "https://admin.example.com"
EVIL = "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization, content-type, idempotency-key"}
EXPOSED = {
    "X-Request-ID",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "ETag",
    "X-Cache",
}


def words(header: str) -> set[str]:
    return {word.strip() for word in header.split(",")}


def cors_headers(response: requests.Response) -> list[str]:
    return [name for name in response.headers if name.startswith("Access-Control-")]


@pytest.fixture
def server(share: Callable[..., Server]) -> Server:
    return share(CORS_ALLOWED_ORIGINS=f"{APP}, {OTHER}", WEB_CONCURRENCY="1")


def ask(server: Server, method: str, path: str, origin: str | None = APP, **options: Any) -> requests.Response:
    headers = {**options.pop("headers", {}), **({"Origin": origin} if origin else {})}
    return requests.request(method, f"{server.url}{path}", headers=headers, timeout=30, **options)


def test_named_origins_are_let_in_with_credentials_and_others_are_not(server: Server) -> None:
    for origin in (APP, OTHER):
        response = ask(server, "GET", "/api/v1/users", origin)
        assert (response.headers["Access-Control-Allow-Origin"], response.headers["Access-Control-Allow-Credentials"]) == (origin, "true")
        assert words(response.headers["Access-Control-Expose-Headers"]) == EXPOSED

    for stranger in (EVIL, "null", "http://app.example.com", f"{APP}.evil.example", None):
        response = ask(server, "GET", "/api/v1/users", stranger)
        assert (response.status_code, cors_headers(response)) == (200, [])


def test_preflights_of_named_origins_are_answered_without_being_signed_in(server: Server) -> None:
    allowed = ask(server, "OPTIONS", "/api/v1/user/alice", headers=PREFLIGHT)
    refused = ask(server, "OPTIONS", "/api/v1/user/alice", EVIL, headers=PREFLIGHT)

    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == APP
    assert {"GET", "POST", "PATCH", "DELETE"} <= words(allowed.headers["Access-Control-Allow-Methods"])
    assert words(PREFLIGHT["Access-Control-Request-Headers"]) <= words(allowed.headers["Access-Control-Allow-Headers"])
    assert "X-Request-ID" in allowed.headers
    assert cors_headers(refused) == []


def test_caches_keep_the_answers_of_origins_apart(server: Server) -> None:
    answers = [ask(server, "GET", "/api/v1/users", origin) for origin in (APP, OTHER, EVIL, None)]
    again = ask(server, "GET", "/api/v1/users", headers={"If-None-Match": answers[0].headers["ETag"]})

    for response in (*answers, again):
        assert response.headers["Cache-Control"] == "public, max-age=60"
        assert {"Authorization", "origin"} <= words(response.headers["Vary"])
    assert (again.status_code, again.headers["Access-Control-Allow-Origin"]) == (304, APP)


def test_refusals_can_be_read_by_the_page_too(server: Server) -> None:
    found = [ask(server, "GET", path) for path in ("/api/v1/user/me/", "/api/v1/user/nobody", "/api/v1/nowhere")]
    found.append(ask(server, "POST", "/api/v1/login", data="{", headers={"Content-Type": "application/json"}))

    assert [response.status_code for response in found] == [401, 404, 404, 422]
    assert {response.headers.get("Access-Control-Allow-Origin") for response in found} == {APP}


def test_page_of_a_named_origin_logs_in_refreshes_and_logs_out(server: Server) -> None:
    make_user("alice")
    login = ask(server, "POST", "/api/v1/login", json={"username": "alice", "password": PASSWORD})
    refreshed = ask(server, "POST", "/api/v1/refresh", cookies=login.cookies)
    stolen = ask(server, "POST", "/api/v1/refresh", EVIL, cookies=refreshed.cookies)
    ended = ask(server, "POST", "/api/v1/logout", cookies=refreshed.cookies)

    assert [response.status_code for response in (login, refreshed, stolen, ended)] == [200, 200, 403, 200]
    assert cors_headers(stolen) == []


def test_admin_is_open_to_no_other_origin(server: Server) -> None:
    response = ask(server, "GET", "/admin/login/")

    assert cors_headers(response) == []
    assert "origin" not in words(response.headers["Vary"])


def test_without_named_origins_nothing_is_said(share: Callable[..., Server]) -> None:
    server = share(WEB_CONCURRENCY="1")
    response = ask(server, "GET", "/api/v1/users")

    assert cors_headers(response) == cors_headers(ask(server, "OPTIONS", "/api/v1/users", headers=PREFLIGHT)) == []
    assert response.headers["Vary"] == "Authorization"


class TestEnvironment:
    @pytest.mark.parametrize("origins", ["*", "https://*.example.com", f"{APP}/", f"{APP}/page", "app.example.com", "null", f"{APP},*"])
    def test_what_is_no_origin_is_refused(self, origins: str) -> None:
        assert "CORS_ALLOWED_ORIGINS: must list origins such as https://app.example.com" in refusal(CORS_ALLOWED_ORIGINS=origins)

    def test_origin_without_tls_is_refused_outside_local(self) -> None:
        assert "CORS_ALLOWED_ORIGINS: holds http://app.example.com." in refusal(**PRODUCTION, CORS_ALLOWED_ORIGINS="http://app.example.com")

    def test_origins_are_separated_by_commas(self) -> None:
        assert show("env.cors_allowed_origins", CORS_ALLOWED_ORIGINS="http://localhost:3000, https://[::1]:8443") == (
            "['http://localhost:3000', 'https://[::1]:8443']"
        )
