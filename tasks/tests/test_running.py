"""
What becomes of a function's result, error and effects.
"""

import logging
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.tasks import send_password_reset
from common.tests.concurrency import backends
from common.tests.servers import wait_until
from posts.tasks import export_posts

from ..functions import FUNCTIONS, Options, background_task, find_function
from ..models import MAX_LOSSES, Status, Task
from ..running import run
from ..services import enqueue
from ..watch import TICK_SECONDS, Watch, check_cancelled, current_attempt, progress
from . import functions
from .factories import make_task

pytestmark = pytest.mark.django_db


def ran(function: Any, *args: Any, **kwargs: Any) -> Task:
    task = enqueue(function, *args, **kwargs)
    run(str(task.pk))
    return Task.objects.get(pk=task.pk)


class TestResult:
    @pytest.mark.parametrize("value", [None, "text", 5, 1.5, [1, {"a": None}], {"b": True}, "\\u0000", ""])
    def test_json_is_kept(self, value: Any) -> None:
        task = ran(functions.give, value)

        assert (task.status, task.result, task.progress, task.error) == (Status.SUCCEEDED, value, 100, None)

    @pytest.mark.parametrize(
        ("value", "error"),
        [
            ("object", "The result is not JSON: Object of type object is not JSON serializable"),
            ("nan", "The result is not JSON: Out of range float values are not JSON compliant"),
            ("nul", "The result holds a NUL character, which the database does not keep."),
            ("surrogate", "The result is not JSON: 'utf-8' codec can't encode"),
            ("large", "The result has 10000003 bytes; 10000000 are kept at most."),
        ],
    )
    def test_what_cannot_be_kept_is_a_failure_that_says_so(self, value: str, error: str) -> None:
        task = ran(functions.give, value)

        assert task.status == Status.FAILED
        assert (task.error or "").startswith(f"ResultError: {error}")


class TestError:
    def test_it_is_kept_with_its_traceback(self) -> None:
        task = ran(functions.fail, "odd")

        assert (task.status, task.error) == (Status.FAILED, "ValueError: no?")
        assert "in fail" in task.traceback

    def test_a_long_one_is_cut(self) -> None:
        assert len(ran(functions.fail, "x" * 100_000).error or "") == 2_000

    def test_wrong_arguments_are_one(self) -> None:
        assert "unexpected keyword argument" in (ran(functions.fail, nonsense=1).error or "")

    def test_a_function_that_this_worker_does_not_know_is_left_to_others_for_a_while(self) -> None:
        task = make_task()
        Task.objects.update(function="from_the_next_version")

        run(str(task.pk))

        task = Task.objects.get()
        assert (task.status, task.retries) == (Status.QUEUED, 1)
        assert task.error == "UnknownFunctionError: This worker knows no function 'from_the_next_version'."

    def test_a_task_that_outlived_too_many_workers_is_given_up(self) -> None:
        task = make_task(status=Status.RUNNING, losses=MAX_LOSSES - 1, lease_until=timezone.now() - timedelta(seconds=1))

        run(str(task.pk))

        assert Task.objects.values_list("status", "error").get() == (
            Status.FAILED,
            "Given up: the worker died in each of 5 attempts.",
        )


class TestEffects:
    def test_they_come_with_the_end(self, alice: Any) -> None:
        assert ran(functions.write_row, alice.pk, "row").status == Status.SUCCEEDED
        assert LogEntry.objects.count() == 1

    def test_an_error_takes_them_back(self, alice: Any) -> None:
        assert ran(functions.write_row_and_fail, alice.pk, "row").status == Status.FAILED
        assert not LogEntry.objects.exists()

    def test_of_an_attempt_that_was_overtaken_nothing_stays(self, alice: Any) -> None:
        @background_task
        def write_and_lose_the_task(user_id: int) -> None:
            functions.write_row(user_id, "row")
            Task.objects.update(attempt=2)

        task = ran(write_and_lose_the_task, alice.pk)

        assert task.status == Status.RUNNING
        assert not LogEntry.objects.exists()

    def test_without_atomic_they_stay(self, alice: Any) -> None:
        @background_task(atomic=False)
        def write_and_fail_outside(user_id: int) -> None:
            functions.write_row(user_id, "row")
            raise ValueError

        assert ran(write_and_fail_outside, alice.pk).status == Status.FAILED
        assert LogEntry.objects.count() == 1


