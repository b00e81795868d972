"""
Base classes of the API's serializers: strict fields, and no field that nobody declared.
"""

from typing import Any, ClassVar, cast

from django.db import models
from rest_framework import serializers

from . import fields


class StrictSerializer(serializers.Serializer[Any]):
    """
    Refuse unknown fields together with everything else that is wrong in the body.
    """

    def to_internal_value(self, data: Any) -> Any:
        unknown = {
            name: [serializers.ErrorDetail("Extra inputs are not permitted.", "extra_forbidden")]
            for name in data
            if name not in self.fields
        }
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            raise serializers.ValidationError({**cast("dict[str, Any]", exc.detail), **unknown}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return value


class StrictModelSerializer(StrictSerializer, serializers.ModelSerializer[Any]):
    """
    A model serializer whose generated fields are strict; constraints of the database are left to the database, which no race gets past.
    """

    serializer_field_mapping: ClassVar[dict[type[models.Field[Any, Any]], Any]] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: fields.StringField,
        models.TextField: fields.StringField,
        models.EmailField: fields.EmailField,
        models.URLField: fields.URLField,
        models.IntegerField: fields.IntegerField,
        models.PositiveIntegerField: fields.IntegerField,
    }

    def get_unique_together_constraints(self, model: type[models.Model]) -> Any:
        return iter(())

    def get_validators(self) -> list[Any]:
        return []

    def update(self, instance: models.Model, validated_data: dict[str, Any]) -> models.Model:
        """
        Write the given fields and no other, so that what somebody else writes at the same time stays.
        """
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        return instance


class QuerySerializer(serializers.Serializer[Any]):
    """
    Query parameters: unknown ones are ignored, of a repeated one the last counts.
    """


class MessageSerializer(serializers.Serializer[Any]):
    """
    What a change answers with.
    """

    message = serializers.CharField()
