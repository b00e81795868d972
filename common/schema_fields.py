"""
How serializers and their fields are described.
"""

import re
from typing import Any

from django.utils.encoding import force_str
from drf_spectacular.drainage import has_override
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import get_doc, get_lib_doc_excludes, is_patched_serializer

from .fields import MAX_INTEGER
from .serializers import QuerySerializer, StrictModelSerializer, StrictSerializer
from .views import View, ViewSet

ANYTHING_OR_NULL = [{}, {"type": "null"}]
BLANK = {"type": "string", "maxLength": 0}


class IntegerFieldExtension(OpenApiSerializerFieldExtension):
    target_class = "common.fields.IntegerField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        low, high = self.target.min_value, self.target.max_value
        width = {"format": "int64"} if low < -MAX_INTEGER - 1 or high > MAX_INTEGER else {}
        return {"type": "integer", **width, "minimum": low, "maximum": high}


class EmailFieldExtension(OpenApiSerializerFieldExtension):
    target_class = "common.fields.EmailField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "string", "format": "email"}


class UUIDFieldExtension(OpenApiSerializerFieldExtension):
    target_class = "rest_framework.fields.UUIDField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9a-f]{32}$"} if self.target.uuid_format == "hex" else {"type": "string", "format": "uuid"}


class FieldSchemaMixin:
    """
    Describe a serializer as strictly as it reads and as completely as it shows.

    What is shown is always there, but for what a serializer names in `sometimes`; unknown fields of a body are refused. A serializer's
    `example` is shown with it.
    """

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[misc]
        properties = schema.get("properties", {})
        if direction == "response":
            schema["required"] = [name for name in properties if name not in getattr(serializer, "sometimes", ())]
            for field in properties.values():
                field.pop("readOnly", None)
                if BLANK in field.get("oneOf", ()) and "null" in field["oneOf"][0]["type"]:
                    # What is null when it is empty is never blank.
                    field.update(field.pop("oneOf")[0])
                if "integer" in field.get("type", ()) and "maximum" not in field:
                    field["format"] = "int64"
        else:
            for name in properties:
                if name.endswith("password"):
                    properties[name]["format"] = "password"
            if isinstance(serializer, StrictSerializer):
                schema["additionalProperties"] = False
        if example := getattr(serializer, "example", None):
            schema["examples"] = [example]
        return schema

    def _map_serializer_field(self, field: Any, direction: str, bypass_extensions: bool = False) -> Any:
        schema = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[misc]
        if isinstance(schema, dict) and schema.get("oneOf") == ANYTHING_OR_NULL:
            # Null is anything too, and would fit both.
            del schema["oneOf"]
        return schema

    def _get_serializer_name(self, serializer: Any, direction: str, bypass_extensions: bool = False) -> str:
        """
        Return `PostCreate` or `PostUpdate` for what a `PostInputSerializer` reads.
        """
        name: str = super()._get_serializer_name(serializer, direction, bypass_extensions)  # type: ignore[misc]
        if direction != "request" or has_override(serializer, "component_name"):
            return name
        bare = name.removeprefix("Patched").removesuffix("Request")
        stem = re.sub(r"(Input|Create|Update)$", "", bare)
        if stem == bare:
            return name
        return f"{stem}Update" if is_patched_serializer(serializer, direction) else f"{stem}Create"

    def query_parameters(self, serializer_class: Any) -> list[dict[str, Any]]:
        """
        Return one query parameter for each field.
        """
        schema: dict[str, Any] = self._map_serializer(serializer_class(), "request")  # type: ignore[attr-defined]
        return [
            {
                "in": "query",
                "name": name,
                **({"description": field.pop("description")} if "description" in field else {}),
                **({"required": True} if name in schema.get("required", ()) else {}),
                "schema": field,
            }
            for name, field in schema["properties"].items()
        ]

    def _docstring(self, what: Any) -> str:
        return force_str(get_doc(what))


def doc_excludes() -> list[type]:
    """
    Return the classes whose docstrings speak to who writes the API, not to who calls it.
    """
    return [*get_lib_doc_excludes(), QuerySerializer, StrictModelSerializer, StrictSerializer, View, ViewSet]
