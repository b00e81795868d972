import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now
from django.utils import timezone
from psycopg.types.json import Jsonb

LEASE = timedelta(seconds=30)
# A message may be lost with its broker; a task that waits longer than this is sent once more. Two messages of one task do no harm.
RESEND_AFTER = timedelta(minutes=5)
# Where nothing lies in the queue any more, what is said to wait there was lost.
RESEND_FROM_EMPTY_AFTER = timedelta(seconds=15)
# How often a task may outlive its worker.
MAX_LOSSES = 5
MAX_ERROR, MAX_TRACEBACK = 2_000, 20_000

# What a task costs is mostly in these statements; the ORM takes longer to compile them than the database to run them.
# For NOTE_SENT and CLAIM nobody waits for the disk: should the database crash and forget them, the task is sent and claimed once more.
NOTE_SENT = """
UPDATE tasks_task SET sent_at = statement_timestamp()
WHERE id = %s AND attempt = %s AND set_config('synchronous_commit', 'off', true) = 'off'
"""
# Nobody waits for it, nor does it wait for anybody: a row that is locked is being claimed or cancelled.
NOTE_ALL_SENT = """
UPDATE tasks_task SET sent_at = statement_timestamp()
WHERE id IN (
    SELECT id FROM tasks_task JOIN unnest(%s::uuid[], %s::int[]) AS sent (id, attempt) USING (id, attempt)
    FOR NO KEY UPDATE OF tasks_task SKIP LOCKED
)
"""
CLAIM = """
UPDATE tasks_task
SET status = 'running', attempt = attempt + 1, losses = losses + (status = 'running')::int, progress = 0, worker = %s,
    started_at = statement_timestamp(), lease_until = statement_timestamp() + %s::interval,
    sent_at = COALESCE(sent_at, statement_timestamp())
WHERE id = %s AND set_config('synchronous_commit', 'off', true) = 'off' AND (
    status = 'queued' AND (run_after IS NULL OR run_after <= statement_timestamp())
    OR status = 'running' AND lease_until < statement_timestamp()
)
RETURNING id, owner_id, function, args, kwargs, queue_name, request_id, status, attempt, retries, losses, worker,
    created_at, run_after, sent_at, started_at, lease_until, progress
"""
# In the order of the model's fields; what is left out is of a task that has ended.
CLAIMED = [name.strip() for name in CLAIM.partition("RETURNING")[2].split(",")]
FINISH = """
UPDATE tasks_task
SET status = %s, finished_at = statement_timestamp(), lease_until = NULL, result = %s::jsonb, error = %s::text,
    progress = COALESCE(%s::smallint, progress), traceback = COALESCE(%s::text, traceback)
WHERE id = %s AND status = 'running' AND attempt = %s AND started_at IS NOT DISTINCT FROM %s
"""


