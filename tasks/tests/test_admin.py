from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from accounts.tests.factories import enter_admin
from common import broker

from ..models import Status, Task
from .factories import make_task

pytestmark = pytest.mark.django_db

TASKS = "/admin/tasks/task/"


@pytest.fixture
def site(admin: Any) -> Client:
    return enter_admin()


def act(site: Client, action: str, *tasks: Task) -> str:
    answer = site.post(TASKS, {"action": action, "_selected_action": [task.pk for task in tasks]}, follow=True)
    return str(answer.content.decode())


@pytest.mark.parametrize("term", [lambda task: task.pk.hex, lambda task: str(task.pk), lambda task: task.owner.username])
def test_a_task_is_found_by_its_id_and_by_its_owner(site: Client, admin: Any, alice: Any, term: Callable[[Any], str]) -> None:
    task, other = make_task(owner=alice), make_task(owner=admin)

    page = site.get(TASKS, {"q": term(task)}).content.decode()

    assert str(task.pk) in page
    assert str(other.pk) not in page


@pytest.mark.parametrize("query", ["status=failed", "function=sample_background_task", "queue_name=default"])
def test_tasks_can_be_narrowed(site: Client, query: str) -> None:
    task = make_task(status=Status.FAILED)

    assert str(task.pk) in site.get(f"{TASKS}?{query}").content.decode()


def test_a_task_shows_its_error_with_the_traceback(site: Client) -> None:
    task = make_task(status=Status.FAILED, error="ValueError: no", traceback="Traceback: in line 1")

    page = site.get(f"{TASKS}{task.pk}/change/").content.decode()

    assert "ValueError: no" in page
    assert "Traceback: in line 1" in page


def test_cancelling_passes_over_what_is_finished_and_leaves_a_trace(site: Client) -> None:
    queued, running, done = (make_task(status=status) for status in (Status.QUEUED, Status.RUNNING, Status.SUCCEEDED))

    assert "2 cancelled." in act(site, "cancel", queued, running, done)

    assert Task.objects.filter(status=Status.CANCELLED).count() == 2
    assert set(LogEntry.objects.values_list("object_id", "change_message")) == {(str(task.pk), "Cancelled.") for task in (queued, running)}


def test_retrying_takes_what_failed_or_was_cancelled_and_leaves_a_trace(site: Client, alice: Any) -> None:
    failed, queued = make_task(alice, status=Status.FAILED), make_task()

    assert "1 retried." in act(site, "retry", failed, queued)

    new = Task.objects.exclude(pk__in=(failed.pk, queued.pk)).get()
    assert (new.owner, new.args) == (alice, failed.args)
    assert LogEntry.objects.get().change_message == f"Retried as task {new.pk.hex}."


def test_who_may_only_look_sees_no_actions(alice: Any) -> None:
    alice.is_staff = True
    alice.save()
    alice.user_permissions.add(Permission.objects.get(codename="view_task"))
    client = Client()
    client.force_login(alice)
    task = make_task()

    page = act(client, "cancel", task)

    assert Task.objects.get().status == Status.QUEUED
    assert "1 cancelled." not in page
    assert 'value="cancel"' not in page
    assert client.get(f"{TASKS}queues/").status_code == 200


class TestQueues:
    def test_the_page_shows_what_waits_and_who_consumes(self, site: Client) -> None:
        make_task(queue_name="slow")
        broker.note_consumer("worker-of-this-test:1", ["slow"])

        page = site.get(f"{TASKS}queues/").content.decode()

        assert "worker-of-this-test:1" in page
        assert "Queues and workers" in site.get(TASKS).content.decode()
        broker.forget_consumer("worker-of-this-test:1")
        assert "worker-of-this-test:1" not in site.get(f"{TASKS}queues/").content.decode()

    def test_it_is_there_without_a_broker(self, site: Client, settings: Settings) -> None:
        settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

        assert "The broker does not answer" in site.get(f"{TASKS}queues/").content.decode()

    def test_it_is_for_whoever_may_see_tasks(self, alice: Any) -> None:
        alice.is_staff = True
        alice.save()
        client = Client()
        client.force_login(alice)

        assert client.get(f"{TASKS}queues/").status_code == 403
