"""
The refresh cookie, and who may have it sent.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from common.exceptions import Forbidden

from .models import Session
from .tokens import refresh_token

COOKIE_PATH = "/api/v1"


class _OriginCheck(CsrfViewMiddleware):
    def is_trusted(self, request: HttpRequest) -> bool:
        origin = request.META.get("HTTP_ORIGIN")
        return origin is None or origin in settings.CORS_ALLOWED_ORIGINS or self._origin_verified(request)  # type: ignore[attr-defined]


_origin_check = _OriginCheck(lambda _: HttpResponse())


def require_trusted_origin(request: HttpRequest) -> None:
    """
    Raise `Forbidden` for a page of another site: the browser would add or take the cookie without asking its user.
    """
    if not _origin_check.is_trusted(request):
        raise Forbidden


def given_refresh_token(request: HttpRequest) -> str:
    """
    Return the refresh token that the request's cookie holds, an empty string where there is none.
    """
    return request.COOKIES.get(settings.REFRESH_COOKIE_NAME, "")


def set_refresh_cookie(response: HttpResponse, session: Session) -> None:
    response.set_cookie(
        settings.REFRESH_COOKIE_NAME,
        refresh_token(session),
        max_age=int(settings.SESSION_LIFETIME.total_seconds()),
        path=COOKIE_PATH,
        secure=settings.REFRESH_COOKIE_SECURE,
        httponly=True,
        samesite=settings.REFRESH_COOKIE_SAMESITE,
    )


def delete_refresh_cookie(response: HttpResponse) -> None:
    response.delete_cookie(settings.REFRESH_COOKIE_NAME, path=COOKIE_PATH, samesite=settings.REFRESH_COOKIE_SAMESITE)
    # A browser keeps a Secure cookie of the same name unless the deleting one is Secure too.
    response.cookies[settings.REFRESH_COOKIE_NAME]["secure"] = settings.REFRESH_COOKIE_SECURE
    response.cookies[settings.REFRESH_COOKIE_NAME]["httponly"] = True
