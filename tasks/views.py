import uuid
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from common.exceptions import InvalidInput, NotFound, ServiceUnavailable
from common.views import ViewSet, find

from .models import Task
from .serializers import MessageInputSerializer, TaskCreatedSerializer, TaskSerializer
from .services import enqueue
from .tasks import sample_background_task


class QueueOff(ServiceUnavailable):
    default_detail = "Background tasks are switched off."


RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[200], description="Seconds to wait before asking again; of an unfinished task."
)


class TaskViewSet(ViewSet):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    input_serializers = {"create": MessageInputSerializer}
    query_serializers = {"create": MessageInputSerializer}
    output_serializers = {"create": TaskCreatedSerializer}
    refusals = {"create": (QueueOff,), "retrieve": (QueueOff,)}
    permission_classes = (AllowAny,)
    may_be_shared = False

    @property
    def is_limited_by_default(self) -> bool:
        return self.action == "create"

    def get_queryset(self) -> QuerySet[Task]:
        """
        Return the tasks that the caller may see: their own, those that were made anonymously, and for superusers all.
        """
        user = self.request.user
        if user.is_superuser:
            return Task.objects.all()
        return Task.objects.filter(Q(owner=None) | Q(owner_id=user.pk) if user.is_authenticated else Q(owner=None))

    def get_object(self) -> Any:
        try:
            task_id = uuid.UUID(self.kwargs["id"])
        except ValueError:
            raise NotFound("Task not found") from None
        return find(self.get_queryset(), pk=task_id)

    def create(self, request: Request, **path: str) -> Response:
        """
        The task runs in the background and belongs to the caller. The message comes by query or in a body; the query counts first.
        """
        if not settings.QUEUE_ENABLED:
            raise QueueOff
        return self.show(enqueue(sample_background_task, self._message(), owner_id=request.user.pk), 201)

    @extend_schema(parameters=[RETRY_AFTER])
    def retrieve(self, request: Request, **path: str) -> Response:
        """
        Tasks of others are not found; one that was made anonymously is open to whoever has its id.
        """
        if not settings.QUEUE_ENABLED:
            raise QueueOff
        task = self.get_object()
        response = self.show(task)
        if not task.is_finished:
            response["Retry-After"] = "1"
        return response

    def _message(self) -> str:
        """
        Return the message that the query gives, or else the body.
        """
        location = "query" if "message" in self.request.query_params or self.request.stream is None else "body"
        data = (
            self.read_body() if location == "body" else {key: value for key, value in self.request.query_params.items() if key == "message"}
        )
        serializer = MessageInputSerializer(data=data)
        if not serializer.is_valid():
            raise InvalidInput(location, serializer.errors)
        return str(serializer.validated_data["message"])
