"""
How every error becomes JSON, whoever raises it: a view, the database, or Django before any view is found.
"""

from typing import Any

from django.apps import apps
from django.core.exceptions import TooManyFieldsSent, TooManyFilesSent
from django.db import IntegrityError, models
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from rest_framework import status
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from .exceptions import Conflict, DuplicateValue, Forbidden, InvalidInput, NotFound, RequestTimeout

SENTENCES = {405: "Method not allowed.", 415: "Unsupported media type."}
OUTDATED = "What this refers to has just changed. Try again."


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """
    Turn what a view raised into the API's answer; `None` for what nobody foresaw, which Django logs and `server_error()` answers.
    """
    if isinstance(exc, IntegrityError):
        exc = _foreseen(exc) or exc
    if isinstance(exc, ValidationError):
        exc = InvalidInput("body", exc.detail)
    if isinstance(exc, ParseError | TooManyFieldsSent | TooManyFilesSent):
        # DRF's own sentence repeats what was sent; Django would log a form of too many fields as an error of the server's.
        exc = InvalidInput("body", [ErrorDetail("The body cannot be read.", "value_error")])
    if isinstance(exc, UnreadablePostError):
        # The rest of the body did not come in time.
        exc = RequestTimeout()
    response = drf_exception_handler(exc, context)
    if response is not None:
        if isinstance(exc, InvalidInput):
            response.data = {"detail": exc.items}
        if sentence := SENTENCES.get(response.status_code):
            response.data = {"detail": sentence}
        if response.status_code == status.HTTP_401_UNAUTHORIZED:
            response["WWW-Authenticate"] = "Bearer"
    return response


def _foreseen(exc: IntegrityError) -> Conflict | DuplicateValue | None:
    cause = exc.__cause__
    if isinstance(cause, ForeignKeyViolation):
        # Looked at before, so it has changed since: the same call now learns what is wrong.
        return Conflict(OUTDATED)
    if not isinstance(cause, UniqueViolation):
        return None
    for model in apps.get_models():
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint) and constraint.name == cause.diag.constraint_name:
                return DuplicateValue(constraint.get_violation_error_message())
    return None


def _is_page(request: HttpRequest) -> bool:
    return request.path_info.startswith("/admin/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_page(request):
        return defaults.bad_request(request, exception)
    return JsonResponse({"detail": "Bad request."}, status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_page(request):
        return defaults.permission_denied(request, exception)
    return JsonResponse({"detail": Forbidden.default_detail}, status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_page(request):
        return defaults.page_not_found(request, exception)
    return JsonResponse({"detail": NotFound.default_detail}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_page(request):
        return defaults.server_error(request)
    return JsonResponse({"detail": "Internal server error."}, status=500)
