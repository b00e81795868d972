"""
What becomes of running tasks when a signal reaches a worker's whole process group, as systemd, honcho and a terminal send it.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from common.tests.servers import wait_until

from ..models import Status, Task
from ..services import enqueue
from . import functions
from .functions import INCLUDE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def statuses(*tasks: Task) -> list[str]:
    return [Task.objects.values_list("status", flat=True).get(pk=task.pk) for task in tasks]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_a_short_task_is_finished_and_a_long_one_given_back(number: signal.Signals, start_worker: Callable[..., Any], alice: Any) -> None:
    worker = start_worker(options=INCLUDE)
    short, long = enqueue(functions.write_row, alice.pk, "short", 3), enqueue(functions.write_row, alice.pk, "long", 600)
    wait_until(lambda: statuses(short, long) == [Status.RUNNING] * 2, what="both to run")

    os.killpg(worker.pid, number)

    wait_until(lambda: statuses(short, long) == [Status.SUCCEEDED, Status.QUEUED], seconds=60, what=lambda: f"{statuses(short, long)}")
    # Nobody is there to take it again.
    assert worker.wait(60) == 0
    assert statuses(short, long) == [Status.SUCCEEDED, Status.QUEUED]
    assert [Task.objects.get(pk=task.pk).attempt for task in (short, long)] == [1, 1]
    assert [Task.objects.get(pk=task.pk).losses for task in (short, long)] == [0, 0]
    assert [row.object_repr for row in LogEntry.objects.all()] == ["short"]
