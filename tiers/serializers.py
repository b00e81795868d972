from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from common.fields import IntegerField, StringField
from common.serializers import RowSerializer, StrictModelSerializer

from .models import MAX_LIMIT, MAX_PERIOD, RateLimit, Tier, normalize_path


class TierSerializer(RowSerializer[Tier]):
    example = {"id": 1, "name": "free", "created_at": "2026-01-31T12:00:00Z"}

    class Meta:
        model = Tier
        fields = ("id", "name", "created_at")


class TierInputSerializer(StrictModelSerializer):
    example = {"name": "free"}

    name = StringField(min_length=1, max_length=64, pattern=r"^[^/]+\Z")

    class Meta:
        model = Tier
        fields = ("name",)


class RateLimitSerializer(RowSerializer[RateLimit]):
    example: ClassVar[dict[str, Any]] = {
        "id": 1,
        "tier_id": 1,
        "name": "api_v1_tasks_task:10:3600",
        "path": "api_v1_tasks_task",
        "limit": 10,
        "period": 3600,
    }

    class Meta:
        model = RateLimit
        fields: tuple[str, ...] = ("id", "tier_id", "name", "path", "limit", "period")


class RateLimitDetailSerializer(RateLimitSerializer):
    example = {**RateLimitSerializer.example, "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z"}

    class Meta(RateLimitSerializer.Meta):
        fields = ("id", "tier_id", "name", "path", "limit", "period", "created_at", "updated_at")


class RateLimitInputSerializer(StrictModelSerializer):
    example = {"path": "api/v1/tasks/task", "limit": 10, "period": 3600}

    path = StringField(max_length=200, help_text="A route of the API, such as `api/v1/user/{username}`; shown with `_` for `/`.")
    limit = IntegerField(min_value=0, max_value=MAX_LIMIT, help_text="Calls in a period; 0 refuses all.")
    period = IntegerField(min_value=1, max_value=MAX_PERIOD, help_text="In seconds.")
    name = StringField(
        required=False, allow_null=True, allow_blank=True, max_length=255, help_text="If left out, `{path}:{limit}:{period}`."
    )

    class Meta:
        model = RateLimit
        fields = ("path", "limit", "period", "name")

    def validate_path(self, value: str) -> str:
        try:
            return normalize_path(value)
        except DjangoValidationError as exc:
            raise serializers.ValidationError(exc.message, code="value_error") from None

    def validate_name(self, value: str | None) -> str:
        return value or ""


class UsageSerializer(serializers.Serializer[Any]):
    """
    A limit that holds for a user, and what is used of it.
    """

    example = {"path": "api_v1_tasks_task", "limit": 10, "period": 3600, "used": 3, "remaining": 7, "reset": 1200}

    path = serializers.CharField(source="name", help_text="The route, with `_` for `/`.")
    limit = serializers.IntegerField(min_value=0, help_text="Calls in a period.")
    period = serializers.IntegerField(min_value=1, help_text="In seconds.")
    used = serializers.IntegerField(min_value=0, help_text="Calls admitted since the period began.")
    remaining = serializers.IntegerField(min_value=0, help_text="Calls that are left.")
    reset = serializers.IntegerField(min_value=0, help_text="Seconds until the period ends.")


class UsagesSerializer(serializers.Serializer[Any]):
    example: ClassVar[dict[str, Any]] = {"data": [UsageSerializer.example]}

    data = UsageSerializer(many=True)  # type: ignore[assignment] # a field, which the metaclass takes off the class
