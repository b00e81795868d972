"""
What of the OpenAPI description is about sessions: the two schemes of security, and the cookie.
"""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter

from .authentication import BearerAuthentication

# `extend_schema()` declares another type than it takes.
BY_COOKIE: Any = [{"refreshCookie": []}]
BY_TOKEN_OR_COOKIE: Any = [{"Bearer": []}, *BY_COOKIE]


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    name = ["Bearer", "refreshCookie"]

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[Any]]:
        return {"Bearer": []}

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The `access_token` that a login answers with."},
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.REFRESH_COOKIE_NAME,
                "description": "The cookie that a login sets. Browsers send it by themselves; scripts cannot read it.",
            },
        ]


def cookie_header(description: str) -> OpenApiParameter:
    text = f"`{settings.REFRESH_COOKIE_NAME}`, {description}"
    return OpenApiParameter("Set-Cookie", str, OpenApiParameter.HEADER, required=True, description=text, response=[200])


SETS_COOKIE = cookie_header("HttpOnly, for `/api/v1`: the refresh token.")
DELETES_COOKIE = cookie_header("empty and expired.")