class Status(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (Status.QUEUED, Status.RUNNING)


class TaskQuerySet(models.QuerySet["Task"]):
    def unfinished(self) -> Self:
        return self.filter(status__in=UNFINISHED)

    def waiting(self) -> Self:
        """
        Return the tasks that a worker might take now.
        """
        return self.filter(Q(run_after=None) | Q(run_after__lte=Now()), status=Status.QUEUED)

    def due(self, lengths: Mapping[str, int] | None = None) -> Self:
        """
        Return the tasks whose message has to be sent, or sent again.

        `lengths` says how many messages lie in each queue: a queue that holds as many as tasks wait in it has lost none, and an empty one
        has lost all.
        """
        now = timezone.now()
        unsent = Q(sent_at__isnull=True) & (Q(run_after=None, created_at__lt=now - timedelta(seconds=2)) | Q(run_after__lte=now))
        lost = Q(sent_at__lt=now - RESEND_AFTER)
        if lengths is not None:
            empty = [name for name, length in lengths.items() if not length]
            lost = lost & ~Q(queue_name__in=self._complete(lengths)) | Q(queue_name__in=empty, sent_at__lt=now - RESEND_FROM_EMPTY_AFTER)
        # Who sent it may have died before that was noted.
        unheard = Q(sent_at__isnull=True) | Q(sent_at__lt=F("lease_until")) | Q(sent_at__lt=now - RESEND_AFTER)
        silent = Q(status=Status.RUNNING, lease_until__lt=now) & unheard
        return self.filter(Q(status=Status.QUEUED) & (unsent | lost) | silent)

    def _complete(self, lengths: Mapping[str, int]) -> list[str]:
        waiting = self.waiting().exclude(sent_at=None).order_by().values_list("queue_name").annotate(models.Count("pk"))
        return [name for name, count in waiting if lengths.get(name, 0) >= count]


class Task(models.Model):
    """
    The record of a background task: written with what asks for it, sent after the commit, the truth about it ever after.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="tasks")
    function = models.CharField(max_length=200)
    args = models.JSONField(default=list, blank=True)
    kwargs = models.JSONField(default=dict, blank=True)
    queue_name = models.CharField(max_length=50, default="default")
    request_id = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    retries = models.PositiveIntegerField(default=0, help_text="Attempts that ended in an error after which it is run again.")
    losses = models.PositiveIntegerField(default=0, help_text="Attempts whose worker fell silent.")
    worker = models.CharField(max_length=300, blank=True, help_text="Host and process of the worker that had it last.")
    created_at = models.DateTimeField(default=timezone.now)
    run_after = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    progress = models.PositiveSmallIntegerField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(null=True, blank=True)
    traceback = models.TextField(blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("status", "created_at"), name="task_unfinished", condition=Q(status__in=("queued", "running"))),
            models.Index(fields=("owner", "-created_at"), name="task_owner_newest"),
        )

    def __str__(self) -> str:
        return f"{self.function} {self.id.hex}"

    @property
    def is_finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def success(self) -> bool | None:
        return self.status == Status.SUCCEEDED if self.is_finished else None

    @property
    def may_retry(self) -> bool:
        return self.status in (Status.FAILED, Status.CANCELLED)

    @classmethod
    def claim(cls, task_id: str, worker: str = "") -> "Task | None":
        """
        Take the task for this worker for `LEASE`, or return `None` where another has it, its time has not come or it is finished.
        """
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, [worker, f"{LEASE.total_seconds():g} s", uuid.UUID(task_id)])
            row = cursor.fetchone()
        if row is None:
            return None
        task = cls.from_db(connection.alias, CLAIMED, row)
        # What a field of Django does with what it has selected.
        task.args, task.kwargs = json.loads(task.args), json.loads(task.kwargs)
        return task

    def is_mine(self) -> bool:
        """
        Say whether the task is still this attempt's: neither finished or cancelled nor taken over.
        """
        return self._mine().exists()

    def renew_lease(self, progress: int = 0) -> bool:
        """
        Keep the task for another `LEASE` and note its progress, which never falls; return whether it is still this attempt's.
        """
        return self._mine().update(lease_until=Now() + LEASE, progress=Greatest("progress", progress)) == 1

    def note_sent(self) -> None:
        """
        Record that the broker has a message of this task, unless it has been claimed since.
        """
        with connection.cursor() as cursor:
            cursor.execute(NOTE_SENT, [self.pk, self.attempt])

    @classmethod
    def note_all_sent(cls, tasks: "Sequence[Task]") -> None:
        """
        Record that the broker has messages of these tasks, but for those that have been claimed since, or are just now.
        """
        with connection.cursor() as cursor:
            cursor.execute(NOTE_ALL_SENT, [[task.pk for task in tasks], [task.attempt for task in tasks]])

    def finish(
        self, status: Status, *, result: Any = None, error: str | None = None, progress: int | None = None, traceback: str | None = None
    ) -> bool:
        """
        Record the end of this attempt; return `False`, having written nothing, where another attempt has taken over.

        Progress and traceback that are not given stay as they are.
        """
        stored = None if result is None else Jsonb(result)
        values: list[Any] = [status.value, stored, error, progress, traceback, self.pk, self.attempt, self.started_at]
        with connection.cursor() as cursor:
            cursor.execute(FINISH, values)
            return int(cursor.rowcount) == 1

    def give_back(self, run_after: datetime | None = None, **values: Any) -> bool:
        """
        Let any worker take the task, not before `run_after`; return `False`, having written nothing, where it is not this attempt's.
        """
        return self._mine().update(status=Status.QUEUED, run_after=run_after, sent_at=None, lease_until=None, **values) == 1

    def cancel(self) -> bool:
        """
        Cancel the task, running or not; return `False` where it is finished. What runs is stopped by the worker that has it.
        """
        unfinished = Task.objects.unfinished().filter(pk=self.pk)
        return unfinished.update(status=Status.CANCELLED, finished_at=Now(), lease_until=None) == 1

    def _mine(self) -> TaskQuerySet:
        # By its time too: a database that crashed may have forgotten a claim, and then two attempts have one number.
        return Task.objects.filter(pk=self.pk, status=Status.RUNNING, attempt=self.attempt, started_at=self.started_at)


class IdempotencyKey(models.Model):
    """
    What a user's `Idempotency-Key` stands for on a route: the task that its first call made, and a digest of what that call sent.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    route = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "route", "key"), name="idempotencykey_unique_user_route_key"),)
        indexes = (models.Index(fields=("created_at",), name="idempotencykey_created_at"),)

    def __str__(self) -> str:
        return self.key
