"""
The OpenAPI description, derived from what the views say of themselves, so that a new resource is described without anybody remembering it.

Its noun names the operations; `input_serializers`, `query_serializers` and `output_serializers` say what goes in and out; permissions,
throttles, parsers and paths say what it may be refused with, see `common.schema_responses`. A view adds only what is its own: `refusals`, a
docstring for the API's user, and `@extend_schema` where nothing else does.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import models
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework.viewsets import GenericViewSet

from .schema_fields import FieldSchemaMixin
from .schema_names import STANDARD_ACTIONS, Noun, operation_id, split_doc, summary
from .schema_responses import add_responses
from .serializers import MessageSerializer

IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="An `ETag`; 304 while it is still right.")


class AutoSchema(FieldSchemaMixin, SpectacularAutoSchema):
    """
    Describe the API's operations.
    """

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            self._settle_body(operation)
            add_responses(self, operation)
        return operation

    @property
    def key(self) -> str:
        """
        Return what names the operation among those of its view: the action, or for a view that has none the method.
        """
        return getattr(self.view, "action", None) or self.method.lower()

    @property
    def model(self) -> type[models.Model] | None:
        queryset = getattr(self.view, "queryset", None)
        return None if queryset is None else queryset.model

    @property
    def is_public_read(self) -> bool:
        return self.method == "GET" and getattr(self.view, "is_public", False)

    def get_operation_id(self) -> str:
        return operation_id(self.view, self.key, self.method, self.model)

    def get_summary(self) -> str:
        return summary(self.key, self.model, self._doc())

    def get_description(self) -> str:  # type: ignore[override] # drf-spectacular's own differs from DRF's too
        text = split_doc(self._doc(), has_own_summary=self.model is None or self.key not in STANDARD_ACTIONS)[1]
        audiences = [audience for permission in self.view.get_permissions() if (audience := getattr(permission, "audience", None))]
        return " ".join([*audiences, text]).strip()

    def _doc(self) -> str:
        # A resource's own docstring is for who reads the code; a view that is no resource has one for who calls it.
        is_resource = isinstance(self.view, GenericViewSet)
        doc: str = self._docstring(getattr(self.view, self.key)) or ("" if is_resource else self._docstring(type(self.view)))
        return doc

    def get_tags(self) -> list[str]:
        return [getattr(self.view, "tag", None) or Noun(self.model).plural.capitalize()]

    def get_request_serializer(self) -> Any:
        return getattr(self.view, "input_serializers", {}).get(self.key)

    def get_response_serializers(self) -> Any:
        if self.key in getattr(self.view, "output_serializers", {}) or self.method == "GET" or self._is_create_operation():
            return self._get_serializer()  # type: ignore[no-untyped-call]
        # A change says what it did.
        return {200: MessageSerializer}

    def get_override_parameters(self) -> list[Any]:
        parameters = [serializer for serializer in (getattr(self.view, "query_serializers", {}).get(self.key),) if serializer]
        return [*parameters, *([IF_NONE_MATCH] if self.is_public_read else [])]

    def _get_pagination_parameters(self) -> list[Any]:
        paginator = self._get_paginator()  # type: ignore[no-untyped-call]
        parameters = self.query_parameters(paginator.query_serializer) if paginator and self._is_list_view() else []
        for parameter in parameters:
            if parameter["name"] == "page":
                # A client that sends defaults would send it along with `cursor`.
                del parameter["schema"]["default"]
        return parameters

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        fields = self._shown_fields()
        parameters = []
        for name in variables:
            noun, label = self._path_noun(name)
            schema = self._map_serializer_field(fields[name], "request") if label == "Id" and name in fields else {"type": "string"}
            if schema["type"] == "integer":
                schema = {"type": "integer", "format": "int64", "minimum": 0}
            schema.pop("readOnly", None)
            parameters.append(
                {"in": "path", "name": name, "required": True, "schema": schema, "description": f"{label} of the {noun.singular}."}
            )
        return parameters

    def _shown_fields(self) -> Any:
        serializer_class = getattr(self.view, "serializer_class", None)
        return serializer_class(context={"request": self.view.request}).fields if serializer_class else {}

    def _path_noun(self, variable: str) -> tuple[Noun, str]:
        """
        Return whose what a variable in the path is: `username` a user's, `tier_name` a tier's name, `id` the id of the view's own model.
        """
        prefix, _, label = variable.rpartition("_")
        if variable == get_user_model().USERNAME_FIELD:
            return Noun(get_user_model()), label.capitalize()
        return Noun(prefix.replace("_", " ")) if prefix else Noun(self.model), label.capitalize()

    def named_in_path(self, operation: dict[str, Any]) -> list[str]:
        """
        Return the titles of what the path names, in its order.
        """
        names = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"]
        return [self._path_noun(name)[0].singular.title() for name in names]

    def _settle_body(self, operation: dict[str, Any]) -> None:
        """
        Say that a body is required, but where the query may give the same.
        """
        if "requestBody" not in operation:
            return
        in_query = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
        operation["requestBody"]["required"] = not in_query
        for parameter in in_query:
            parameter.pop("required", None)


def put_in_order(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """
    Order the methods of a path, and add the tags of resources to those that the settings describe.
    """
    methods = ("get", "post", "patch", "put", "delete")
    result["paths"] = {path: dict(sorted(item.items(), key=lambda pair: methods.index(pair[0]))) for path, item in result["paths"].items()}
    known = [tag["name"] for tag in result.get("tags", ())]
    used = dict.fromkeys(tag for item in result["paths"].values() for operation in item.values() for tag in operation["tags"])
    result["tags"] = [*result.get("tags", ()), *({"name": tag} for tag in used if tag not in known)]
    return result
