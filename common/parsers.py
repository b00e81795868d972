"""
What comes in and goes out is JSON in UTF-8, whatever `Accept` says.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from rest_framework.exceptions import ErrorDetail
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from .exceptions import InvalidInput


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class JSONParser(BaseParser):
    """
    Read a JSON object; 422 for a body that is missing, not UTF-8, not JSON or no object.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        content = stream.read()
        if not content:
            raise missing_body()
        try:
            data = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise InvalidInput("body", [ErrorDetail("The body is not valid JSON.", "json_invalid")]) from None
        if not isinstance(data, dict):
            raise InvalidInput("body", [ErrorDetail("The body must be a JSON object.", "model_attributes_type")])
        return data


class JSONNegotiation(BaseContentNegotiation):
    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """
        Take a body without a media type, or of one that ends in `+json`, as JSON.
        """
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        if not media_type or media_type.endswith("+json"):
            media_type = "application/json"
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


def missing_body() -> InvalidInput:
    return InvalidInput("body", [ErrorDetail("A body is required.", "required")])
