from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from .models import Session, User
from .tokens import session_of_access_token


class BearerAuthentication(BaseAuthentication):
    """
    Authenticate by an access token whose session lives; `request.auth` is that session.

    A token that is not good counts as none, so that it does not shut its owner out of what anyone may read.
    """

    # Whoever sends no such header is nobody: `common.fast_path` need not ask.
    reads_only_authorization = True

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        scheme, _, raw = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        session = session_of_access_token(raw.strip())
        if session is None:
            return None
        request._request.api_user_id = session.user_id  # type: ignore[attr-defined]
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
