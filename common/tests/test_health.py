from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pytest_django import Settings
from rest_framework.test import APIClient

from common import broker

NOWHERE = "redis://127.0.0.1:1/0"
ALL_OK = {"database": "ok", "cache": "ok", "rate_limit": "ok", "queue": "ok"}


@pytest.mark.parametrize("path", ["/health", "/health/"])
def test_live_answers_without_a_database(client: APIClient, path: str) -> None:
    response = client.get(path)

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_live_does_not_look_at_tokens(client: APIClient) -> None:
    assert client.get("/health", HTTP_AUTHORIZATION="Bearer nonsense").status_code == 200


@pytest.mark.django_db
class TestReady:
    @pytest.fixture(autouse=True)
    def consumed_queues(self) -> Iterator[None]:
        """
        Queues that a worker was just seen to consume, as it writes so itself.
        """
        broker.note_consumer("worker-of-this-test:1", ("default", "slow", "mail"))
        yield
        broker.forget_consumer("worker-of-this-test:1")

    def test_all_services_answer(self, client: APIClient) -> None:
        response = client.get("/health/ready")

        assert (response.status_code, response.json()) == (200, ALL_OK)

    @pytest.mark.parametrize(("alias", "name"), [("default", "cache"), ("throttle", "rate_limit")])
    def test_a_redis_that_is_away_is_down_and_the_api_goes_on(self, client: APIClient, settings: Settings, alias: str, name: str) -> None:
        settings.CACHES = {**settings.CACHES, alias: {**settings.CACHES[alias], "LOCATION": NOWHERE}}

        response = client.get("/health/ready")

        assert (response.status_code, response.json()) == (200, {**ALL_OK, name: "down"})

    def test_a_broker_that_is_away_is_down_and_the_api_goes_on(self, client: APIClient, settings: Settings) -> None:
        settings.CELERY_BROKER_URL = NOWHERE

        response = client.get("/health/ready")

        assert (response.status_code, response.json()) == (200, {**ALL_OK, "queue": "down", "details": ["The broker does not answer."]})

    def test_queues_that_nobody_consumes_are_named(self, client: APIClient) -> None:
        broker.connection().delete("consumers:slow", "consumers:mail")

        response = client.get("/health/ready")

        details = ["No worker consumes slow.", "No worker consumes mail."]
        assert (response.status_code, response.json()) == (200, {**ALL_OK, "queue": "down", "details": details})

    @pytest.mark.parametrize(
        ("switch", "name"), [("CACHE_ENABLED", "cache"), ("RATE_LIMIT_ENABLED", "rate_limit"), ("QUEUE_ENABLED", "queue")]
    )
    def test_what_is_switched_off_is_off(self, client: APIClient, settings: Settings, switch: str, name: str) -> None:
        setattr(settings, switch, False)

        response = client.get("/health/ready")

        assert (response.status_code, response.json()) == (200, {**ALL_OK, name: "off"})


def test_without_its_database_a_process_is_live_and_not_ready(share: Callable[..., Any]) -> None:
    server = share(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    live, ready = (requests.get(f"{server.url}/{path}", timeout=10) for path in ("health", "health/ready"))

    assert (live.status_code, ready.status_code) == (200, 503)
    assert {**ready.json(), "queue": "ok"}.items() >= {**ALL_OK, "database": "down"}.items()


def test_without_its_database_the_api_answers_in_json(share: Callable[..., Any]) -> None:
    server = share(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    response = requests.get(f"{server.api}/users", timeout=10)

    assert (response.status_code, response.json()) == (500, {"detail": "Internal server error."})
