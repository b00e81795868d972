"""
Base classes of the API's serializers: strict fields, no field that nobody declared, and rows that are shown without a field object each.
"""

from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import cache, partial
from itertools import islice
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, cast

from django.db import models
from rest_framework import serializers

from . import fields

M = TypeVar("M", bound=models.Model)
# What the database holds in them is JSON as it is.
PLAIN_FIELDS = (serializers.IntegerField, serializers.CharField, serializers.BooleanField)
# Whoever sends more of them by mistake learns nothing from the rest, and a body has room for a hundred thousand.
MOST_UNKNOWN_FIELDS = 100


class StrictSerializer(serializers.Serializer[Any]):
    """
    Refuse unknown fields together with everything else that is wrong in the body, and name `MOST_UNKNOWN_FIELDS` of them at most.

    DRF makes the fields anew for each body; here each class makes them once, and a body is read by copies.
    """

    def get_fields(self) -> dict[str, Any]:
        return {name: copy(field) for name, field in _input_fields(type(self)).items()}

    def make_fields(self) -> dict[str, Any]:
        return super().get_fields()

    def to_internal_value(self, data: Any) -> Any:
        unknown = {
            name: [serializers.ErrorDetail("Extra inputs are not permitted.", "extra_forbidden")]
            for name in islice((name for name in data if name not in self.fields), MOST_UNKNOWN_FIELDS)
        }
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            raise serializers.ValidationError({**cast("dict[str, Any]", exc.detail), **unknown}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return value


@cache
def _input_fields(serializer_class: type[StrictSerializer]) -> dict[str, Any]:
    return serializer_class().make_fields()


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

    def create(self, validated_data: dict[str, Any]) -> models.Model:
        model: type[models.Model] = self.Meta.model
        instance = model(**validated_data)
        instance.save()
        return instance

    def update(self, instance: models.Model, validated_data: dict[str, Any]) -> models.Model:
        """
        Write the given fields and no other, so that what somebody else writes at the same time stays.
        """
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        return instance


class RowSerializer(serializers.ModelSerializer[M]):
    """
    Show rows; nothing is read by it.

    DRF makes a field object for every field of every answer. Here each class does so once, for what its fields do to be compiled into one
    function a field. Lists read the needed columns only: `reads` names those that the methods of method fields look at, and without it a
    class that has such fields is given whole rows.
    """

    reads: ClassVar[tuple[str, ...]] = ()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {name: show(self, instance) for name, show in _shown(type(self))}

    @classmethod
    def narrow(cls, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """
        Return the queryset with tuples that name the columns which are shown, or as it is where more than columns is.
        """
        columns = _columns(cls)
        order = {"id" if name == "pk" else name for name in (str(name).removeprefix("-") for name in _order(queryset))}
        return queryset.values_list(*columns, named=True) if columns and order <= set(columns) else queryset


def _order(queryset: models.QuerySet[Any]) -> tuple[Any, ...]:
    return tuple(queryset.query.order_by or queryset.model._meta.ordering or ())


@cache
def _shown(serializer_class: type[RowSerializer[Any]]) -> tuple[tuple[str, Callable[[Any, Any], Any]], ...]:
    return tuple((name, _show(field)) for name, field in serializer_class().fields.items())


def _show(field: Any) -> Callable[[Any, Any], Any]:
    """
    Return what shows the field, as a function of the serializer and a row.
    """
    if isinstance(field, serializers.SerializerMethodField):
        name = str(field.method_name)
        return lambda serializer, row: getattr(serializer, name)(row)
    read = attrgetter(field.source)
    if isinstance(field, PLAIN_FIELDS):
        return lambda _, row: read(row)
    represent = partial(_moment, field) if isinstance(field, serializers.DateTimeField) else field.to_representation
    return lambda _, row: None if (value := read(row)) is None else represent(value)


def _moment(field: serializers.DateTimeField, value: datetime) -> Any:
    # As DRF writes it; the database's times are in UTC.
    text = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else field.to_representation(value)


@cache
def _columns(serializer_class: type[RowSerializer[Any]]) -> tuple[str, ...]:
    """
    Return the columns that the class shows, or none where it shows something else too.
    """
    model: type[models.Model] = serializer_class.Meta.model
    known = {field.attname for field in model._meta.concrete_fields}
    shown = serializer_class().fields.values()
    methods = [field for field in shown if isinstance(field, serializers.SerializerMethodField)]
    if methods and not serializer_class.reads:
        return ()
    columns = {*serializer_class.reads, *(str(field.source) for field in shown if field not in methods)}
    return tuple(sorted(columns)) if columns <= known else ()


class QuerySerializer(serializers.Serializer[Any]):
    """
    Query parameters: unknown ones are ignored, of a repeated one the last counts.
    """


class MessageSerializer(serializers.Serializer[Any]):
    """
    What a change answers with.
    """

    message = serializers.CharField()
