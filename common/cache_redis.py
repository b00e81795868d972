"""
The Redis of the cache: how it is asked, what an outage means, and the scripts that make each step of `common.cache` one round trip.

A version is a unique value, or `mark:` and the marks of the writers that are about to commit, each with the time at which it ends.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.cache import caches
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from .counters import CACHE_ERRORS
from .outages import Outage

# A writer sets its mark before it commits and takes it away after. One that dies in between leaves it, and it ends by itself.
MARK_SECONDS = 10
# A version that is lost costs misses only. It has to outlive a reader's way to the database and back; storing an entry prolongs it.
VERSION_SECONDS = 60
# For so long one caller computes an answer while others wait for it.
LOCK_SECONDS = 2
# What stands in the lock's place after an answer that is not stored: whoever comes next has nothing to wait for.
NOBODY = b"nobody"
NOBODY_SECONDS = 1
T = TypeVar("T")

outage = Outage("Redis of the cache", "answering from the database")
refusals = Outage("Redis of the cache", "storing nothing", state="takes no writes")

_MARKS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function others(value)
  local kept, last = {}, 0
  if value and string.sub(value, 1, 5) == 'mark:' then
    for writer, ends in string.gmatch(value, '(%x+)@(%d+)') do
      if writer ~= ARGV[1] and tonumber(ends) > now then
        kept[#kept + 1] = writer .. '@' .. ends
        last = math.max(last, tonumber(ends))
      end
    end
  end
  return kept, last
end
local function set(key, value, life)
  return not redis.pcall('SET', key, value, 'PX', string.format('%.0f', life)).err
end
"""
# Adds the mark of a writer to each version; returns how many took none. A Redis that is full still deletes, which is as good until it has
# room again.
MARK = f"""{_MARKS}
local ends, refused = now + ARGV[2], 0
for _, key in ipairs(KEYS) do
  local kept, last = others(redis.call('GET', key))
  kept[#kept + 1] = ARGV[1] .. '@' .. string.format('%.0f', ends)
  if not set(key, 'mark:' .. table.concat(kept, ','), math.max(last, ends) - now) then
    refused = refused + 1
    if #kept == 1 then redis.call('DEL', key) end
  end
end
return refused
"""
# Takes the mark of a writer away, and where it was the last one sets a new version.
RENEW = f"""{_MARKS}
for _, key in ipairs(KEYS) do
  local kept, last = others(redis.call('GET', key))
  if #kept > 0 then
    set(key, 'mark:' .. table.concat(kept, ','), last - now)
  elseif not set(key, ARGV[2], ARGV[3]) then
    redis.call('DEL', key)
  end
end
return 1
"""
# Creates the keys that are missing, each for its own time, and returns what all of them hold.
CREATE = """
for number, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'NX', 'PX', ARGV[number + 1]) end
return redis.call('MGET', unpack(KEYS))
"""
# Stores an entry unless a version has changed since, prolongs the versions, and takes the caller's lock away; returns whether it stored.
STORE = """
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
for number = 3, #KEYS do
  if ARGV[number + 2] ~= '' and redis.call('GET', KEYS[number]) ~= ARGV[number + 2] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
for number = 3, #KEYS do redis.call('PEXPIRE', KEYS[number], ARGV[4], 'GT') end
return 1
"""
# Lets the others go who wait for an answer that is not stored, and removes the versions that were created for it.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
for number = 2, #KEYS do
  if redis.call('GET', KEYS[number]) == ARGV[1] then redis.call('DEL', KEYS[number]) end
end
"""


def connection() -> Redis | None:
    """
    Return the client of the cache's Redis, or `None` with `CACHE_ENABLED=false`.
    """
    if not settings.CACHE_ENABLED:
        return None
    client: Redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    return client


def send(operation: str, call: Callable[[Redis], T]) -> T | None:
    """
    Return what Redis answered, or `None` where it is away, refuses or is switched off; what failed is counted, an outage logged once.
    """
    redis = connection()
    if redis is None:
        return None
    asked_at = time.monotonic()
    try:
        result = call(redis)
    except RedisError as exc:
        CACHE_ERRORS.labels(operation).inc()
        # A Redis that is full, or a replica, refuses what would write and still answers what reads.
        is_refusal = isinstance(exc, ResponseError) and operation != "read"
        (refusals if is_refusal else outage).begin(exc, asked_at)
        return None
    if outage.end():
        from .replay import start_replay  # replay.py renews versions: here is the other arrow of that cycle.

        start_replay()
    return result


def run(operation: str, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """
    Run a script in one round trip; the first after a restart of Redis takes two more. Returns what `send()` does.
    """
    return send(operation, lambda redis: cast("Any", redis.register_script(script)(keys, arguments)))


def mark(names: Sequence[str], writer: str) -> bool:
    """
    Add the writer's mark to these versions, for `MARK_SECONDS`, and return whether all of them have it.
    """
    return bool(run("mark", MARK, names, [writer, MARK_SECONDS * 1000]) == 0)


def renew(names: Sequence[str], writer: str = "") -> bool:
    """
    Set a new version, or where marks of other writers stand only take this one's away; return whether that was done.
    """
    return bool(run("renew", RENEW, names, [writer, unique(), VERSION_SECONDS * 1000]) == 1)


def version_name(prefix: str) -> str:
    return f"version:{prefix}"


def is_mark(version: bytes) -> bool:
    return version.startswith(b"mark:")


def unique() -> str:
    # Never a counter: one that is evicted starts again and revives old entries.
    return uuid.uuid4().hex
