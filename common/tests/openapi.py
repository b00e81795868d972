"""
How tests read the OpenAPI description.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from jsonschema import Draft202012Validator, FormatChecker


@cache
def description() -> Any:
    """
    Return the whole description, as a client reads it.
    """
    return json.loads(OpenApiJsonRenderer().render(SchemaGenerator().get_schema(public=True)))


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """
    Yield every operation under `get /api/v1/users`.
    """
    for path, item in description()["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def resolved(node: Any) -> Any:
    """
    Follow a reference into the components.
    """
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    return description()["components"][kind][name]


def complaints(schema: Any, value: Any) -> list[str]:
    """
    Return what a schema of the description finds wrong with a value.
    """
    validator = Draft202012Validator({**schema, "components": description()["components"]}, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
