import uuid
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

LEASE = timedelta(seconds=30)
# A message may be lost with its broker; a task that waits longer than this is sent once more. Two messages of one task do no harm.
RESEND_AFTER = timedelta(minutes=5)
MAX_ATTEMPTS = 5


class Status(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskQuerySet(models.QuerySet["Task"]):
    def claimable(self) -> Self:
        """
        Return the tasks that wait for a worker, those whose worker fell silent included.
        """
        return self.filter(Q(status=Status.QUEUED) | Q(status=Status.RUNNING, lease_until__lt=timezone.now()))

    def due(self) -> Self:
        """
        Return the tasks whose message has to be sent, or sent again.
        """
        now = timezone.now()
        unsent = Q(status=Status.QUEUED, sent_at__isnull=True, created_at__lt=now - timedelta(seconds=2))
        lost = Q(status=Status.QUEUED, sent_at__lt=now - RESEND_AFTER)
        silent = Q(status=Status.RUNNING, lease_until__lt=now) & (Q(sent_at__lt=F("lease_until")) | Q(sent_at__lt=now - RESEND_AFTER))
        return self.filter(unsent | lost | silent)


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
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    progress = models.PositiveSmallIntegerField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(null=True, blank=True)

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
        return self.status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

    @property
    def success(self) -> bool | None:
        return self.status == Status.SUCCEEDED if self.is_finished else None

    @classmethod
    def claim(cls, task_id: str) -> "Task | None":
        """
        Take the task for this worker for `LEASE`, or return `None` where another has it or it is finished.
        """
        now = timezone.now()
        claimed = cls.objects.claimable().filter(pk=task_id)
        if not claimed.update(status=Status.RUNNING, attempt=F("attempt") + 1, started_at=now, lease_until=now + LEASE, progress=0):
            return None
        return cls.objects.get(pk=task_id)

    def renew_lease(self) -> bool:
        """
        Keep the task for another `LEASE`; return whether it is still this attempt's.
        """
        return self._mine().update(lease_until=timezone.now() + LEASE) == 1

    def finish(self, status: Status, **values: Any) -> bool:
        """
        Record the end of this attempt; return `False`, having written nothing, where another attempt has taken over.
        """
        return self._mine().update(status=status, finished_at=timezone.now(), lease_until=None, **values) == 1

    def _mine(self) -> "TaskQuerySet":
        return Task.objects.filter(pk=self.pk, status=Status.RUNNING, attempt=self.attempt)
