"""
What the API refuses with: `{"detail": "<sentence>"}`, or for input that is wrong in form 422 with `{"detail": [{"type", "loc", "msg"}]}`.

See `docs/contract.md`, section 1.
"""

from collections.abc import Iterator
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail

ERROR_TYPES = {
    "required": "missing",
    "blank": "string_too_short",
    "min_length": "string_too_short",
    "max_length": "string_too_long",
    "min_value": "greater_than_equal",
    "max_value": "less_than_equal",
}
ERROR_TYPES |= {
    name: name
    for name in (
        "missing",
        "string_type",
        "string_too_short",
        "string_too_long",
        "string_pattern_mismatch",
        "int_type",
        "int_parsing",
        "greater_than_equal",
        "less_than_equal",
        "extra_forbidden",
        "json_invalid",
        "model_attributes_type",
    )
}


class BadRequest(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = "Bad request."
    default_code = "bad_request"


class Unauthorized(APIException):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "User not authenticated."
    default_code = "unauthorized"
    # DRF turns a 401 without it into a 403.
    auth_header = "Bearer"


class Forbidden(APIException):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Request forbidden -- authorization will not help"
    default_code = "forbidden"


class NotFound(APIException):
    status_code = status.HTTP_404_NOT_FOUND
    default_detail = "Not found."
    default_code = "not_found"


class RequestTimeout(APIException):
    status_code = status.HTTP_408_REQUEST_TIMEOUT
    default_detail = "Request Timeout."
    default_code = "timeout"


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "Conflict."
    default_code = "conflict"


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "Request body too large."
    default_code = "too_large"


class Unprocessable(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "Unprocessable."
    default_code = "unprocessable"


class DuplicateValue(Unprocessable):
    """
    A value that must be unique is taken; raised for a violated unique constraint with the constraint's own message.
    """

    default_detail = "Value not available"
    default_code = "duplicate_value"


class RateLimited(APIException):
    """
    Refuse for now; `wait` is the number of seconds after which the same call succeeds.
    """

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_detail = "Rate limit exceeded."
    default_code = "rate_limited"

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.wait = max(1, wait)


class ServiceUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Service unavailable."
    default_code = "unavailable"


class InvalidInput(Unprocessable):
    """
    Input that is wrong in form, at `location` (`body`, `query` or `path`); `errors` is what a DRF `ValidationError` holds.
    """

    def __init__(self, location: str, errors: Any) -> None:
        super().__init__()
        self.items = list(_flatten(errors, (location,)))


def _flatten(errors: Any, loc: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    if isinstance(errors, dict):
        for name, nested in errors.items():
            yield from _flatten(nested, loc if name == "non_field_errors" else (*loc, _printable(name)))
    elif errors and isinstance(errors[0], ErrorDetail):
        # One entry a place: the first is the most basic.
        yield {"type": ERROR_TYPES.get(str(errors[0].code), "value_error"), "loc": list(loc), "msg": str(errors[0])}
    else:
        for index, nested in enumerate(errors):
            yield from _flatten(nested, (*loc, index))


def _printable(name: Any) -> str | int:
    # The name of an unknown field is the client's own text and may hold what UTF-8 cannot.
    return name if isinstance(name, int) else str(name)[:100].encode("utf-8", "replace").decode()
