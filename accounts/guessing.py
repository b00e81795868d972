"""
The guard against guessing one name's password, from however many addresses.

A try is counted as a failure before the password is looked at, so that many at once buy no more looks than one after another; a success
clears the count. The first `LOGIN_FAILURE_LIMIT` failures are free, and each that follows doubles the time in which the name is refused: 1,
2, 4 seconds, at most `LONGEST_DELAY`. A refused try costs nothing and changes nothing.

Names are counted as they were given, in lower case, whether or not there is such a user. A username and its e-mail address count apart: a
shared counter would tell a stranger that both are one account. An address from which the name has logged in before has a counter of its
own, so that whoever keeps a name refused does not shut its owner out at home.
"""

import hashlib
import threading
import time
from typing import Any

from django.conf import settings

from common.addresses import address_key
from common.exceptions import RateLimited
from common.throttling import ask

LONGEST_DELAY = 60
FAILURES_LIVE = 3600
ADDRESS_LIVES = 30 * 24 * 3600

# Keys: the counters of the name and of the name at this address, and what marks the address as known. Arguments: free failures, longest
# delay, life. Returns the microseconds to wait, 0 for a try that is admitted, and the moment up to which that try has the next ones refused
# ("0": not at all).
BEGIN = """
local key = KEYS[redis.call('EXISTS', KEYS[3]) + 1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local left = tonumber(redis.call('HGET', key, 'until') or '0') - now
if left > 0 then return {left, ''} end
local failures = redis.call('HINCRBY', key, 'failures', 1) - tonumber(ARGV[1])
local refused_until = '0'
if failures >= 0 then
    refused_until = string.format('%.0f', now + math.min(2 ^ failures, tonumber(ARGV[2])) * 1000000)
    redis.call('HSET', key, 'until', refused_until)
end
redis.call('EXPIRE', key, ARGV[3])
return {0, refused_until}
"""
SUCCEED = """
redis.call('DEL', KEYS[redis.call('EXISTS', KEYS[3]) + 1])
redis.call('SET', KEYS[3], '1', 'EX', ARGV[1])
"""
GIVE_BACK = """
local key = KEYS[redis.call('EXISTS', KEYS[3]) + 1]
if redis.call('HINCRBY', key, 'failures', -1) < 1 then redis.call('DEL', key) end
if redis.call('HGET', key, 'until') == ARGV[1] then redis.call('HDEL', key, 'until') end
"""


class Guess:
    """
    One try at a name's password: `begin()`, then `succeed()` if it was right, or `give_back()` if nobody looked at it.
    """

    def __init__(self, name: str, address: str) -> None:
        digest = hashlib.sha256(name.lower().encode("utf-8", "replace")).hexdigest()
        key = f"guess:{digest}"
        at_address = f"{key}:{address_key(address)}"
        self.keys = [key, at_address, f"{at_address}:known"]
        self.refused_until = ""

    def begin(self) -> None:
        """
        Count the try, or raise `RateLimited` with the seconds after which the name is open again.
        """
        if not settings.LOGIN_FAILURE_LIMIT:
            return
        left, self.refused_until = self._run(BEGIN, settings.LOGIN_FAILURE_LIMIT, LONGEST_DELAY, FAILURES_LIVE)
        if left:
            raise RateLimited(-(-int(left) // 1_000_000))

    def succeed(self) -> None:
        if self.refused_until:
            self._run(SUCCEED, ADDRESS_LIVES)

    def give_back(self) -> None:
        if self.refused_until:
            self._run(GIVE_BACK, self.refused_until)

    def _run(self, script: str, *arguments: Any) -> Any:
        return ask(script, self.keys, arguments, meanwhile=lambda: _local.run(script, self.keys, *arguments))


def knows_password(user: Any, password: str, address: str) -> bool:
    """
    Say whether a signed-in user knows their own password, or raise `RateLimited`.

    Guesses are held to the rule for those at a login: whoever has somebody's session does not thereby get their password.
    """
    # No login's name holds a NUL: guesses at logins are counted apart.
    guess = Guess(f"\0{user.pk}", address)
    guess.begin()
    try:
        is_right = bool(user.check_password(password))
    except Exception:
        guess.give_back()
        raise
    if is_right:
        guess.succeed()
    return is_right


class LocalFailures:
    """
    The same counting in this process' memory, while Redis is away; it knows no addresses, and forgets the oldest names over `MOST`.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self.lock = threading.Lock()
        # By name: the failures, the moments up to which the name is refused and at which the failures are forgotten.
        self.names: dict[str, tuple[int, int, int]] = {}

    def run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        with self.lock:
            if script == BEGIN:
                return self._begin(keys[0], *arguments)
            failures, refused_until, forgotten_at = self.names.pop(keys[0], (0, 0, 0))
            if script == GIVE_BACK and failures > 1:
                self.names[keys[0]] = (failures - 1, 0 if str(refused_until) == arguments[0] else refused_until, forgotten_at)
            return None

    def _begin(self, key: str, free: int, longest: int, life: int) -> tuple[int, str]:
        now = time.time_ns() // 1000
        failures, refused_until, forgotten_at = self.names.get(key, (0, 0, 0))
        if refused_until > now:
            return refused_until - now, ""
        failures = failures + 1 if forgotten_at > now else 1
        refused_until = now + min(2 ** min(failures - free, 30), longest) * 1_000_000 if failures >= free else 0
        self.names.pop(key, None)
        if len(self.names) >= self.MOST:
            del self.names[next(iter(self.names))]
        self.names[key] = (failures, refused_until, now + life * 1_000_000)
        return 0, str(refused_until)


_local = LocalFailures()
