from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

NOT_FOUND = (404, {"detail": "Not found."})


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "X"])
def test_others_are_told_by_no_method_that_it_is_there(client: APIClient, method: str) -> None:
    response: Any = client.generic(method, "/metrics", REMOTE_ADDR="203.0.113.9")
    unknown: Any = client.generic(method, "/unknown", REMOTE_ADDR="203.0.113.9")

    assert (response.status_code, response.content) == (unknown.status_code, unknown.content)
    assert set(response.headers) == set(unknown.headers)


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("POST", 405)])
def test_readers_are_told_what_it_takes(client: APIClient, method: str, status: int) -> None:
    assert client.generic(method, "/metrics").status_code == status


@pytest.mark.parametrize("entry", ["", "unknown", "_hidden", "127.0.0", "x" * 8000, "1,", "203.0.113.9,", "127.0.0.1, unknown"])
def test_an_entry_that_is_no_address_reads_nothing(client: APIClient, settings: Settings, entry: str) -> None:
    settings.TRUSTED_PROXY_COUNT = 1

    response: Any = client.get("/metrics", HTTP_X_FORWARDED_FOR=entry)

    assert (response.status_code, response.json()) == NOT_FOUND


def test_fewer_entries_than_proxies_read_nothing(client: APIClient, settings: Settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 2

    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 404
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1, 10.0.0.1").status_code == 200


def test_who_asks_past_the_proxies_is_known_by_their_own_address(client: APIClient, settings: Settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1

    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 404
