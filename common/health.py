"""
Live and ready.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connection
from drf_spectacular.utils import extend_schema
from redis.exceptions import RedisError
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from . import broker
from .views import View

STATES = ("ok", "down", "off")


class LiveSerializer(serializers.Serializer[Any]):
    example = {"status": "ok"}

    status = serializers.CharField()


class ReadySerializer(serializers.Serializer[Any]):
    example = {"database": "ok", "cache": "ok", "rate_limit": "ok", "queue": "off"}
    sometimes = ("details",)

    database = serializers.ChoiceField(STATES)
    cache = serializers.ChoiceField(STATES)
    rate_limit = serializers.ChoiceField(STATES)
    queue = serializers.ChoiceField(STATES)
    details = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="What is wrong with the queue; missing when nothing is."
    )


class LiveView(View):
    """
    Answer as long as the process can.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    may_be_shared = False
    serializer_class: type[serializers.Serializer[Any]] = LiveSerializer
    tag = "Health"

    @extend_schema(operation_id="getHealth")
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyView(LiveView):
    """
    Tell of each service whether it answers: `ok`, `down` or `off`. 503 while the database is down; the API goes on without the others.

    The queue is `down` as well when no worker consumes one of the queues; `details` then says which.
    """

    serializer_class = ReadySerializer

    @extend_schema(operation_id="getReadiness", responses={200: ReadySerializer, 503: ReadySerializer})
    def get(self, request: Request) -> Response:
        queue, details = _queue_state()
        services: dict[str, Any] = {
            "database": _state(_ask_database),
            "cache": _state(lambda: _ask_cache("default"), is_on=settings.CACHE_ENABLED),
            "rate_limit": _state(lambda: _ask_cache("throttle"), is_on=settings.RATE_LIMIT_ENABLED),
            "queue": queue,
            **({"details": details} if details else {}),
        }
        return Response(services, status=200 if services["database"] == "ok" else 503)


def _state(ask: Callable[[], object], *, is_on: bool = True) -> str:
    if not is_on:
        return "off"
    try:
        ask()
    except Exception:  # noqa: BLE001 - whatever a client library raises, the service does not answer
        return "down"
    return "ok"


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_cache(alias: str) -> None:
    # By writing: one that is full, or a replica, answers and is of no use.
    caches[alias].client.get_client().set("health-probe", 1, px=1000)  # type: ignore[attr-defined]


def _queue_state() -> tuple[str, list[str]]:
    if not settings.QUEUE_ENABLED:
        return "off", []
    try:
        unconsumed = broker.unconsumed()
        return "down" if unconsumed else "ok", [*unconsumed, *broker.hazards()]
    except RedisError:
        return "down", ["The broker does not answer."]
