"""
Access and refresh tokens, and the sessions that they belong to.

A token is good while its session lives. A refresh token is derived from its session's row alone, so that whoever mints the same generation
mints the same bytes, and a stolen table logs nobody in.
"""

import hashlib
import logging
import time
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken as SimpleJWTAccessToken
from rest_framework_simplejwt.tokens import Token

from common.cache import invalidate
from common.counters import REFRESH_TOKENS_REUSED

from .keys import KeyRing, key_ring
from .live_sessions import live_session
from .models import Session
from .sessions import record_ended

logger = logging.getLogger(__name__)


class AccessToken(SimpleJWTAccessToken):
    """
    SimpleJWT's access token, signed and verified with the keys of `accounts.keys`.
    """

    def get_token_backend(self) -> KeyRing:
        return key_ring()


class RefreshToken(Token):
    """
    SimpleJWT's refresh token without the look at its blacklist: the session says whether it is good.
    """

    token_type = "refresh"  # noqa: S105 - the name of a kind of token
    lifetime = api_settings.REFRESH_TOKEN_LIFETIME

    def get_token_backend(self) -> KeyRing:
        return key_ring()


def access_token(session: Session) -> str:
    token = AccessToken()
    token[api_settings.USER_ID_CLAIM] = str(session.user_id)
    token["sid"] = str(session.pk)
    return str(token)


def refresh_token(session: Session) -> str:
    """
    Return the refresh token of the session's current generation.
    """
    token = RefreshToken()
    token.payload = {
        api_settings.TOKEN_TYPE_CLAIM: RefreshToken.token_type,
        "exp": _seconds(session.expires_at),
        "iat": _seconds(session.rotated_at),
        api_settings.JTI_CLAIM: _jti(session),
        api_settings.USER_ID_CLAIM: str(session.user_id),
        "sid": str(session.pk),
        "gen": session.generation,
    }
    return str(token)


def session_of_access_token(raw: str) -> Session | None:
    """
    Return the live session of an access token together with its user, or `None` for a token that is bad, expired or ended.
    """
    try:
        session_id, user_id, expires_at = _access_claims(raw, key_ring())
    except (TokenError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return live_session(session_id, user_id) if expires_at > time.time() else None


@lru_cache(maxsize=4096)
def _access_claims(raw: str, _keys: KeyRing) -> tuple[uuid.UUID, int, int]:
    """
    Return the session's and the user's id and the end of an access token, or raise what a bad token makes SimpleJWT raise.

    A signature that was good stays good as long as the keys are the same, so it is not verified again in each request; that the token has
    not expired since, and that its session lives, is for the caller to see.
    """
    token = AccessToken(raw)  # type: ignore[arg-type]
    return uuid.UUID(token["sid"]), int(token[api_settings.USER_ID_CLAIM]), int(token["exp"])


def session_of_refresh_token(raw: str) -> Session | None:
    """
    Return the live session of a refresh token of any generation, or `None`.
    """
    claims = _refresh_claims(raw)
    return Session.objects.alive().filter(pk=claims[0], generation__gte=claims[1]).first() if claims else None


def rotate(raw: str, *, address: str) -> Session | None:
    """
    Exchange a refresh token for its successor and return the session, or `None` for a token that is not good.

    A token that was rotated before and comes again ends its session.
    """
    claims = _refresh_claims(raw)
    if claims is None:
        return None
    with transaction.atomic():
        session = Session.rotate(*claims)
        if session is not None and session.ended_at is not None:
            invalidate(f"auth:{session.user_id}:*")
            record_ended([session])
    if session is not None and session.ended_at is not None:
        REFRESH_TOKENS_REUSED.inc()
        logger.warning("Refresh token reused, session ended: user_id=%s session_id=%s address=%s", session.user_id, session.pk, address)
        return None
    return session


def _refresh_claims(raw: str) -> tuple[uuid.UUID, int] | None:
    try:
        token = RefreshToken(raw)  # type: ignore[arg-type]
        claims: dict[str, Any] = token.payload
        return uuid.UUID(claims["sid"]), int(claims["gen"])
    except (TokenError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _jti(session: Session) -> str:
    # Of no key: what was entered into the blacklist stays there under this id when the keys are rotated.
    # `accounts.sessions.RECORD` makes it too.
    return hashlib.sha256(f"{session.pk}:{session.generation}".encode()).hexdigest()


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
