"""
Lists, cancellations and retries.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from common.rates import Rate
from common.tests.answers import refused, said

from ..models import Status, Task
from .factories import make_task

pytestmark = pytest.mark.django_db

TASKS, TASK = "/api/v1/tasks", "/api/v1/tasks/task"
MISSING = (404, "Task not found")
ClientFor = Callable[[Any], APIClient]


@pytest.fixture
def alices(client_for: ClientFor, alice: Any) -> APIClient:
    return client_for(alice)


class TestList:
    def test_it_shows_the_callers_tasks_newest_first(self, alices: APIClient, alice: Any, bob: Any) -> None:
        tasks = [make_task(alice) for _ in range(3)]
        make_task(bob)
        make_task()

        body = alices.get(TASKS).json()

        assert [task["id"] for task in body["data"]] == [task.pk.hex for task in tasks[::-1]]
        assert (body["total_count"], body["has_more"], body["page"], body["items_per_page"]) == (3, False, 1, 10)

    def test_a_superuser_sees_their_own(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        make_task(alice)

        assert client_for(admin).get(TASKS).json()["data"] == []

    def test_it_is_for_signed_in_callers(self, client: APIClient) -> None:
        assert said(client.get(TASKS)) == (401, "Not authenticated")

    @pytest.mark.parametrize(
        ("query", "count"),
        [("status=failed", 1), ("status=queued", 2), ("function=other", 1), ("function=nothing", 0), ("status=failed&function=other", 0)],
    )
    def test_it_can_be_narrowed(self, alices: APIClient, alice: Any, query: str, count: int) -> None:
        make_task(alice)
        make_task(alice, status=Status.FAILED)
        Task.objects.filter(pk=make_task(alice).pk).update(function="other")

        assert alices.get(f"{TASKS}?{query}").json()["total_count"] == count

    @pytest.mark.parametrize(("query", "name"), [("status=done", "status"), ("status=", "status"), ("function=a%00", "function")])
    def test_what_makes_no_sense_is_refused(self, alices: APIClient, query: str, name: str) -> None:
        assert refused(alices.get(f"{TASKS}?{query}")) in ([("value_error", ["query", name])], [("string_too_short", ["query", name])])

    def test_a_cursor_leads_through_all(self, alices: APIClient, alice: Any) -> None:
        tasks = [make_task(alice).pk.hex for _ in range(5)]
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            body = alices.get(f"{TASKS}?items_per_page=2&cursor={cursor}").json()
            found += [task["id"] for task in body["data"]]
            cursor = body["next_cursor"]

        assert found == tasks[::-1]

    @pytest.mark.parametrize(("size", "queries"), [(10, 1), (5, 2)])
    def test_it_takes_a_page_and_where_that_is_full_a_count(
        self, alices: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries, size: int, queries: int
    ) -> None:
        for _ in range(5):
            make_task(alice)
        alices.get(TASKS)

        with django_assert_num_queries(queries):
            assert alices.get(f"{TASKS}?items_per_page={size}").json()["total_count"] == 5


class TestCancel:
    @pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
    def test_an_unfinished_task_is_cancelled_at_once(self, alices: APIClient, alice: Any, status: Status) -> None:
        task = make_task(alice, status=status)

        assert said(alices.delete(f"{TASK}/{task.pk.hex}")) == (200, "Task cancelled")

        body = alices.get(f"{TASK}/{task.pk.hex}").json()
        assert (body["status"], body["success"], body["finish_time"] is None) == ("cancelled", False, False)
        assert Task.claim(str(task.pk)) is None

    @pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
    def test_a_finished_one_is_a_conflict(self, alices: APIClient, alice: Any, status: Status) -> None:
        task = make_task(alice, status=status)

        assert said(alices.delete(f"{TASK}/{task.pk.hex}")) == (409, "The task has already finished.")

    def test_to_others_it_is_not_there(self, client: APIClient, client_for: ClientFor, alice: Any, bob: Any) -> None:
        task = make_task(alice)

        assert [said(caller.delete(f"{TASK}/{task.pk.hex}")) for caller in (client, client_for(bob))] == [MISSING, MISSING]
        assert Task.objects.get().status == Status.QUEUED

    def test_a_superuser_may(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        assert client_for(admin).delete(f"{TASK}/{make_task(alice).pk.hex}").status_code == 200

    def test_whoever_has_the_id_of_one_made_anonymously_may(self, client: APIClient) -> None:
        assert client.delete(f"{TASK}/{make_task().pk.hex}").status_code == 200


class TestRetry:
    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
    def test_it_makes_a_new_task_with_the_same_arguments(self, alices: APIClient, alice: Any, status: Status) -> None:
        task = make_task(alice, "again", status=status, kwargs={"a": 1}, queue_name="slow")

        response = alices.post(f"{TASK}/{task.pk.hex}/retry")

        new = Task.objects.exclude(pk=task.pk).get()
        assert (response.status_code, response.json()) == (201, {"id": new.pk.hex})
        assert (new.function, new.args, new.kwargs, new.queue_name) == (task.function, ["again"], {"a": 1}, "slow")
        assert (new.owner, new.status, new.attempt) == (alice, Status.QUEUED, 0)
        assert Task.objects.get(pk=task.pk).status == status

    @pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
    def test_of_another_it_is_a_conflict(self, alices: APIClient, alice: Any, status: Status) -> None:
        task = make_task(alice, status=status)

        assert said(alices.post(f"{TASK}/{task.pk.hex}/retry")) == (409, "Only a failed or cancelled task can be retried.")
        assert Task.objects.count() == 1

    def test_to_others_it_is_not_there(self, client: APIClient, client_for: ClientFor, alice: Any, bob: Any) -> None:
        task = make_task(alice, status=Status.FAILED)

        assert [said(caller.post(f"{TASK}/{task.pk.hex}/retry")) for caller in (client, client_for(bob))] == [MISSING, MISSING]

    def test_what_a_superuser_retries_stays_its_owners(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        task = make_task(alice, status=Status.FAILED)

        assert client_for(admin).post(f"{TASK}/{task.pk.hex}/retry").status_code == 201
        assert set(Task.objects.values_list("owner_id", flat=True)) == {alice.pk}

    def test_it_is_counted_with_the_tasks_that_are_started(self, alices: APIClient, alice: Any, settings: Settings) -> None:
        settings.DEFAULT_RATE_LIMIT = Rate(2, 3600)
        task = make_task(alice, status=Status.FAILED)

        answers = [alices.post(path) for path in (f"{TASK}?message=hello", f"{TASK}/{task.pk.hex}/retry", f"{TASK}/{task.pk.hex}/retry")]

        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        assert "Retry-After" in answers[-1]


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("delete", "/task/{id}"), ("post", "/task/{id}/retry")])
def test_without_a_queue_there_is_none_of_it(alices: APIClient, alice: Any, settings: Settings, method: str, path: str) -> None:
    task = make_task(alice, status=Status.FAILED)
    settings.QUEUE_ENABLED = False

    answer = getattr(alices, method)(TASKS + path.format(id=task.pk.hex))

    assert said(answer) == (503, "Background tasks are switched off.")


def test_a_status_costs_one_statement_for_its_owner(
    alices: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    task = make_task(alice)
    alices.get(f"{TASK}/{task.pk.hex}")

    with django_assert_num_queries(1):
        alices.get(f"{TASK}/{task.pk.hex}")
