"""
How a request is read before any middleware sees it.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters


class UTF8Request(WSGIRequest):
    """
    A request in UTF-8, whatever `Content-Type` says.

    Django reads query and form in the charset that the client names; one that is no text encoding, such as `rot13`, raises before any
    middleware could answer.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    request_class = UTF8Request

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
            # Django reads no body without a length. One byte over the limit is enough for it to be refused.
            body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
            environ.update({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        return super().__call__(environ, start_response)
