"""
What a real worker does with tasks that are cancelled, late or slow, and with itself.
"""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from common.tests.servers import Server, wait_until

from ..consumption import STOP_SECONDS
from ..models import Status, Task
from ..services import enqueue
from . import functions
from .functions import INCLUDE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

StartWorker = Callable[..., Any]
TASK = "/api/v1/tasks/task"


@pytest.fixture(autouse=True)
def empty_broker() -> None:
    current_app.control.purge()


def status_of(task: Task) -> str:
    return Task.objects.values_list("status", flat=True).get(pk=task.pk)


def wait_for(task: Task, status: Status, seconds: float = 20) -> Task:
    wait_until(lambda: status_of(task) == status, seconds=seconds, what=f"{task.function} to be {status}")
    return Task.objects.get(pk=task.pk)


class TestOneWorker:
    @pytest.fixture(autouse=True)
    def worker(self, start_worker: StartWorker) -> Any:
        self.process = start_worker(options=INCLUDE)
        return self.process

    def test_progress_is_seen_while_it_runs(self, client: APIClient) -> None:
        task = enqueue(functions.count_up, 80, 8)

        wait_until(lambda: 0 < (client.get(f"{TASK}/{task.pk.hex}").json()["progress"] or 0) < 100, what="progress")
        shown = []
        while status_of(task) == Status.RUNNING:
            shown.append(client.get(f"{TASK}/{task.pk.hex}").json()["progress"])
            time.sleep(0.1)

        assert shown == sorted(shown)
        assert len(set(shown)) >= 2
        assert client.get(f"{TASK}/{task.pk.hex}").json()["progress"] == 100

    def test_a_cancelled_task_ends_between_its_steps_and_has_no_effect(self, client: APIClient, alice: Any) -> None:
        task = enqueue(functions.write_row_at_the_end, alice.pk, "row")
        wait_for(task, Status.RUNNING)

        assert client.delete(f"{TASK}/{task.pk.hex}").json() == {"message": "Task cancelled"}

        wait_until(lambda: b"was cancelled or taken over" in self.process.log.read_bytes(), what="the function to stop")
        assert status_of(task) == Status.CANCELLED
        assert not LogEntry.objects.exists()

    def test_one_that_does_not_obey_is_stopped_with_its_process_and_takes_nobody_along(self, alice: Any) -> None:
        task, other = enqueue(functions.deaf, 600), enqueue(functions.write_row, alice.pk, "other", 8)
        wait_for(task, Status.RUNNING)
        wait_for(other, Status.RUNNING)

        assert task.cancel()
        wait_until(lambda: b"is stopped with its process" in self.process.log.read_bytes(), what="the process to stop")
        after = enqueue(functions.write_row, alice.pk, "after")

        assert wait_for(after, Status.SUCCEEDED).attempt == 1
        assert wait_for(other, Status.SUCCEEDED).attempt == 1
        assert status_of(task) == Status.CANCELLED
        assert LogEntry.objects.count() == 2
        assert self.process.poll() is None

    def test_a_task_over_its_time_is_interrupted(self) -> None:
        task = wait_for(enqueue(functions.too_slow), Status.FAILED)

        assert task.error == "Time limit: stopped after 1 s."
        assert "SoftTimeLimitExceeded" in task.traceback

    def test_one_that_waits_for_the_database_is_too(self) -> None:
        task = wait_for(enqueue(functions.slow_statement, 60), Status.FAILED)

        assert (task.error, task.attempt) == ("Time limit: stopped after 0.5 s.", 1)

    def test_one_that_goes_on_is_stopped_with_its_process(self) -> None:
        task = wait_for(enqueue(functions.much_too_slow), Status.FAILED)
        other = enqueue(functions.count_up, 1, 0)

        assert task.error == "Time limit: its process was stopped after 2 s."
        assert wait_for(other, Status.SUCCEEDED).attempt == 1

    def test_a_connection_that_the_database_has_ended_costs_no_task(self, alice: Any) -> None:
        for number in range(4):
            wait_for(enqueue(functions.write_row, alice.pk, f"before {number}"), Status.SUCCEEDED)
        with connection.cursor() as cursor:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            cursor.execute(others)
            assert cursor.rowcount > 0

        after = [enqueue(functions.write_row, alice.pk, f"after {number}") for number in range(8)]

        for task in after:
            assert wait_for(task, Status.SUCCEEDED).attempt == 1

    def test_the_sweep_does_not_wait_behind_a_backlog(self) -> None:
        for _ in range(100):
            enqueue(functions.count_up, 1, 1)
        unsent = enqueue(functions.count_up, 1, 0, run_after=timezone.now())

        current_app.send_task("tasks.sweep")

        wait_until(lambda: Task.objects.filter(pk=unsent.pk, sent_at__isnull=False).exists(), what="the sweep")
        assert Task.objects.filter(status=Status.QUEUED).count() > 50


