"""
`Idempotency-Key`: who repeats a call gets the first task.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from accounts.tests.factories import bearer, log_in
from common.rates import Rate
from common.tests.answers import said
from common.tests.servers import Server

from ..models import IdempotencyKey, Status, Task
from .factories import make_task

pytestmark = pytest.mark.django_db

TASK = "/api/v1/tasks/task"
ClientFor = Callable[[Any], APIClient]


def post(client: APIClient, message: str = "hello", key: str = "a-key", path: str = TASK) -> Any:
    return client.post(path, {"message": message}, headers={"Idempotency-Key": key})


@pytest.fixture
def alices(client_for: ClientFor, alice: Any) -> APIClient:
    return client_for(alice)


class TestRepeat:
    def test_it_gives_the_first_id(self, alices: APIClient) -> None:
        first, second = post(alices), post(alices)

        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()
        assert Task.objects.count() == 1

    def test_the_body_may_be_written_differently(self, alices: APIClient) -> None:
        first = post(alices)
        second = alices.generic("POST", TASK, ' {"message":\n"hello"}', "application/json", headers={"Idempotency-Key": "a-key"})

        assert first.json() == second.json()

    def test_it_is_not_counted(self, alices: APIClient, settings: Settings) -> None:
        settings.DEFAULT_RATE_LIMIT = Rate(2, 3600)

        answers = [post(alices) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [201] * 5
        assert {answer["X-RateLimit-Remaining"] for answer in answers} == {"1"}

    def test_it_succeeds_when_the_limit_is_used_up(self, alices: APIClient, settings: Settings) -> None:
        settings.DEFAULT_RATE_LIMIT = Rate(1, 3600)
        first = post(alices)

        assert post(alices, key="another").status_code == 429
        assert post(alices).json() == first.json()
        settings.DEFAULT_RATE_LIMIT = Rate(0, 3600)
        assert post(alices).json() == first.json()

    def test_another_body_is_refused_and_counted(self, alices: APIClient, settings: Settings) -> None:
        settings.DEFAULT_RATE_LIMIT = Rate(10, 3600)
        post(alices)

        answer = post(alices, "other")

        assert said(answer) == (422, "This Idempotency-Key was used with another body.")
        assert answer["X-RateLimit-Remaining"] == "8"
        assert Task.objects.count() == 1

    def test_another_query_is_another_body(self, alices: APIClient) -> None:
        headers = {"Idempotency-Key": "a-key"}
        first, second, other = (alices.post(f"{TASK}?message={text}", headers=headers) for text in ("a", "a", "b"))

        assert first.json() == second.json()
        assert other.status_code == 422

    def test_other_keys_make_other_tasks(self, alices: APIClient) -> None:
        assert post(alices, key="one").json() != post(alices, key="two").json()

    def test_keys_are_each_users_own(self, alices: APIClient, client_for: ClientFor, bob: Any) -> None:
        assert post(alices).json() != post(client_for(bob)).json()

    def test_after_a_day_it_is_a_new_call(self, alices: APIClient) -> None:
        first = post(alices)
        IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))

        second = post(alices, "other")

        assert second.status_code == 201
        assert second.json() != first.json()
        assert post(alices, "other").json() == second.json()

    def test_what_was_refused_leaves_the_key_free(self, alices: APIClient) -> None:
        assert post(alices, "").status_code == 422

        assert post(alices).status_code == 201

    def test_retries_have_keys_of_their_own(self, alices: APIClient, alice: Any) -> None:
        tasks = [make_task(alice, status=Status.FAILED) for _ in range(2)]
        first, repeat, other = (post(alices, path=f"{TASK}/{task.pk.hex}/retry") for task in (tasks[0], tasks[0], tasks[1]))

        assert first.json() == repeat.json()
        assert other.status_code == 422
        assert post(alices).json() != first.json()


class TestRefusals:
    def test_anonymous_callers_have_none(self, client: APIClient) -> None:
        assert said(post(client)) == (400, "Idempotency-Key is for signed in callers.")
        assert not Task.objects.exists()

    @pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256, "a\tb"])
    def test_a_key_that_makes_no_sense_is_refused(self, alices: APIClient, key: str) -> None:
        assert said(post(alices, key=key)) == (400, "Idempotency-Key has to be 1 to 255 visible ASCII characters.")
        assert not Task.objects.exists()

    @pytest.mark.parametrize("key", ["x", "x" * 255, "'\"; DROP", "%00"])
    def test_any_other_is_taken(self, alices: APIClient, key: str) -> None:
        key = key.replace(" ", "")

        assert post(alices, key=key).json() == post(alices, key=key).json()


def test_a_repeat_costs_few_statements(alices: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    post(alices)

    # Savepoint, lock, key with its task, release.
    with django_assert_num_queries(4):
        post(alices)


@pytest.mark.django_db(transaction=True)
def test_equal_keys_at_once_make_one_task(serve: Callable[..., Server], alice: Any) -> None:
    server = serve(DEFAULT_RATE_LIMIT_LIMIT="1")
    headers = {**bearer(log_in(APIClient(), "alice")), "Idempotency-Key": "a-key", "Content-Type": "application/json"}

    with ThreadPoolExecutor(16) as pool:
        calls = [
            pool.submit(requests.post, f"{server.api}/tasks/task", json.dumps({"message": "hello"}), headers=headers, timeout=20)
            for _ in range(16)
        ]
        answers = [call.result() for call in calls]

    assert [answer.status_code for answer in answers] == [201] * 16
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Task.objects.count() == 1
