"""
The sweep beside whoever works on the same records.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection, transaction
from django.utils import timezone

from common.tests.concurrency import in_thread

from ..models import Task
from ..services import SWEEP_LOCK, send_due
from .factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def empty_broker() -> Any:
    current_app.control.purge()
    yield
    current_app.control.purge()


def make_due() -> Task:
    return make_task(created_at=timezone.now() - timedelta(minutes=1))


def sent() -> set[Any]:
    return set(Task.objects.exclude(sent_at=None).values_list("pk", flat=True))


def test_what_is_sent_is_noted_once() -> None:
    tasks = {make_due().pk for _ in range(3)}

    assert (send_due(), send_due()) == (3, 0)
    assert sent() == tasks


def test_it_waits_for_nobody_who_works_on_a_task() -> None:
    first, held, last = make_due(), make_due(), make_due()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Task.objects.select_for_update().get(pk=held.pk)
        assert in_thread(send_due, pool).result(60) == 3

    assert sent() == {first.pk, last.pk}


def test_while_another_one_is_on_nothing_is_sent() -> None:
    make_due()

    with ThreadPoolExecutor(1) as pool, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SWEEP_LOCK])
        assert in_thread(send_due, pool).result(60) == 0

    assert not sent()


@pytest.mark.parametrize("note", [Task.note_sent, lambda task: Task.note_all_sent([task])], ids=["one", "all"])
def test_what_was_given_back_meanwhile_is_to_be_sent_again(note: Any) -> None:
    task = make_due()
    claimed = Task.claim(str(task.pk))
    assert claimed is not None
    assert claimed.give_back()

    note(task)

    assert list(Task.objects.due()) == [task]
