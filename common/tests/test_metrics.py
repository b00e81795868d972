from collections.abc import Callable
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from accounts.models import Session
from common.tests.servers import Server
from conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


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
