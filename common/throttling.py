"""
Counting, once for all throttles: exact in every process, on Redis' clock.

Windows are fixed and aligned to their period, so a caller may make up to twice the limit across a boundary. While Redis is away calls are
counted in the process: a limit is never off, and nobody is locked out.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from django.conf import settings
from django.core.cache import caches
from redis import Redis
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from .addresses import address_key, client_address
from .counters import RATE_LIMITED_CALLS, tier_label
from .outages import Outage
from .routing import stored_form

# The key of a counter's window and the microseconds until that ends, on the clock of Redis.
WINDOW = """
local now = redis.call('TIME')
local function window(key, period)
    local number = math.floor(now[1] / period)
    local left = ((number + 1) * period - now[1]) * 1000000 - now[2]
    return key .. ':' .. period .. ':' .. string.format('%.0f', number), left
end
"""
# Returns whether the call is admitted, the calls used in the window and the microseconds until it ends. A refused call consumes nothing.
COUNT = (
    WINDOW
    + """
local period = tonumber(ARGV[2])
local key, left = window(KEYS[1], period)
local used = tonumber(redis.call('GET', key) or '0')
local cost = tonumber(ARGV[3])
if cost > 0 and used + cost > tonumber(ARGV[1]) then return {0, used, left} end
used = redis.call('INCRBY', key, cost)
if used == cost then redis.call('EXPIRE', key, period + 60) end
return {1, used, left}
"""
)
# Of counters with the periods in the arguments; returns of each the calls used and the microseconds left.
READ = (
    WINDOW
    + """
local found = {}
for number, name in ipairs(KEYS) do
    local key, left = window(name, tonumber(ARGV[number]))
    found[number] = {tonumber(redis.call('GET', key) or '0'), left}
end
return found
"""
)
RESET = (
    WINDOW
    + """
for number, name in ipairs(KEYS) do
    local key = window(name, tonumber(ARGV[number]))
    redis.call('DEL', key)
end
return 1
"""
)
T = TypeVar("T")


class Limit(NamedTuple):
    """
    `limit` calls of `name` in `period` seconds.
    """

    name: str
    limit: int
    period: int


class Usage(NamedTuple):
    """
    What a counted call was told: `used` of `limit` calls, `reset` seconds until the window ends.
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
    key = _key(name, subject)
    is_admitted, used, left = ask(COUNT, [key], [limit, period, cost], meanwhile=lambda: _local.count(key, limit, period, cost))
    return Usage(name, limit, period, used, _seconds(left), bool(is_admitted))


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
    was_away = outage.is_on
    try:
        if was_away:
            # A script that finds nothing to write would pass on a Redis that is full, or a replica.
            redis.set("limit-probe", 1, px=1000)
        result = cast("T", redis.register_script(script)(keys, arguments))
    except RedisError as exc:
        outage.begin(exc)
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

    def allow_request(self, request: Request, view: Any) -> bool:
        rate = self.get_rate(request, view)
        if rate is None:
            return True
        self.usage = count(self.get_name(request, view), self.get_subject(request, view), *rate, cost=self.get_cost(request, view))
        route = stored_form(request.resolver_match.route) if request.resolver_match else ""
        outcome = "admitted" if self.usage.is_admitted else "refused"
        RATE_LIMITED_CALLS.labels(type(self).__name__, route, tier_label(self.tier_name), outcome).inc()
        if self.is_told:
            told = getattr(request._request, "rate_limit_usage", self.usage)
            request._request.rate_limit_usage = min(told, self.usage, key=lambda usage: usage.remaining)  # type: ignore[attr-defined]
        return self.usage.is_admitted

    def wait(self) -> float | None:
        return None if self.usage is None else max(1, self.usage.reset)


class AddressThrottle(RateThrottle):
    """
    Base of guards that count by address, whoever is signed in.
    """

    def get_subject(self, request: Request, view: Any) -> str:
        return f"address:{address_key(client_address(request._request))}"


class LocalCounter:
    """
    The same counting in this process' memory; over `MOST` windows the oldest are forgotten.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: dict[tuple[str, int], tuple[int, int]] = {}

    def count(self, key: str, limit: int, period: int, cost: int) -> tuple[int, int, int]:
        with self.lock:
            window, used, left = self._look(key, period)
            if cost and used + cost > limit:
                return 0, used, left
            if len(self.windows) > self.MOST:
                self._forget()
            self.windows[key, period] = (window, used + cost)
        return 1, used + cost, left

    def read(self, key: str, period: int) -> tuple[int, int]:
        with self.lock:
            return self._look(key, period)[1:]

    def _look(self, key: str, period: int) -> tuple[int, int, int]:
        now = time.time_ns() // 1000
        window = now // (period * 1_000_000)
        window_then, used = self.windows.get((key, period), (window, 0))
        return window, used if window_then == window else 0, (window + 1) * period * 1_000_000 - now

    def _forget(self) -> None:
        now = time.time_ns() // 1000
        alive = [entry for entry in self.windows.items() if entry[1][0] == now // (entry[0][1] * 1_000_000)]
        # A tenth of them at a time, or every further call would look through all.
        self.windows = dict(alive[-(self.MOST * 9 // 10) :])


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
