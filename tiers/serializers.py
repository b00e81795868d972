from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from common.fields import IntegerField, StringField
from common.serializers import StrictModelSerializer

from .models import MAX_LIMIT, MAX_PERIOD, RateLimit, Tier, normalize_path


class TierSerializer(serializers.ModelSerializer[Tier]):
    class Meta:
        model = Tier
        fields = ("id", "name", "created_at")


class TierInputSerializer(StrictModelSerializer):
    name = StringField(min_length=1, max_length=64, pattern=r"^[^/]+\Z")

    class Meta:
        model = Tier
        fields = ("name",)


class RateLimitSerializer(serializers.ModelSerializer[RateLimit]):
    class Meta:
        model = RateLimit
        fields: tuple[str, ...] = ("id", "tier_id", "name", "path", "limit", "period")


class RateLimitDetailSerializer(RateLimitSerializer):
    class Meta(RateLimitSerializer.Meta):
        fields = ("id", "tier_id", "name", "path", "limit", "period", "created_at", "updated_at")


class RateLimitInputSerializer(StrictModelSerializer):
    path = StringField(max_length=200)
    limit = IntegerField(min_value=0, max_value=MAX_LIMIT)
    period = IntegerField(min_value=1, max_value=MAX_PERIOD)
    name = StringField(required=False, allow_null=True, allow_blank=True, max_length=255)

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

    def create(self, validated_data: dict[str, Any]) -> RateLimit:
        return RateLimit.objects.create(**validated_data)
