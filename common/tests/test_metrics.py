from collections.abc import Callable
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from accounts.models import Session
from common.tests.servers import Server
from conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTION = {"ENVIRONMENT": "production", "ALLOWED_HOSTS": "api.example.com,10.0.0.11", "TRUSTED_PROXY_COUNT": "1"}


def reused(server: Server) -> float:
    lines = requests.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("refresh_tokens_reused_total")))


def test_counters_add_up_over_processes(serve: Callable[..., Server], alice: Any) -> None:
    server = serve(WEB_CONCURRENCY="3")
    for _ in range(8):
        login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=10)
        cookies = {"refresh_token": login.cookies["refresh_token"]}
        requests.post(f"{server.api}/refresh", cookies=cookies, timeout=10)
        Session.objects.alive().update(rotated_at=alice.created_at.replace(year=2020))
        assert requests.post(f"{server.api}/refresh", cookies=cookies, timeout=10).status_code == 401

    assert {reused(server) for _ in range(8)} == {8.0}


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "203.0.113.9"}, 404),
        ({"REMOTE_ADDR": ""}, 404),
        # A proxy on this machine that nobody declared must not open it to the world.
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 404),
    ],
)
def test_only_the_named_networks_may_read(client: APIClient, extra: dict[str, str], status: int) -> None:
    assert client.get("/metrics", **extra).status_code == status  # type: ignore[arg-type]


def test_behind_a_proxy_the_clients_address_counts(client: APIClient, settings: Any) -> None:
    settings.TRUSTED_PROXY_COUNT = 1

    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1, 203.0.113.9").status_code == 404
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 200


def test_others_are_told_what_an_unknown_path_is_told(client: APIClient) -> None:
    response = client.get("/metrics", REMOTE_ADDR="203.0.113.9")

    assert response.json() == {"detail": "Not found."}


class TestProduction:
    """
    Whoever scrapes asks a web server itself, past what ends TLS.
    """

    @pytest.mark.parametrize("host", ["10.0.0.11:8000", "api.example.com"])
    def test_a_scrape_needs_no_tls(self, share: Callable[..., Server], host: str) -> None:
        response = requests.get(f"{share(**PRODUCTION).url}/metrics", headers={"Host": host}, allow_redirects=False, timeout=10)

        assert response.status_code == 200
        assert "database_up 1.0" in response.text

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            # An address that is scraped has to be allowed as any other host.
            ({"Host": "10.0.0.12:8000"}, 400),
            ({"Host": "10.0.0.11:8000", "X-Forwarded-For": "203.0.113.9"}, 404),
        ],
    )
    def test_it_is_refused_as_with_tls(self, share: Callable[..., Server], headers: dict[str, str], status: int) -> None:
        response = requests.get(f"{share(**PRODUCTION).url}/metrics", headers=headers, allow_redirects=False, timeout=10)

        assert response.status_code == status

    @pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/x", "/metricsx", "/x/metrics", "/api/v1/users"])
    def test_everything_else_is_redirected(self, share: Callable[..., Server], path: str) -> None:
        host = {"Host": "api.example.com"}
        response = requests.get(f"{share(**PRODUCTION).url}{path}", headers=host, allow_redirects=False, timeout=10)

        assert (response.status_code, response.headers["Location"]) == (301, f"https://api.example.com{path}")