class TestRetries:
    def test_a_named_error_is_tried_again_when_its_time_has_come(self) -> None:
        task = ran(functions.fail_until, 3)
        assert (task.status, task.retries, task.error) == (Status.QUEUED, 1, "ConnectionError: not yet")
        assert task.run_after is not None
        assert task.sent_at is None

        for _ in range(2):
            Task.objects.update(run_after=timezone.now() - timedelta(seconds=1))
            run(str(task.pk))

        task = Task.objects.get()
        assert (task.status, task.result, task.retries, task.error, task.traceback) == (Status.SUCCEEDED, 3, 2, None, "")

    def test_it_is_not_run_before(self) -> None:
        task = make_task(run_after=timezone.now() + timedelta(minutes=1))

        assert Task.claim(str(task.pk)) is None

    def test_at_last_it_fails(self) -> None:
        task = ran(functions.fail_until, 9)
        for _ in range(2):
            Task.objects.update(run_after=timezone.now() - timedelta(seconds=1))
            run(str(task.pk))

        task = Task.objects.get()
        assert (task.status, task.attempt, task.error) == (Status.FAILED, 3, "ConnectionError: not yet")

    def test_another_error_is_not_tried_again(self) -> None:
        assert ran(functions.fail, "no").status == Status.FAILED

    def test_pauses_double_up_to_a_bound_with_jitter(self) -> None:
        options = Options(backoff=10, backoff_max=100)

        pauses = [[options.pause(retries) for _ in range(200)] for retries in (0, 1, 2, 9, 5000)]

        for found, longest in zip(pauses, (10, 20, 40, 100, 100), strict=True):
            assert all(longest / 2 <= pause <= longest for pause in found)
            assert max(found) - min(found) > longest / 4


class TestRegistry:
    def test_a_name_stands_for_one_function(self) -> None:
        def count_up() -> None:
            pass

        with pytest.raises(ValueError, match="has a background task 'count_up' already"):
            background_task(count_up)

        assert FUNCTIONS["count_up"].call is functions.count_up

    @pytest.mark.parametrize("options", [{"queue": "unknown"}, {"soft_time_limit": 0}, {"soft_time_limit": 9, "time_limit": 8}])
    def test_options_that_make_no_sense_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"There is no queue 'unknown'|time limit"):
            background_task(**options)(lambda: None)

    def test_a_function_names_its_queue(self) -> None:
        assert find_function(send_password_reset.__name__).options.queue == "mail"
        assert find_function(export_posts.__name__).options.queue == "slow"


def test_outside_a_task_a_function_is_an_ordinary_one() -> None:
    progress(1, 2)
    check_cancelled()

    assert current_attempt() == 1
    assert functions.count_up(2, 0) == 2


def test_its_lines_carry_the_request_and_the_user(alice: Any, caplog: pytest.LogCaptureFixture) -> None:
    task = make_task(owner=alice, request_id="find-me")
    Task.objects.update(function="fail")

    with caplog.at_level(logging.INFO):
        run(str(task.pk))

    assert [record.getMessage() for record in caplog.records if record.name == "tasks.running"] == ["Task fail failed"]


class TestWatcher:
    def test_one_thread_looks_after_all_tasks(self) -> None:
        for _ in range(5):
            assert ran(functions.give, 1).status == Status.SUCCEEDED

        assert [thread.name for thread in threading.enumerate()].count("watch") == 1

    @pytest.mark.django_db(transaction=True)
    def test_its_connection_is_closed_once_nothing_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGAPPNAME", "watcher")
        assert ran(functions.count_up, 1, 1.5).status == Status.SUCCEEDED

        wait_until(lambda: not backends("watcher"), what="the connection to be closed")

    def test_a_step_that_fails_is_not_tried_again_at_once(self) -> None:
        # No number of a task: the database is not even asked.
        watch = Watch(Task(pk="nonsense"), Options(), may_stop_process=False)
        watch.started = watch.renewed = time.monotonic()
        watch.next_at = 0

        before = time.monotonic()
        with pytest.raises(ValidationError):
            watch.step()

        assert watch.next_at >= before + TICK_SECONDS
