"""
Counting, once for all throttles: exact in every process, on Redis' clock.

Windows are fixed and aligned to their period, so a caller may make up to twice the limit across a boundary. While Redis is away calls are
counted in the process: a limit is never off, and nobody is locked out.
"""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar, cast

from django.conf import settings
from django.core.cache import caches
from redis import Redis
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from .addresses import address_key, client_address
from .counters import RATE_LIMITED_CALLS, tier_label
from .limit_scripts import COUNT, READ, RESET
from .local_counter import LocalCounter
from .outages import Outage
from .routing import stored_form

T = TypeVar("T")


class Limit(NamedTuple):
    """
    `limit` calls of `name` in `period` seconds.
    """

    name: str
    limit: int
    period: int


class Call(NamedTuple):
    """
    A call of `subject` that costs as much as `cost` calls of `limit.name`.
    """

    subject: str
    limit: Limit
    cost: int = 1


class Usage(NamedTuple):
    """
    What a counted call was told: `used` of `limit` calls, `reset` seconds until the window ends, and whether this limit admits it.
    """

    name: str
    limit: int
    period: int
    used: int
    reset: int
    is_admitted: bool

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    def headers(self) -> dict[str, str]:
        """
        Return the headers that tell the caller, by custom and by draft-ietf-httpapi-ratelimit-headers-10.
        """
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={self.period}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset}',
        }


def count(name: str, subject: str, limit: int, period: int, *, cost: int = 1) -> Usage:
    """
    Count a call of `subject` against `limit` calls of `name` in `period` seconds, if it is admitted; one at no cost always is.
    """
    return count_all([Call(subject, Limit(name, limit, period), cost)])[0]


def count_all(calls: Sequence[Call]) -> list[Usage]:
    """
    Count a call against all of these limits, or where one of them refuses it against none, in one round trip.
    """
    keys = [_key(call.limit.name, call.subject) for call in calls]
    rates = [(call.limit.limit, call.limit.period, call.cost) for call in calls]
    found = ask(COUNT, keys, list(chain.from_iterable(rates)), meanwhile=lambda: _local.count_all(keys, rates))
    return [Usage(*call.limit, used, _seconds(left), bool(admits)) for call, (admits, used, left) in zip(calls, found, strict=True)]


def read(subject: str, limits: Sequence[Limit]) -> list[Usage]:
    """
    Return how much of each limit `subject` has used, without counting, in one round trip for all; while Redis is away, in this process.
    """
    if not limits:
        return []
    keys, periods = [_key(limit.name, subject) for limit in limits], [limit.period for limit in limits]
    found = ask(READ, keys, periods, meanwhile=lambda: list(map(_local.read, keys, periods)))
    return [Usage(*limit, used, _seconds(left), used < limit.limit) for limit, (used, left) in zip(limits, found, strict=True)]


def reset(subject: str, limits: Sequence[Limit]) -> bool:
    """
    Forget what `subject` has used of each limit in this window; return whether that was done: not while Redis is away.
    """
    if not limits:
        return True
    return bool(ask(RESET, [_key(limit.name, subject) for limit in limits], [limit.period for limit in limits], meanwhile=lambda: 0))


def ask(script: str, keys: Sequence[str], arguments: Sequence[Any], *, meanwhile: Callable[[], T]) -> T:
    """
    Return what a script on the counters' Redis returns, and what `meanwhile` returns where there is none or it is away.
    """
    redis = None if outage.is_paused else connection()
    if redis is None:
        return meanwhile()
    was_away, asked_at = outage.is_on, time.monotonic()
    try:
        if was_away:
            # A script that finds nothing to write would pass on a Redis that is full, or a replica.
            redis.set("limit-probe", 1, px=1000)
        result = cast("T", redis.register_script(script)(keys, arguments))
    except RedisError as exc:
        outage.begin(exc, asked_at)
        return meanwhile()
    if was_away:
        outage.end()
    return result


def user_subject(user_id: int) -> str:
    """
    Return as whom a user is counted, on all their devices.
    """
    return f"user:{user_id}"


def _key(name: str, subject: str) -> str:
    return f"limit:{name}:{subject}"


