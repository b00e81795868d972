"""
The headers that tell browsers what a response may do, on whatever answers: a view, a refusal, a file, gunicorn itself.
"""

import socket
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.test import Client

from common.tests.servers import Server, served

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTION = {"ENVIRONMENT": "production", "ALLOWED_HOSTS": "api.example.com,127.0.0.1", "TRUSTED_PROXY_COUNT": "1"}
EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with django_db_blocker.unblock(), served(tmp_path_factory.mktemp("headers"), METRICS_NETWORKS="127.0.0.0/8") as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/v1/users", {}, 200),
        ("HEAD", "/api/v1/users", {}, 200),
        ("OPTIONS", "/api/v1/users", {}, 204),
        ("GET", "/api/v1/user/me/", {}, 401),
        ("GET", "/api/v1/user/nobody", {}, 404),
        ("PUT", "/api/v1/users", {}, 405),
        ("POST", "/api/v1/login", {"Content-Type": "text/plain"}, 415),
        ("POST", "/api/v1/user", {}, 422),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/health", {}, 200),
        ("GET", "/health", {"Host": "evil.example.com"}, 400),
        ("GET", "/metrics", {}, 200),
        ("GET", "/docs", {}, 200),
        ("GET", "/docs?script=", {}, 200),
        ("GET", "/redoc", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("GET", "/admin/", {}, 302),
        ("GET", "/admin/login/", {}, 200),
        ("POST", "/admin/login/", {}, 403),
        ("GET", "/admin/nowhere/", {}, 302),
        ("GET", "/static/admin/css/base.css", {}, 200),
        ("GET", "/static/nowhere.css", {}, 404),
        # These are gunicorn's own.
        ("GET", f"/{'x' * 5000}", {}, 414),
        ("GET", "/health", {"X-Long": "x" * 9000}, 431),
        ("GET", "/health", {"Transfer-Encoding": "nonsense"}, 501),
    ],
)
def test_every_answer_says_what_a_browser_may_do(server: Server, method: str, path: str, headers: dict[str, str], status: int) -> None:
    response = requests.request(method, f"{server.url}{path}", headers=headers, timeout=10, allow_redirects=False)

    assert response.status_code == status
    assert {name: response.headers.get(name) for name in EXPECTED} == EXPECTED
    assert "camera=()" in response.headers["Permissions-Policy"]
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'", "'none'")
    assert policy["script-src"] == "'self'"
    assert response.headers["X-Request-ID"]


def test_an_unforeseen_error_says_it_too(share: Callable[..., Server]) -> None:
    response = requests.get(f"{share(DATABASE_URL='postgresql://nobody@127.0.0.1:1/nothing').api}/users", timeout=10)

    assert (response.status_code, response.json()) == (500, {"detail": "Internal server error."})
    assert {name: response.headers.get(name) for name in EXPECTED} == EXPECTED


def test_a_host_that_is_not_named_is_refused_in_json(server: Server) -> None:
    response = requests.get(f"{server.api}/users", headers={"Host": "evil.example.com"}, timeout=10)

    assert (response.status_code, response.json()) == (400, {"detail": "Bad request."})
    assert response.headers["Cache-Control"] == "private, no-store"


class TestProduction:
    @pytest.mark.parametrize(("path", "status"), [("/api/v1/users", 200), ("/nowhere", 404), ("/docs", 404), ("/health", 200)])
    def test_over_tls_browsers_are_told_to_stay_there(self, share: Callable[..., Server], path: str, status: int) -> None:
        response = requests.get(f"{share(**PRODUCTION).url}{path}", headers={"X-Forwarded-Proto": "https"}, timeout=10)

        assert response.status_code == status
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
        assert {name: response.headers.get(name) for name in EXPECTED} == EXPECTED

    def test_without_tls_they_are_sent_to_it(self, share: Callable[..., Server]) -> None:
        response = requests.get(f"{share(**PRODUCTION).api}/users", timeout=10, allow_redirects=False)

        assert response.status_code == 301
        assert response.headers["Location"].startswith("https://")
        assert response.headers["X-Frame-Options"] == "DENY"

    def test_an_unforeseen_error_tells_nothing(self, serve: Callable[..., Server]) -> None:
        server = serve(**PRODUCTION, DATABASE_URL="postgresql://nobody:a-password@127.0.0.1:1/nothing")

        response = requests.get(f"{server.api}/users", headers={"X-Forwarded-Proto": "https"}, timeout=10)

        assert (response.status_code, response.json()) == (500, {"detail": "Internal server error."})


class TestForwarded:
    @pytest.mark.parametrize(("networks", "is_believed"), [("127.0.0.0/8", True), ("10.0.0.0/8,2001:db8::/32", False)])
    def test_only_named_networks_are_believed(self, serve: Callable[..., Server], networks: str, is_believed: bool) -> None:
        server = serve(**PRODUCTION, TRUSTED_PROXY_NETWORKS=networks)
        forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}

        response = requests.get(f"{server.api}/users", headers=forwarded, timeout=10, allow_redirects=False)

        assert response.status_code == (200 if is_believed else 301)
        assert (b'"203.0.113.9"' in server.log.read_bytes()) is is_believed


class Inline(HTMLParser):
    """
    Collect what the policy would keep a browser from.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        is_code = tag == "script" and "src" not in names and names.get("type") != "application/json"
        if is_code or tag == "style" or "style" in names or any(name.startswith("on") for name in names):
            self.found.append(self.get_starttag_text() or tag)
        for name in ("src", "href", "action"):
            if urlsplit(names.get(name) or "").netloc:
                self.found.append(str(names[name]))


@pytest.mark.parametrize(
    "path",
    [
        "login/", "", "password_change/", "accounts/user/", "accounts/user/add/", "accounts/user/{id}/change/",
        "accounts/user/{id}/delete/",
        "accounts/user/{id}/history/", "accounts/user/{id}/password/", "accounts/session/", "tiers/tier/", "tiers/tier/add/", "posts/post/",
        "posts/post/add/", "tasks/task/", "accounts/user/?q=nobody",
    ],
)  # fmt: skip
def test_the_admin_needs_nothing_that_the_policy_refuses(admin: Any, path: str) -> None:
    client = Client()
    if path != "login/":
        client.force_login(admin)
    response = client.get(f"/admin/{path.format(id=admin.pk)}")

    assert response.status_code == 200, response.content
    page = Inline()
    page.feed(response.content.decode())
    assert page.found == []


def test_a_header_that_cannot_be_read_is_not_repeated_in_the_log(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), 10) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization : Bearer do-not-write-me-down\r\n\r\n")
        answer = client.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"do-not-write" not in answer
    log = server.log.read_bytes()
    assert b"do-not-write" not in log
    assert b"Request refused" in log
