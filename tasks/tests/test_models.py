from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from common.tests.concurrency import at_once

from ..models import LEASE, RESEND_AFTER, Status, Task
from .factories import make_task

pytestmark = pytest.mark.django_db


def ago(**time: float) -> Any:
    return timezone.now() - timedelta(**time)


def past(fields: dict[str, Any]) -> dict[str, Any]:
    """
    Count every interval back from now.
    """
    return {name: timezone.now() - value if isinstance(value, timedelta) else value for name, value in fields.items()}


def claim(task: Task) -> Task | None:
    return Task.claim(str(task.pk))


def claimed(task: Task) -> Task:
    mine = claim(task)
    assert mine is not None
    return mine


class TestClaim:
    def test_a_queued_task_runs(self) -> None:
        task = claimed(make_task())

        assert (task.status, task.attempt, task.progress) == (Status.RUNNING, 1, 0)
        assert task.started_at is not None
        assert task.lease_until == task.started_at + LEASE

    def test_a_claim_tells_that_a_message_was_sent(self) -> None:
        task = make_task()
        mine = claimed(task)
        # Later than the claim, as where the worker was faster.
        task.note_sent()

        assert mine.sent_at == mine.started_at == Task.objects.get().sent_at

    def test_a_running_task_is_not_taken_from_its_worker(self) -> None:
        task = make_task()
        claimed(task)

        assert claim(task) is None
        assert Task.objects.get().attempt == 1

    def test_a_task_whose_worker_fell_silent_is_taken_over(self) -> None:
        task = make_task(status=Status.RUNNING, attempt=1, lease_until=ago(seconds=1))

        assert claimed(task).attempt == 2

    @pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
    def test_a_finished_task_does_not_run_again(self, status: Status) -> None:
        assert claim(make_task(status=status)) is None

    def test_a_task_that_is_gone_is_nobodys(self) -> None:
        task = make_task()
        task_id = str(task.pk)
        task.delete()

        assert Task.claim(task_id) is None

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        "fields", [{}, {"status": Status.RUNNING, "attempt": 1, "lease_until": ago(minutes=1)}], ids=["queued", "silent"]
    )
    def test_of_many_claims_at_once_one_succeeds(self, fields: dict[str, Any]) -> None:
        task = make_task(**fields)
        before = task.attempt

        claims = at_once(*[lambda: claim(task)] * 8)

        assert len([mine for mine in claims if mine]) == 1
        assert Task.objects.get().attempt == before + 1

    @pytest.mark.django_db(transaction=True)
    def test_only_the_claim_itself_does_not_wait_for_the_disk(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit TO on")
            claimed(make_task()).note_sent()
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)
        connection.close()


class TestLease:
    def test_it_is_renewed_from_now(self) -> None:
        task = claimed(make_task())
        Task.objects.update(lease_until=ago(seconds=5))

        before = timezone.now()
        assert task.renew_lease()
        assert Task.objects.filter(lease_until__gte=before + LEASE).exists()

    def test_it_is_lost_to_the_next_attempt(self) -> None:
        first = claimed(make_task())
        Task.objects.update(lease_until=ago(seconds=5))
        second = claimed(first)

        assert not first.renew_lease()
        assert Task.objects.get().lease_until == second.lease_until

    def test_it_ends_with_a_cancelled_task(self) -> None:
        task = claimed(make_task())
        Task.objects.update(status=Status.CANCELLED)

        assert not task.renew_lease()


class TestFinish:
    def test_the_end_is_recorded(self) -> None:
        task = claimed(make_task())

        assert task.finish(Status.SUCCEEDED, result="done", progress=100)

        stored = Task.objects.get()
        assert (stored.status, stored.result, stored.progress, stored.lease_until) == (Status.SUCCEEDED, "done", 100, None)
        assert stored.finished_at is not None
        assert stored.is_finished

    def test_an_attempt_that_was_overtaken_writes_nothing(self) -> None:
        first = claimed(make_task())
        Task.objects.update(lease_until=ago(seconds=5))
        claimed(first)

        assert not first.finish(Status.FAILED, error="late")
        assert Task.objects.values_list("status", "error").get() == (Status.RUNNING, None)

    def test_a_second_end_writes_nothing(self) -> None:
        task = claimed(make_task())
        task.finish(Status.SUCCEEDED, result="first")

        assert not task.finish(Status.FAILED, error="second")
        assert Task.objects.values_list("status", "result").get() == (Status.SUCCEEDED, "first")

    def test_a_cancelled_task_stays_cancelled(self) -> None:
        task = claimed(make_task())
        Task.objects.update(status=Status.CANCELLED)

        assert not task.finish(Status.SUCCEEDED, result="done")
        assert Task.objects.get().status == Status.CANCELLED

    def test_two_attempts_of_one_number_are_told_apart(self) -> None:
        first = claimed(make_task())
        # As after a crash of the database that forgot the claim.
        Task.objects.update(status=Status.QUEUED, attempt=0)
        second = claimed(first)

        assert second.attempt == first.attempt
        assert (first.is_mine(), first.renew_lease(), first.finish(Status.FAILED), first.give_back()) == (False, False, False, False)
        assert second.finish(Status.SUCCEEDED)

    @pytest.mark.django_db(transaction=True)
    def test_of_many_ends_at_once_one_counts(self) -> None:
        task = claimed(make_task())

        ends = at_once(*[lambda: task.finish(Status.SUCCEEDED, result="done")] * 8)

        assert ends.count(True) == 1


class TestDue:
    @pytest.mark.parametrize(
        "fields",
        [
            {"created_at": timedelta(seconds=5)},
            {"created_at": timedelta(hours=1), "sent_at": RESEND_AFTER + timedelta(minutes=1)},
            {"status": Status.RUNNING, "sent_at": timedelta(minutes=2), "lease_until": timedelta(minutes=1)},
            {"status": Status.RUNNING, "sent_at": None, "lease_until": timedelta(minutes=1)},
        ],
        ids=["never sent", "lost by the broker", "held by a silent worker", "held by a silent worker, sending not noted"],
    )
    def test_what_has_to_be_sent_is(self, fields: dict[str, Any]) -> None:
        task = make_task(**past(fields))

        assert list(Task.objects.due()) == [task]

    @pytest.mark.parametrize(
        "fields",
        [
            {"created_at": timedelta(hours=1), "sent_at": timedelta(seconds=10)},
            {"status": Status.RUNNING, "sent_at": timedelta(hours=1), "lease_until": timedelta(seconds=-20)},
            {"status": Status.RUNNING, "sent_at": timedelta(seconds=10), "lease_until": timedelta(minutes=1)},
            {"status": Status.SUCCEEDED, "created_at": timedelta(hours=1)},
            {"status": Status.CANCELLED, "created_at": timedelta(hours=1)},
        ],
        ids=["just sent", "running", "just sent again", "succeeded", "cancelled"],
    )
    def test_what_need_not_be_sent_is_not(self, fields: dict[str, Any]) -> None:
        make_task(**past(fields))

        assert not Task.objects.due().exists()

    def test_what_was_just_made_need_not_be(self) -> None:
        task = make_task()

        is_due = Task.objects.due().exists()

        assert not is_due or timezone.now() > task.created_at + timedelta(seconds=2)


def test_tasks_come_newest_first() -> None:
    tasks = [make_task() for _ in range(3)]

    assert list(Task.objects.all()) == tasks[::-1]


def test_a_task_is_called_by_its_function_and_id() -> None:
    task = make_task()

    assert str(task) == f"sample_background_task {task.pk.hex}"
