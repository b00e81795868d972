import uuid
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from common.exceptions import Conflict, InvalidInput, NotFound, ServiceUnavailable
from common.views import ViewSet, find

from .idempotency import BadKey, IdempotentMixin, KeyNeedsUser, KeyReused
from .models import Task
from .serializers import MessageInputSerializer, TaskCreatedSerializer, TaskQuerySerializer, TaskSerializer
from .services import NotRetried, cancel, enqueue, retry
from .tasks import sample_background_task
from .throttles import TaskStartThrottle


class QueueOff(ServiceUnavailable):
    default_detail = "Background tasks are switched off."


class AlreadyFinished(Conflict):
    default_detail = "The task has already finished."


RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[200], description="Seconds to wait before asking again; of an unfinished task."
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="Any text, new for each task; a repeat within 24 hours makes no second one. For signed in callers.",
)
KEY_REFUSALS = (KeyNeedsUser, BadKey, KeyReused)


class TaskListViewSet(ViewSet):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    query_serializers = {"list": TaskQuerySerializer}
    refusals = {"list": (QueueOff,)}

    def get_queryset(self) -> QuerySet[Task]:
        query = TaskQuerySerializer(data=self.request.query_params.dict())
        if not query.is_valid():
            raise InvalidInput("query", query.errors)
        return Task.objects.filter(owner_id=self.request.user.pk, **query.validated_data)

    def list(self, request: Request, **path: Any) -> Response:
        """
        The caller's own tasks, newest first, in pages; `cursor` does not count them.
        """
        if not settings.QUEUE_ENABLED:
            raise QueueOff
        return super().list(request, **path)


class TaskViewSet(IdempotentMixin, ViewSet):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    input_serializers = {"create": MessageInputSerializer}
    query_serializers = {"create": MessageInputSerializer}
    output_serializers = {"create": TaskCreatedSerializer, "retry": TaskCreatedSerializer}
    refusals = {
        "create": (QueueOff, *KEY_REFUSALS),
        "retrieve": (QueueOff,),
        "cancel": (QueueOff, AlreadyFinished),
        "retry": (QueueOff, NotRetried, *KEY_REFUSALS),
    }
    permission_classes = (AllowAny,)
    may_be_shared = False

    @property
    def is_limited_by_default(self) -> bool:
        return self.action == "create"

    def get_throttles(self) -> list[Any]:
        return [*super().get_throttles(), *([TaskStartThrottle()] if self.action == "retry" else [])]

    def get_queryset(self) -> QuerySet[Task]:
        """
        Return the tasks that the caller may see: their own, those that were made anonymously, and for superusers all.
        """
        if not settings.QUEUE_ENABLED:
            raise QueueOff
        user = self.request.user
        if user.is_superuser:
            return Task.objects.all()
        return Task.objects.filter(Q(owner=None) | Q(owner_id=user.pk) if user.is_authenticated else Q(owner=None))

    def get_object(self) -> Any:
        try:
            task_id = uuid.UUID(self.kwargs["id"])
        except ValueError:
            raise NotFound("Task not found") from None
        return find(self.get_queryset().defer("traceback"), pk=task_id)

    @extend_schema(parameters=[IDEMPOTENCY_KEY])
    def create(self, request: Request, **path: str) -> Response:
        """
        The task runs in the background and belongs to the caller. The message comes by query or in a body; the query counts first.
        """
        if not settings.QUEUE_ENABLED:
            raise QueueOff
        return self.show(self.once(lambda: enqueue(sample_background_task, self._message(), owner_id=request.user.pk)), 201)

    @extend_schema(parameters=[RETRY_AFTER])
    def retrieve(self, request: Request, **path: str) -> Response:
        """
        Tasks of others are not found; one that was made anonymously is open to whoever has its id.
        """
        task = self.get_object()
        response = self.show(task)
        if not task.is_finished:
            response["Retry-After"] = "1"
        return response

    def cancel(self, request: Request, **path: str) -> Response:
        """
        Cancel a task.

        One that runs is stopped: between two of its steps, or else with its process within seconds.
        """
        if not cancel(self.get_object()):
            raise AlreadyFinished
        return self.say("Task cancelled")

    @extend_schema(parameters=[IDEMPOTENCY_KEY], request=None, responses={201: TaskCreatedSerializer})
    def retry(self, request: Request, **path: str) -> Response:
        """
        Retry a task.

        A new task with the same function, arguments and owner; only of one that failed or was cancelled.
        """
        task = self.get_object()
        return self.show(self.once(lambda: retry(task)), 201)

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
