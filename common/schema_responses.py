"""
What an operation may answer, and with which headers, derived from what refuses it: permissions, throttles, the body's parser, the path.

`docs/contract.md`, section 1, has the rules; the sentences come from the exceptions that are raised.
"""

from collections import defaultdict
from typing import Any

from django.db import models
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework import status
from rest_framework.permissions import AllowAny, BasePermission

from .exceptions import ERROR_TYPES, BodyTooLarge, RateLimited, Unauthorized
from .handlers import OUTDATED, SENTENCES
from .throttling import RateThrottle
from .views import NOT_AUTHENTICATED

DESCRIPTIONS = {
    304: "Not modified: what the client has under this `ETag` is still right.",
    400: "The request makes no sense.",
    401: "Not signed in.",
    403: "Signed in, but not allowed to.",
    404: "What the path or the body names does not exist.",
    409: "In conflict with what is stored.",
    413: "The body is too large.",
    414: "The request line is longer than 4,094 bytes.",
    415: "The body is neither JSON nor of another media type that is read here.",
    422: "The input is wrong: a list of places where it is wrong in form, or a sentence.",
    429: "Over the rate limit. Waiting for `Retry-After` seconds succeeds.",
    503: "Out of service for now.",
}
SUCCESSES = {200: "Done.", 201: "Created.", 202: "Accepted."}

STRING = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Error": {
        "type": "object",
        "description": "What is wrong, in a sentence.",
        "properties": {"detail": STRING},
        "required": ["detail"],
        "examples": [{"detail": "Not found."}],
    },
    "ValidationErrorType": {"type": "string", "enum": sorted({*ERROR_TYPES.values(), "value_error"})},
    "ValidationError": {
        "type": "object",
        "description": "One place where the input is wrong.",
        "properties": {
            "type": {"$ref": "#/components/schemas/ValidationErrorType"},
            "loc": {
                "type": "array",
                "items": {"type": ["string", "integer"]},
                "minItems": 1,
                "description": "The way to it; begins with `body`, `query` or `path`.",
            },
            "msg": STRING,
        },
        "required": ["type", "loc", "msg"],
    },
    "ValidationErrors": {
        "type": "object",
        "description": "All places where the input is wrong in form.",
        "properties": {"detail": {"type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}, "minItems": 1}},
        "required": ["detail"],
        "examples": [{"detail": [{"type": "missing", "loc": ["body", "name"], "msg": "Field required."}]}],
    },
}
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "Id of the request: the client's own `X-Request-ID`, or a new one.",
        "required": True,
        "schema": STRING,
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "enum": ["Bearer"]}},
    "Retry-After": {
        "description": "Seconds to wait; then a call that was over its limit succeeds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-RateLimit-Limit": {"description": "Calls in a window, where a limit holds for this caller.", "schema": COUNT},
    "X-RateLimit-Remaining": {"description": "Calls that are left in the window.", "schema": COUNT},
    "X-RateLimit-Reset": {"description": "Seconds until the window ends.", "schema": COUNT},
    "RateLimit-Policy": {"description": "The limit, as draft-ietf-httpapi-ratelimit-headers-10 writes it.", "schema": STRING},
    "RateLimit": {"description": "What is left, as draft-ietf-httpapi-ratelimit-headers-10 writes it.", "schema": STRING},
    "X-Cache": {
        "description": "Whether the server's cache answered; missing where it is not asked, such as with `cursor`.",
        "schema": {"type": "string", "enum": ["hit", "miss", "stale", "off"]},
    },
    "ETag": {"description": "For `If-None-Match`; only without `Authorization`.", "schema": STRING},
    "Cache-Control": {"description": "`public` without `Authorization`, else `private, no-store`.", "required": True, "schema": STRING},
}
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")


def add_responses(schema: Any, operation: dict[str, Any]) -> None:
    """
    Add to the operation's own responses what it may be refused with, and to all of them their headers.
    """
    responses = operation["responses"]
    for code, response in responses.items():
        response["description"] = response["description"] or SUCCESSES.get(int(code), "")
    if schema.is_public_read:
        responses["304"] = {"description": DESCRIPTIONS[304]}
    for code, sentences in _sentences(schema, operation).items():
        responses.setdefault(str(code), _refusal(schema, code, sentences, operation))
    for code, response in responses.items():
        names = _header_names(schema, int(code))
        response["headers"] = {
            **{name: _reference(schema, "headers", name, HEADERS[name]) for name in names},
            **response.get("headers", {}),
        }
    operation["responses"] = dict(sorted(responses.items()))


