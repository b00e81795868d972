"""
`Idempotency-Key`: a call that is repeated makes no second task.

See `docs/contract.md`, section 7.
"""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import cached_property
from typing import Any, cast

from django.db import connection, transaction
from django.http import HttpResponseBase
from django.urls import ResolverMatch
from django.utils import timezone
from rest_framework.views import APIView

from common.exceptions import BadRequest, Unprocessable
from common.routing import stored_form

from .models import IdempotencyKey, Task

LIFETIME = timedelta(hours=24)
# What a header may hold that a person can type.
KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyNeedsUser(BadRequest):
    default_detail = "Idempotency-Key is for signed in callers."


class BadKey(BadRequest):
    default_detail = "Idempotency-Key has to be 1 to 255 visible ASCII characters."


class KeyReused(Unprocessable):
    default_detail = "This Idempotency-Key was used with another body."


class IdempotentMixin(APIView):
    """
    Let a signed in caller repeat what makes a task, within `LIFETIME`: `once()` makes it or returns the first one.

    From the look for the key to the answer, calls with the same key wait for each other; a repeat costs nothing of the rate limit.
    """

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with ExitStack() as self.calls:
            return super().dispatch(request, *args, **kwargs)

    @property
    def throttle_cost(self) -> int:
        known = self.known_key
        return 0 if known is not None and known.digest == self.digest else 1

    def once(self, make: Callable[[], Task]) -> Task:
        """
        Return the task of the first call with this key, or make one. Raises what the contract says of keys that are of no use.
        """
        if self.key is None:
            return make()
        if not self.request.user.is_authenticated:
            raise KeyNeedsUser
        if not self.is_usable:
            raise BadKey
        known, digest = self.known_key, self.digest
        if known is None:
            # Committed with the key, when the call is over.
            task = make()
            IdempotencyKey.objects.update_or_create(**self.lookup, defaults={"digest": digest, "task": task, "created_at": timezone.now()})
            return task
        if known.digest != digest:
            raise KeyReused
        return known.task

    @property
    def key(self) -> str | None:
        return cast("str | None", self.request.META.get("HTTP_IDEMPOTENCY_KEY"))

    @property
    def is_usable(self) -> bool:
        return self.key is not None and self.request.user.is_authenticated and KEY.fullmatch(self.key) is not None

    @property
    def lookup(self) -> dict[str, Any]:
        route = cast("ResolverMatch", self.request.resolver_match).route
        return {"user_id": self.request.user.pk, "route": stored_form(route), "key": self.key}

    @cached_property
    def known_key(self) -> IdempotencyKey | None:
        """
        What this key stands for already; until the call is over, others with the same key wait.
        """
        if not self.is_usable or self.request.method != "POST":
            return None
        self.calls.enter_context(transaction.atomic())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_number(self.lookup)])
        alive = IdempotencyKey.objects.filter(**self.lookup, created_at__gt=timezone.now() - LIFETIME)
        return alive.select_related("task").first()

    @cached_property
    def digest(self) -> str:
        """
        A digest of what was sent: two bodies are the same if they are so as JSON. Asked for before the body is parsed, which uses it up.
        """
        raw = self.request._request.body
        try:
            body = json.dumps(json.loads(raw), sort_keys=True)
        except (ValueError, RecursionError):
            body = raw.hex()
        sent = [self.kwargs, self.request.query_params.dict(), body]
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def _lock_number(lookup: dict[str, Any]) -> int:
    digest = hashlib.sha256(json.dumps(lookup, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
