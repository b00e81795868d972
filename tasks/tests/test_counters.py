"""
What Prometheus is shown about tasks.
"""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from common import broker, outages
from common.tests.proxies import proxied
from common.tests.redis_commands import commands_by_service

from .. import counters
from ..functions import background_task
from ..models import Status, Task
from ..running import run
from ..services import cancel, enqueue
from ..watch import progress
from . import functions
from .factories import make_task

# Whoever looks after a function that takes a while sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

TASK = "/api/v1/tasks/task"


@pytest.fixture(autouse=True)
def no_counts() -> None:
    broker.connection().delete(counters.KEY)


@pytest.fixture
def sample(client: APIClient) -> Callable[..., float | None]:
    def read(name: str, **labels: str) -> float | None:
        families = text_string_to_metric_families(client.get("/metrics").content.decode())
        samples = [sample for family in families for sample in family.samples]
        return next((sample.value for sample in samples if sample.name == name and sample.labels == labels), None)

    return read


def ran(function: Any, *args: Any) -> None:
    run(str(enqueue(function, *args).pk))


def test_ends_are_counted_by_function_and_status(sample: Callable[..., float | None]) -> None:
    for _ in range(2):
        ran(functions.fail, "no")
    ran(functions.count_up, 1, 0)

    assert sample("tasks_ended_total", function="fail", status="failed") == 2
    assert sample("tasks_ended_total", function="count_up", status="succeeded") == 1


def test_times_fall_into_buckets(sample: Callable[..., float | None]) -> None:
    began = time.monotonic()
    ran(functions.count_up, 1, 0.2)
    longest = time.monotonic() - began

    seconds = sample("task_run_seconds_sum", function="count_up") or 0
    assert 0.2 <= seconds <= longest
    buckets = [sample("task_run_seconds_bucket", function="count_up", le=le) for le in ("0.1", "0.5", "1", "5", "+Inf")]
    assert buckets == [float(seconds <= bound) for bound in (0.1, 0.5, 1, 5, inf)]
    assert sample("task_run_seconds_count", function="count_up") == 1
    assert sample("task_wait_seconds_count", queue="default") == 1


def test_an_attempt_that_is_repeated_is_no_end(sample: Callable[..., float | None]) -> None:
    ran(functions.fail_until, 3)

    assert sample("tasks_ended_total", function="fail_until", status="failed") is None


def test_what_waits_is_read_from_the_records(sample: Callable[..., float | None]) -> None:
    make_task(queue_name="slow", created_at=timezone.now() - timedelta(seconds=90))
    make_task(queue_name="slow", status=Status.RUNNING)
    make_task(queue_name="slow", run_after=timezone.now() + timedelta(minutes=1))

    assert (sample("tasks_queued", queue="slow"), sample("tasks_running", queue="slow")) == (1, 1)
    assert 85 < (sample("tasks_oldest_waiting_seconds", queue="slow") or 0) < 120
    assert sample("tasks_queued", queue="mail") == 0


def test_names_that_are_not_in_the_code_make_no_series(sample: Callable[..., float | None]) -> None:
    task = make_task(queue_name="made-up", attempt=1, started_at=timezone.now())
    task.function = "made_up"

    counters.count_end(task, Status.FAILED, 1)

    assert sample("tasks_ended_total", function="unknown", status="failed") == 1
    assert sample("task_wait_seconds_count", queue="unknown") == 1


def test_a_look_costs_one_statement_beside_that_of_the_connections(
    client: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_task()

    with django_assert_num_queries(2):
        client.get("/metrics")


def test_without_a_broker_the_rest_is_shown(sample: Callable[..., float | None], settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    ran(functions.count_up, 1, 0)

    assert sample("tasks_queued", queue="default") == 0
    assert Task.objects.get().status == Status.SUCCEEDED


class TestCancelled:
    def test_who_cancels_a_task_counts_it_once(self, client: APIClient, sample: Callable[..., float | None]) -> None:
        queued, running = make_task(), make_task(status=Status.RUNNING, attempt=1, started_at=timezone.now())

        for task in (queued, running, running):
            client.delete(f"{TASK}/{task.pk.hex}")

        assert sample("tasks_ended_total", function="sample_background_task", status="cancelled") == 2
        # It has not run to an end; it has waited for its beginning.
        assert sample("task_run_seconds_count", function="sample_background_task") is None
        assert sample("task_wait_seconds_count", queue="default") == 1

    def test_the_worker_that_had_it_does_not_count_it_again(self, sample: Callable[..., float | None]) -> None:
        @background_task(atomic=False)
        def run_until_cancelled(marker: str) -> None:
            assert cancel(Task.objects.get(args=[marker]))
            for step in range(1000):
                progress(step, 1000)
                time.sleep(0.01)

        ran(run_until_cancelled, "this one")

        assert Task.objects.get().status == Status.CANCELLED
        assert sample("tasks_ended_total", function="run_until_cancelled", status="cancelled") == 1

    def test_the_admin_counts_each(self, browser: Client, sample: Callable[..., float | None]) -> None:
        tasks = [make_task(), make_task(), make_task(status=Status.FAILED)]

        browser.post("/admin/tasks/task/", {"action": "cancel", "_selected_action": [task.pk for task in tasks]})

        assert sample("tasks_ended_total", function="sample_background_task", status="cancelled") == 2

    def test_of_one_that_is_rolled_back_nothing_is_counted(self, sample: Callable[..., float | None]) -> None:
        with transaction.atomic():
            assert cancel(make_task())
            transaction.set_rollback(True)

        assert sample("tasks_ended_total", function="sample_background_task", status="cancelled") is None

    def test_a_broker_that_hangs_holds_up_one_of_many(self, client: APIClient, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broker, "TIMEOUT_SECONDS", 0.5)
        # Longer than the test: who asks during a pause is no other one.
        monkeypatch.setattr(outages, "PAUSE_SECONDS", 600)
        tasks = [make_task() for _ in range(5)]
        with proxied(os.environ["REDIS_QUEUE_URL"]) as proxy:
            settings.CELERY_BROKER_URL = proxy.url
            proxy.hold()
            answers = [client.delete(f"{TASK}/{task.pk.hex}").status_code for task in tasks]
            # What the first one sent waits in the line.
            assert proxy.is_holding.wait(20)

        assert answers == [200] * 5
        assert proxy.connections == 1


def test_without_a_queue_nothing_is_counted(settings: Settings) -> None:
    settings.QUEUE_ENABLED = False

    with commands_by_service() as commands:
        ran(functions.count_up, 1, 0)

    assert commands["queue"] == []
