from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.fields import StringField
from common.serializers import QuerySerializer, StrictSerializer

from .models import Status, Task


@extend_schema_serializer(component_name="TaskCreate")
class MessageInputSerializer(StrictSerializer):
    example = {"message": "hello"}

    message = StringField(min_length=1, max_length=10_000, help_text="What the sample task says at its end.")


class TaskQuerySerializer(QuerySerializer):
    status = serializers.ChoiceField(
        Status.choices,
        required=False,
        help_text="Only tasks of this status.",
        # DRF's own sentence repeats what was sent.
        error_messages={"invalid_choice": f"Input should be one of {', '.join(Status.values)}."},
    )
    function = StringField(required=False, max_length=200, help_text="Only tasks of this function.")


class TaskCreatedSerializer(serializers.ModelSerializer[Task]):
    example: ClassVar[dict[str, Any]] = {"id": "6f1c2b0a9d3e4f5a8b7c6d5e4f3a2b1c"}

    id = serializers.UUIDField(format="hex")

    class Meta:
        model = Task
        fields: tuple[str, ...] = ("id",)


class TaskSerializer(TaskCreatedSerializer):
    """
    A task; what is not known yet is null.
    """

    example = {
        **TaskCreatedSerializer.example,
        "function": "sample_background_task",
        "args": ["hello"],
        "kwargs": {},
        "queue_name": "default",
        "job_try": 1,
        "enqueue_time": "2026-01-31T12:00:00Z",
        "start_time": "2026-01-31T12:00:00Z",
        "finish_time": "2026-01-31T12:00:05Z",
        "success": True,
        "result": "Task hello is complete!",
        "status": "succeeded",
        "progress": 100,
        "error": None,
    }

    args = serializers.ListField()
    kwargs = serializers.DictField()
    job_try = serializers.IntegerField(source="attempt")
    enqueue_time = serializers.DateTimeField(source="created_at")
    start_time = serializers.DateTimeField(source="started_at", allow_null=True)
    finish_time = serializers.DateTimeField(source="finished_at", allow_null=True)
    success = serializers.BooleanField(allow_null=True)
    progress = serializers.IntegerField(min_value=0, max_value=100, allow_null=True, help_text="Per cent.")

    class Meta(TaskCreatedSerializer.Meta):
        fields = (
            "id",
            "function",
            "args",
            "kwargs",
            "queue_name",
            "job_try",
            "enqueue_time",
            "start_time",
            "finish_time",
            "success",
            "result",
            "status",
            "progress",
            "error",
        )