def _seconds(microseconds: int) -> int:
    # Rounded up: whoever waits as long as told finds the window over.
    return -(-microseconds // 1_000_000)


class RateThrottle(BaseThrottle):
    """
    Base of throttles: `get_rate()` says how much, `get_name()` against which counter, `get_subject()` who.
    """

    usage: Usage | None = None
    # Whether `RateLimitHeadersMiddleware` tells the caller about this limit; of several it tells the one of which least is left.
    is_told = False
    # By which the counters at `/metrics` tell callers apart.
    tier_name = "(any)"

    def get_rate(self, request: Request, view: Any) -> tuple[int, int] | None:
        """
        Return `(limit, period in seconds)`, or `None` where no limit holds. Override it.
        """
        raise NotImplementedError(f"{type(self).__name__}.get_rate() must be overridden.")

    def get_name(self, request: Request, view: Any) -> str:
        """
        Return what is limited. Override it.
        """
        raise NotImplementedError(f"{type(self).__name__}.get_name() must be overridden.")

    def get_subject(self, request: Request, view: Any) -> str:
        """
        Return who calls: a user by id, on all their devices, or an anonymous caller by address.
        """
        if request.user.is_authenticated:
            return user_subject(request.user.pk)
        return f"address:{address_key(client_address(request._request))}"

    def may_hold(self, view: Any) -> bool:
        """
        Say whether any call of the view may be limited; the OpenAPI description asks it.
        """
        return True

    def may_hold_anonymous(self, view: Any) -> bool:
        """
        Say whether a call without credentials may be limited; where none is, `common.fast_path` answers what is stored without asking.
        """
        return self.may_hold(view)

    def get_cost(self, request: Request, view: Any) -> int:
        """
        Return how many calls this one counts as: the view's `throttle_cost`, or 1.
        """
        return int(getattr(view, "throttle_cost", 1))

    def get_call(self, request: Request, view: Any) -> Call | None:
        rate = self.get_rate(request, view)
        if rate is None:
            return None
        return Call(self.get_subject(request, view), Limit(self.get_name(request, view), *rate), self.get_cost(request, view))

    def allow_request(self, request: Request, view: Any) -> bool:
        return not refused_by([self], request, view)

    def wait(self) -> float | None:
        return None if self.usage is None else max(1, self.usage.reset)


def refused_by(throttles: Sequence[RateThrottle], request: Request, view: Any) -> list[RateThrottle]:
    """
    Count a call against what all throttles limit, and return those that refuse it: then it has consumed nothing of any.
    """
    held = [(throttle, call) for throttle in throttles if (call := throttle.get_call(request, view))]
    if not held:
        return []
    usages = count_all([call for _, call in held])
    refusing = [throttle for (throttle, _), usage in zip(held, usages, strict=True) if not usage.is_admitted]
    route = stored_form(request.resolver_match.route) if request.resolver_match else ""
    for (throttle, _), usage in zip(held, usages, strict=True):
        throttle.usage = usage
        if throttle in refusing or not refusing:
            outcome = "refused" if refusing else "admitted"
            RATE_LIMITED_CALLS.labels(type(throttle).__name__, route, tier_label(throttle.tier_name), outcome).inc()
    told = [usage for (throttle, _), usage in zip(held, usages, strict=True) if throttle.is_told]
    if told:
        request._request.rate_limit_usage = min(told, key=_urgency)  # type: ignore[attr-defined]
    return refusing


def _urgency(usage: Usage) -> tuple[bool, int]:
    # Of limits that refuse, the one that does so for longest; else the one of which least is left.
    return usage.is_admitted, usage.remaining if usage.is_admitted else -usage.reset


class AddressThrottle(RateThrottle):
    """
    Base of guards that count by address, whoever is signed in.
    """

    def get_subject(self, request: Request, view: Any) -> str:
        return f"address:{address_key(client_address(request._request))}"


_local = LocalCounter()
outage = Outage("Redis of the rate limits", "counting in the process")


def connection() -> Redis | None:
    """
    Return the client of the counters' Redis, or `None` with `RATE_LIMIT_ENABLED=false`.
    """
    if not settings.RATE_LIMIT_ENABLED:
        return None
    client: Redis = caches["throttle"].client.get_client()  # type: ignore[attr-defined]
    return client
