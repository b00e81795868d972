from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from pytest_django import Settings

from ..housekeeping import remove_old
from ..models import IdempotencyKey, Status, Task
from .factories import make_task

pytestmark = pytest.mark.django_db


def ago(**time: float) -> Any:
    return timezone.now() - timedelta(**time)


def test_records_go_when_they_have_been_over_for_long(settings: Settings) -> None:
    settings.TASK_RECORD_DAYS = 2
    for status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED):
        make_task(status=status, finished_at=ago(days=2, hours=1))
    kept = [
        make_task(status=Status.SUCCEEDED, finished_at=ago(days=1)),
        make_task(created_at=ago(days=9)),
        make_task(status=Status.RUNNING, created_at=ago(days=9)),
    ]

    assert remove_old(batch=2) == (3, 0)
    assert set(Task.objects.all()) == set(kept)


def test_keys_go_when_they_no_longer_hold(alice: Any) -> None:
    task = make_task(alice)
    for hours in (1, 23, 25):
        IdempotencyKey.objects.create(user=alice, route="r", key=str(hours), digest="d", task=task, created_at=ago(hours=hours))

    assert remove_old(batch=1) == (0, 1)
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"1", "23"}


def test_the_schedule_names_tasks_that_exist() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    assert {entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)
