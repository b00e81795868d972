from rest_framework import serializers

from common.fields import StringField
from common.serializers import StrictSerializer

from .models import Task


class MessageInputSerializer(StrictSerializer):
    message = StringField(min_length=1, max_length=10_000)


class TaskCreatedSerializer(serializers.ModelSerializer[Task]):
    id = serializers.UUIDField(format="hex")

    class Meta:
        model = Task
        fields: tuple[str, ...] = ("id",)


class TaskSerializer(TaskCreatedSerializer):
    """
    A task; what is not known yet is null.
    """

    job_try = serializers.IntegerField(source="attempt")
    enqueue_time = serializers.DateTimeField(source="created_at")
    start_time = serializers.DateTimeField(source="started_at")
    finish_time = serializers.DateTimeField(source="finished_at")
    success = serializers.BooleanField(allow_null=True)

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
