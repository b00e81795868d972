import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from common.tests.answers import refused, said

from ..models import Status, Task
from .factories import make_task

pytestmark = pytest.mark.django_db

TASK = "/api/v1/tasks/task"
MISSING = (404, "Task not found")


class TestCreate:
    def test_the_answer_is_the_id_of_a_queued_task(self, client: APIClient) -> None:
        response = client.post(f"{TASK}?message=hello")

        task = Task.objects.get()
        assert (response.status_code, response.json()) == (201, {"id": task.pk.hex})
        assert (task.function, task.args, task.kwargs, task.status) == ("sample_background_task", ["hello"], {}, "queued")

    def test_the_message_may_come_as_json(self, client: APIClient) -> None:
        assert client.post(TASK, {"message": "hello"}).status_code == 201
        assert Task.objects.get().args == ["hello"]

    @pytest.mark.parametrize("message", ["h", " ", "ü 😀 & = ?", "m" * 10_000, "a\nb"])
    def test_a_message_is_kept_as_sent(self, client: APIClient, message: str) -> None:
        assert client.post(TASK, {"message": message}).status_code == 201
        assert Task.objects.get().args == [message]

    def test_a_message_in_the_query_is_decoded(self, client: APIClient) -> None:
        client.post(f"{TASK}?message=%C3%BC+%26%20b")

        assert Task.objects.get().args == ["ü & b"]

    @pytest.mark.parametrize(("query", "message"), [("message=a&message=b", "b"), ("message=a&unknown=b", "a")])
    def test_the_last_message_counts_and_others_are_ignored(self, client: APIClient, query: str, message: str) -> None:
        client.post(f"{TASK}?{query}")

        assert Task.objects.get().args == [message]

    @pytest.mark.parametrize(("body", "media_type"), [('{"message": "body"}', "application/json"), ("{no json", "text/plain")])
    def test_a_body_is_ignored_beside_a_query(self, client: APIClient, body: str, media_type: str) -> None:
        client.generic("POST", f"{TASK}?message=query", body, content_type=media_type)

        assert Task.objects.get().args == ["query"]

    @pytest.mark.parametrize(
        ("query", "error"),
        [("", "missing"), ("?message=", "string_too_short"), ("?message=a%00", "value_error"), ("?Message=a", "missing")],
    )
    def test_bad_messages_in_the_query_are_refused(self, client: APIClient, query: str, error: str) -> None:
        assert refused(client.post(f"{TASK}{query}")) == [(error, ["query", "message"])]

    @pytest.mark.parametrize(
        ("message", "error"),
        [
            ("", "string_too_short"),
            ("m" * 10_001, "string_too_long"),
            ("\x00", "value_error"),
            ("\ud800", "value_error"),
            (5, "string_type"),
            (None, "string_type"),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_bad_messages_in_the_body_are_refused(self, client: APIClient, message: Any, error: str) -> None:
        response = client.post(TASK, json.dumps({"message": message}), content_type="application/json")

        assert refused(response) == [(error, ["body", "message"])]
        assert not Task.objects.exists()

    def test_unknown_fields_are_refused(self, client: APIClient) -> None:
        assert refused(client.post(TASK, {"message": "a", "queue": "x"})) == [("extra_forbidden", ["body", "queue"])]

    def test_the_request_id_goes_with_the_task(self, client: APIClient) -> None:
        client.post(f"{TASK}?message=hello", HTTP_X_REQUEST_ID="mine")

        assert Task.objects.get().request_id == "mine"

    def test_it_belongs_to_who_made_it(self, client_for: Callable[[Any], APIClient], alice: Any) -> None:
        client_for(alice).post(f"{TASK}?message=hello")

        assert Task.objects.get().owner == alice


class TestRetrieve:
    def test_a_queued_task_knows_little(self, client: APIClient) -> None:
        task = make_task(message="hello")

        response = client.get(f"{TASK}/{task.pk.hex}")

        body = response.json()
        assert body.pop("enqueue_time").endswith("Z")
        assert body == {
            "id": task.pk.hex,
            "function": "sample_background_task",
            "args": ["hello"],
            "kwargs": {},
            "queue_name": "default",
            "job_try": 0,
            "start_time": None,
            "finish_time": None,
            "success": None,
            "result": None,
            "status": "queued",
            "progress": None,
            "error": None,
        }

    def test_a_succeeded_task_knows_all(self, client: APIClient) -> None:
        now = timezone.now()
        task = make_task(
            status=Status.SUCCEEDED, attempt=1, started_at=now, finished_at=now, progress=100, result="Task hello is complete!"
        )

        body = client.get(f"{TASK}/{task.pk.hex}").json()

        assert (body["status"], body["success"], body["job_try"], body["progress"]) == ("succeeded", True, 1, 100)
        assert body["result"] == "Task hello is complete!"
        assert body["start_time"] == body["finish_time"] == now.isoformat().replace("+00:00", "Z")

    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
    def test_a_task_that_came_to_nothing_is_no_success(self, client: APIClient, status: Status) -> None:
        task = make_task(status=status, error="ValueError: no")

        body = client.get(f"{TASK}/{task.pk.hex}").json()

        assert (body["status"], body["success"], body["error"]) == (status, False, "ValueError: no")

    @pytest.mark.parametrize(
        ("status", "waits"),
        [(Status.QUEUED, True), (Status.RUNNING, True), (Status.SUCCEEDED, False), (Status.FAILED, False), (Status.CANCELLED, False)],
    )
    def test_an_unfinished_task_says_when_to_ask_again(self, client: APIClient, status: Status, waits: bool) -> None:
        response = client.get(f"{TASK}/{make_task(status=status).pk.hex}")

        assert ("Retry-After" in response) == waits

    @pytest.mark.parametrize("task_id", ["0123456789abcdef" * 2, "1", "nonsense", "a%00b", "%ED%A0%80", "g" * 32, "9" * 5000])
    def test_an_unknown_task_is_not_found(self, client: APIClient, task_id: str) -> None:
        assert said(client.get(f"{TASK}/{task_id}")) == MISSING

    def test_the_record_has_neither_score_nor_job_id(self, client: APIClient) -> None:
        body = client.get(f"{TASK}/{make_task().pk.hex}").json()

        assert not {"score", "job_id"} & set(body)


class TestOwnership:
    def test_the_owner_sees_it(self, client_for: Callable[[Any], APIClient], alice: Any) -> None:
        assert client_for(alice).get(f"{TASK}/{make_task(alice).pk.hex}").status_code == 200

    def test_a_superuser_sees_it(self, client_for: Callable[[Any], APIClient], alice: Any, admin: Any) -> None:
        assert client_for(admin).get(f"{TASK}/{make_task(alice).pk.hex}").status_code == 200

    def test_to_others_it_is_not_there(self, client_for: Callable[[Any], APIClient], alice: Any, bob: Any) -> None:
        assert said(client_for(bob).get(f"{TASK}/{make_task(alice).pk.hex}")) == MISSING

    def test_to_anonymous_callers_it_is_not_there(self, client: APIClient, alice: Any) -> None:
        assert said(client.get(f"{TASK}/{make_task(alice).pk.hex}")) == MISSING

    def test_one_made_anonymously_is_open_to_whoever_has_its_id(
        self, client: APIClient, client_for: Callable[[Any], APIClient], bob: Any
    ) -> None:
        task = make_task()

        assert [caller.get(f"{TASK}/{task.pk.hex}").status_code for caller in (client, client_for(bob))] == [200, 200]

    def test_it_goes_with_its_owner(self, alice: Any) -> None:
        make_task(alice)

        alice.delete()

        assert not Task.objects.exists()


class TestSwitchedOff:
    @pytest.fixture(autouse=True)
    def switched_off(self, settings: Settings) -> None:
        settings.QUEUE_ENABLED = False

    def test_no_task_is_taken(self, client: APIClient) -> None:
        assert said(client.post(f"{TASK}?message=hello")) == (503, "Background tasks are switched off.")
        assert not Task.objects.exists()

    def test_no_task_is_shown(self, client: APIClient) -> None:
        assert said(client.get(f"{TASK}/{make_task().pk.hex}")) == (503, "Background tasks are switched off.")


def test_a_new_task_takes_one_query(client: APIClient, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        client.post(f"{TASK}?message=hello")


def test_a_look_at_a_task_takes_one_query(client: APIClient, django_assert_num_queries: Any) -> None:
    task = make_task()

    with django_assert_num_queries(1):
        client.get(f"{TASK}/{task.pk.hex}")
