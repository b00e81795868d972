"""
Counting, once for all throttles: exact in every process, on Redis' clock.

Windows are fixed and aligned to their period, so a caller may make up to twice the limit across a boundary. While Redis is away calls are
counted in the process: a limit is never off, and nobody is locked out.
"""

import threading
import time
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches
from redis import Redis
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from .addresses import address_key, client_address
from .outages import Outage

# Returns whether the call is admitted, the calls used in the window and the microseconds until it ends. A refused call consumes nothing.
COUNT = """
local now = redis.call('TIME')
local period = tonumber(ARGV[2])
local window = math.floor(now[1] / period)
local key = KEYS[1] .. ':' .. period .. ':' .. string.format('%.0f', window)
local used = tonumber(redis.call('GET', key) or '0')
local left = ((window + 1) * period - now[1]) * 1000000 - now[2]
local cost = tonumber(ARGV[3])
if cost > 0 and used + cost > tonumber(ARGV[1]) then return {0, used, left} end
used = redis.call('INCRBY', key, cost)
if used == cost then redis.call('EXPIRE', key, period + 60) end
return {1, used, left}
"""


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
    key = f"limit:{name}:{subject}"
    redis = None if outage.is_paused else connection()
    if redis is None:
        result = _local.count(key, limit, period, cost)
    else:
        try:
            result = redis.register_script(COUNT)([key], [limit, period, cost])
            outage.end()
        except RedisError as exc:
            outage.begin(exc)
            result = _local.count(key, limit, period, cost)
    is_admitted, used, left = result
    # Rounded up: whoever waits as long as told finds the window over.
    return Usage(name, limit, period, used, -(-left // 1_000_000), bool(is_admitted))


class RateThrottle(BaseThrottle):
    """
    Base of throttles: `get_rate()` says how much, `get_name()` against which counter, `get_subject()` who.
    """

    usage: Usage | None = None
    # Whether `RateLimitHeadersMiddleware` tells the caller about this limit.
    is_told = False

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
            return f"user:{request.user.pk}"
        return f"address:{address_key(client_address(request._request))}"

    def may_hold(self, view: Any) -> bool:
        """
        Say whether any call of the view may be limited; asked by the OpenAPI description alone.
        """
        return True

    def get_cost(self, request: Request, view: Any) -> int:
        return int(getattr(view, "throttle_cost", 1))

    def allow_request(self, request: Request, view: Any) -> bool:
        rate = self.get_rate(request, view)
        if rate is None:
            return True
        self.usage = count(self.get_name(request, view), self.get_subject(request, view), *rate, cost=self.get_cost(request, view))
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
    The same counting in this process' memory.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: dict[tuple[str, int], tuple[int, int]] = {}

    def count(self, key: str, limit: int, period: int, cost: int) -> tuple[int, int, int]:
        now = time.time_ns() // 1000
        window = now // (period * 1_000_000)
        left = (window + 1) * period * 1_000_000 - now
        with self.lock:
            if len(self.windows) > 10_000:
                self._forget(now)
            window_then, used = self.windows.get((key, period), (window, 0))
            used = used if window_then == window else 0
            if cost and used + cost > limit:
                return 0, used, left
            self.windows[key, period] = (window, used + cost)
        return 1, used + cost, left

    def _forget(self, now: int) -> None:
        self.windows = {entry: value for entry, value in self.windows.items() if value[0] == now // (entry[1] * 1_000_000)}


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
