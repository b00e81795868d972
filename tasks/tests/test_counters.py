"""
What Prometheus is shown about tasks.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from common import broker

from .. import counters
from ..models import Status, Task
from ..running import run
from ..services import enqueue
from . import functions
from .factories import make_task

pytestmark = pytest.mark.django_db


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
    ran(functions.count_up, 1, 0.2)

    buckets = [sample("task_run_seconds_bucket", function="count_up", le=le) for le in ("0.1", "0.5", "1", "+Inf")]
    assert buckets == [0, 1, 1, 1]
    assert 0.2 <= (sample("task_run_seconds_sum", function="count_up") or 0) < 0.5
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
