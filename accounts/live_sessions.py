"""
Who is behind an access token: answered by the cache, for `AUTH_CACHE_SECONDS` at most, and else by the database, which is the truth.

An entry stands below `auth:<user id>`, and every write of a user or of the end of a session invalidates that prefix.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, models
from django.utils import timezone

from common.cache import Entry

from .models import Session, User

M = TypeVar("M", bound=models.Model)
USER_FIELDS = ("id", "name", "username", "email", "profile_image_url", "tier_id", "is_active", "is_staff", "is_superuser")


def live_session(session_id: uuid.UUID, user_id: int) -> Session | None:
    """
    Return the session with its user if it logs somebody in now, else `None`.

    From the cache the user comes without password and times, which the database adds where somebody reads them.
    """
    entry = Entry(f"auth:{user_id}:{session_id}", settings.AUTH_CACHE_SECONDS, beside="limits")
    body = entry.read() if settings.AUTH_CACHE_SECONDS else None
    if body is not None:
        cached = _load(body)
        session = cached if cached.expires_at > timezone.now() else None
    else:
        session = Session.objects.alive().select_related("user").filter(pk=session_id, user_id=user_id).first()
        if session is not None:
            entry.write(_dump(session))
    if session is not None:
        # Lets the limits of this user's tier be kept in the process until one changes.
        session.user.limits_version = entry.beside_version
    return session


def _dump(session: Session) -> bytes:
    user = {name: getattr(session.user, name) for name in USER_FIELDS}
    return json.dumps({"expires_at": session.expires_at.timestamp(), "id": str(session.pk), "user": user}).encode()


def _load(body: bytes) -> Session:
    values = json.loads(body)
    user = _instance(User, {**values["user"], "deleted_at": None})
    expires_at = datetime.fromtimestamp(values["expires_at"], UTC)
    session = _instance(Session, {"id": uuid.UUID(values["id"]), "user_id": user.pk, "expires_at": expires_at, "ended_at": None})
    session.user = user
    return session


def _instance(model: type[M], values: dict[str, Any]) -> M:
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    return model.from_db(DEFAULT_DB_ALIAS, names, [values[name] for name in names])