def _sentences(schema: Any, operation: dict[str, Any]) -> dict[int, list[str]]:
    """
    Return, by status, the sentences that the operation may be refused with; none where only a list of wrong places may come.
    """
    view = schema.view
    permissions = view.get_permissions()
    found: defaultdict[int, list[str]] = defaultdict(list)
    if any(not isinstance(permission, AllowAny) for permission in permissions):
        found[401] += [NOT_AUTHENTICATED, str(Unauthorized.default_detail)]
    for permission in permissions:
        if message := getattr(permission, "message", None):
            found[403].append(str(message))
    if titles := schema.named_in_path(operation):
        found[404] += [f"{title} not found" for title in titles]
    if _throttles(view):
        found[429].append(str(RateLimited.default_detail))
    if "requestBody" in operation:
        found[413].append(str(BodyTooLarge.default_detail))
        found[415].append(SENTENCES[415])
        found[422] += _taken(schema)
        if schema.key == "create" and schema.model and any(isinstance(field, models.ForeignKey) for field in schema.model._meta.fields):
            found[409].append(OUTDATED)
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        # The server's own refusal, see config/gunicorn.conf.py.
        found[414].append("URI Too Long.")
    if _is_checked(operation):
        found[422] += []
    for refusal in getattr(view, "refusals", {}).get(schema.key, ()):
        exc = refusal() if isinstance(refusal, type) else refusal
        found[exc.status_code].append(str(exc.detail))
    return found


def _throttles(view: Any) -> list[RateThrottle]:
    return [throttle for throttle in view.get_throttles() if throttle.may_hold(view)]


def _taken(schema: Any) -> list[str]:
    """
    Return what the database's unique constraints say about the fields of the body.
    """
    meta: Any = getattr(schema.get_request_serializer(), "Meta", None)
    if not hasattr(meta, "model"):
        return []
    return [
        str(constraint.get_violation_error_message())
        for constraint in meta.model._meta.constraints
        if isinstance(constraint, models.UniqueConstraint) and set(constraint.fields) & set(meta.fields)
    ]


def _is_checked(operation: dict[str, Any]) -> bool:
    """
    Say whether something in the path or in the query may be wrong in form.
    """
    return any(
        parameter["in"] == "query" or (parameter["in"] == "path" and parameter["schema"]["type"] == "integer")
        for parameter in operation.get("parameters", ())
    )


def _refusal(schema: Any, code: int, sentences: list[str], operation: dict[str, Any]) -> dict[str, Any]:
    error = _reference(schema, "schemas", "Error", SCHEMAS["Error"])
    body: dict[str, Any] = {"schema": error}
    if code == status.HTTP_422_UNPROCESSABLE_ENTITY:
        for name in ("ValidationErrorType", "ValidationError"):
            _reference(schema, "schemas", name, SCHEMAS[name])
        places = _reference(schema, "schemas", "ValidationErrors", SCHEMAS["ValidationErrors"])
        body["schema"] = {"oneOf": [places, error]} if "requestBody" in operation or sentences else places
    examples = {_camel(sentence): {"value": {"detail": sentence}} for sentence in sentences}
    if code == status.HTTP_422_UNPROCESSABLE_ENTITY:
        examples["WrongInForm"] = {"value": SCHEMAS["ValidationErrors"]["examples"][0]}
    return {"description": DESCRIPTIONS[code], "content": {"application/json": {**body, "examples": examples}}}


def _camel(sentence: str) -> str:
    return "".join(word.capitalize() for word in "".join(char if char.isalnum() else " " for char in sentence).split()[:6])


def _header_names(schema: Any, code: int) -> list[str]:
    names = ["X-Request-ID"]
    if code == status.HTTP_401_UNAUTHORIZED:
        names.append("WWW-Authenticate")
    refusals = getattr(schema.view, "refusals", {}).get(schema.key, ())
    if code == status.HTTP_429_TOO_MANY_REQUESTS or any(refusal.status_code == code and hasattr(refusal, "wait") for refusal in refusals):
        names.append("Retry-After")
    if _is_counted(schema, code) and any(throttle.is_told for throttle in _throttles(schema.view)):
        names += LIMIT_HEADERS
    if code == status.HTTP_200_OK and hasattr(getattr(schema.view, schema.key), "caching"):
        names.append("X-Cache")
    if schema.is_public_read and code in (status.HTTP_200_OK, status.HTTP_304_NOT_MODIFIED):
        names += ["ETag", "Cache-Control"]
    return names


def _is_counted(schema: Any, code: int) -> bool:
    """
    Say whether such an answer comes from behind the throttles: a 403 only where it is about the object.
    """
    if code == status.HTTP_403_FORBIDDEN:
        permissions = [permission for permission in schema.view.get_permissions() if getattr(permission, "message", None)]
        return all(type(permission).has_object_permission is not BasePermission.has_object_permission for permission in permissions)
    return code not in (
        status.HTTP_304_NOT_MODIFIED,
        status.HTTP_401_UNAUTHORIZED,
        status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    )


def _reference(schema: Any, kind: str, name: str, definition: dict[str, Any]) -> dict[str, Any]:
    component = ResolvedComponent(name=name, type=kind, schema=definition, object=name)
    schema.registry.register_on_missing(component)
    reference: dict[str, Any] = component.ref
    return reference