def test_a_stop_lets_a_short_task_finish_and_gives_back_a_long_one(start_worker: StartWorker, alice: Any) -> None:
    first = start_worker(options=INCLUDE)
    short, long = enqueue(functions.write_row, alice.pk, "short", 3), enqueue(functions.write_row, alice.pk, "long", 60)
    wait_for(short, Status.RUNNING)
    wait_for(long, Status.RUNNING)

    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0

    # What is given back was not waited for, and a container that is stopped gives it ten seconds.
    assert STOP_SECONDS < 10
    assert status_of(short) == Status.SUCCEEDED
    assert status_of(long) == Status.QUEUED
    start_worker(options=INCLUDE)
    wait_until(lambda: Task.objects.get(pk=long.pk).attempt == 2, what="the second attempt")
    assert not LogEntry.objects.filter(object_repr="long").exists()


def test_an_idle_worker_stops_at_once(start_worker: StartWorker, tmp_path: Path) -> None:
    pidfile = tmp_path / "worker.pid"
    worker = start_worker(options=["--pidfile", str(pidfile)])
    assert pidfile.exists()

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    # It ended by itself: one that is ended when `STOP_SECONDS` are over leaves the file.
    assert not pidfile.exists()


class TestConsumption:
    def test_ready_tells_whether_each_queue_is_consumed(self, serve: Callable[..., Server], start_worker: StartWorker) -> None:
        server = serve()

        def queue() -> Any:
            answer = requests.get(f"{server.url}/health/ready", timeout=10).json()
            return answer["queue"], answer.get("details")

        nobody = ("down", [f"No worker consumes {name}." for name in ("default", "slow", "mail")])
        wait_until(lambda: queue() == nobody, seconds=60, what="earlier workers to be forgotten")

        partly = ("down", ["No worker consumes slow."])
        partial = start_worker(options=["--queues", "default,mail"])
        wait_until(lambda: queue() == partly, what="two queues")
        start_worker(options=["--queues", "slow"])
        wait_until(lambda: queue() == ("ok", None), what="all queues")

        # It lives, but it consumes nothing.
        silent = ("down", ["No worker consumes default.", "No worker consumes mail."])
        os.kill(partial.pid, signal.SIGSTOP)
        wait_until(lambda: queue() == silent, seconds=60, what="the silence to be noticed")
        os.kill(partial.pid, signal.SIGCONT)
        wait_until(lambda: queue() == ("ok", None), what="its return")

    def test_a_worker_that_stops_consuming_replaces_itself(self, start_worker: StartWorker) -> None:
        worker = start_worker(options=INCLUDE)
        held = enqueue(functions.deaf, 600)
        wait_for(held, Status.RUNNING)
        assert current_app.control.cancel_consumer("default", reply=True, limit=1, timeout=60)

        wait_until(lambda: b"it replaces itself" in worker.log.read_bytes(), seconds=120, what="the worker to notice")
        task = enqueue(functions.count_up, 1, 0)

        assert wait_for(task, Status.SUCCEEDED, 60).error is None
        assert wait_for(held, Status.RUNNING, 60).attempt == 2
        assert worker.poll() is None


def test_two_beats_do_no_harm(start_worker: StartWorker, alice: Any) -> None:
    for _ in range(2):
        start_worker(beat=True, options=INCLUDE)
    soon = timezone.now() + timedelta(seconds=3)

    tasks = [enqueue(functions.write_row, alice.pk, f"row {number}", run_after=soon) for number in range(20)]

    for task in tasks:
        assert wait_for(task, Status.SUCCEEDED, 60).attempt == 1
    assert sorted(LogEntry.objects.values_list("object_repr", flat=True)) == sorted(f"row {number}" for number in range(20))
