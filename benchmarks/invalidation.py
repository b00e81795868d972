"""
Measure what one invalidation costs, by what else the cache holds: `python -m benchmarks.invalidation`.

It starts a PostgreSQL and a Valkey of its own, on Unix sockets, and prints the median and the 99th percentile in milliseconds, and the
round trips, of this project's `invalidate()` (both its steps, before and after the commit), of django-redis' `delete_pattern()`, and of a
SCAN with UNLINK, 1,000 keys a step. It exits with 1 if a median of `invalidate()` is above 1 ms.
"""

import functools
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import django
from redis import Redis

from config import embedded

PREFIX, GOAL_MS = "users:alice:posts", 1.0
MATCHING = 10_000
# Unrelated keys, and those that the invalidation means.
ROWS = ((0, 0), (10_000, 0), (100_000, 0), (1_000_000, 0), (0, MATCHING), (1_000_000, MATCHING))
MOST_TRIES, LEAST_TRIES, MOST_SECONDS = 1000, 3, 5.0
# In the server, which makes a million keys faster than a client can name them.
FILL = "for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do redis.call('SET', ARGV[1] .. i, 'x') end"


@dataclass
class Cost:
    times: list[float]
    round_trips: float

    def __str__(self) -> str:
        ordered = sorted(self.times)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        return f"{statistics.median(ordered):,.3f} / {p99:,.3f} / {self.round_trips:,.0f} ({len(ordered)})"


@functools.cache
def valkey() -> Redis:
    """
    Return a client that waits as long as it takes; the project's own gives up early.
    """
    return Redis.from_url(os.environ["REDIS_CACHE_URL"])


def fill(prefix: str, count: int) -> None:
    for first in range(1, count + 1, 10_000):
        valkey().eval(FILL, 0, prefix, first, min(first + 9_999, count))


def ours() -> None:
    from django.db import transaction

    from common.cache import invalidate

    # Without a write of its own the transaction sends nothing to the database, so that the cache alone is measured.
    with transaction.atomic():
        invalidate(f"{PREFIX}:*")


def delete_pattern() -> None:
    from django.core.cache import cache

    cache.delete_pattern(f"{PREFIX}:*")  # type: ignore[attr-defined]


def scan_and_unlink() -> None:
    cursor = -1
    while cursor != 0:
        cursor, names = valkey().scan(max(cursor, 0), match=f":1:{PREFIX}:*", count=1000)
        if names:
            valkey().unlink(*names)


def measure(invalidate_once: Callable[[], None], refill: Callable[[], None]) -> Cost:
    """
    Call it until it was called often or for long enough; what it is to find is made anew before each call, outside of the time.
    """
    refill()
    invalidate_once()
    times: list[float] = []
    before = reads_of_redis()
    trips_of_refill = 0
    ended = time.monotonic() + MOST_SECONDS
    while len(times) < LEAST_TRIES or (len(times) < MOST_TRIES and time.monotonic() < ended):
        asked = reads_of_redis()
        refill()
        # Both askings are among what is counted.
        trips_of_refill += reads_of_redis() - asked + 1
        started = time.perf_counter()
        invalidate_once()
        times.append((time.perf_counter() - started) * 1000)
    return Cost(times, (reads_of_redis() - before - 1 - trips_of_refill) / len(times))


def reads_of_redis() -> int:
    """
    Return how often the server has read from its clients, this asking included: once for each command or pipeline that fits in one packet.
    """
    return int(valkey().info("stats")["total_reads_processed"])


def rows() -> Iterator[tuple[int, int, dict[str, Cost]]]:
    for unrelated, matching in ROWS:
        valkey().flushdb()
        fill("entry:users:others:", unrelated)
        # Entries of this project stay; the other two delete what they find.
        fill(f"entry:{PREFIX}:", matching)
        costs = {"invalidate()": measure(ours, lambda: None)}
        for name, function in (("delete_pattern()", delete_pattern), ("SCAN, UNLINK", scan_and_unlink)):
            costs[name] = measure(function, lambda matching=matching: fill(f":1:{PREFIX}:", matching))  # type: ignore[misc]
        yield unrelated, matching, costs


def main() -> int:
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        servers = embedded.ensure(Path(directory), durable=False)
        redis = {f"REDIS_{name}_URL": servers.redis_url(number) for number, name in enumerate(("CACHE", "RATE_LIMIT", "QUEUE"))}
        os.environ.update(redis, DATABASE_URL=servers.database_url, ENV_FILE="", SECRET_KEY=secrets.token_urlsafe(50))
        # A busy machine is not to end the run in the middle of a scan.
        os.environ.update(CACHE_TIMEOUT_MS="10000", DJANGO_SETTINGS_MODULE="config.settings")
        django.setup()
        try:
            print("median / p99 in ms / round trips (calls)\n")
            print("| unrelated keys | matching keys | invalidate() | delete_pattern() | SCAN, UNLINK |\n| --- | --- | --- | --- | --- |")
            for unrelated, matching, costs in rows():
                print(f"| {unrelated:,} | {matching:,} | {' | '.join(map(str, costs.values()))} |", flush=True)
                worst = max(worst, statistics.median(costs["invalidate()"].times))
        finally:
            embedded.stop(Path(directory), delete=True)
    return int(worst > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
