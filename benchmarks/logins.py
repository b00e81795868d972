"""
Logins: how near they come to what the processors can hash, and what they leave to other calls.
"""

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from argon2.low_level import Type, hash_secret_raw

from .load import load, loading, result
from .rows import LOGINS, READS
from .seeds import PASSWORD
from .servers import Web

STORM = 4
BESIDE = f"light GET while {STORM} clients log in, p50"


class LoginSample(NamedTuple):
    """
    Hashes and logins a second, their 99th percentile, and the median of a light GET alone and beside `STORM` clients that log in without
    pause, in milliseconds.
    """

    hashes: float
    logins: float
    login_p99: float
    idle_p50: float
    storm_p50: float
    failed: int


def median(samples: Sequence[LoginSample]) -> LoginSample:
    """
    Return the median of each figure; of the failures, the sum.
    """
    middle = [statistics.median(column) for column in zip(*samples, strict=True)]
    return LoginSample(*middle)._replace(failed=sum(sample.failed for sample in samples))


def hash_rate(seconds: int) -> float:
    """
    Return how many passwords all processors hash in a second, with the parameters of the API's own hasher and nothing around it.
    """
    from accounts.hashers import Argon2idHasher as Hasher  # It wants the settings, which the command line has prepared by now.

    ends, cores = time.monotonic() + seconds, os.cpu_count() or 1

    def hash_on() -> int:
        done = 0
        while time.monotonic() < ends:
            hash_secret_raw(PASSWORD.encode(), os.urandom(16), Hasher.time_cost, Hasher.memory_cost, Hasher.parallelism, 32, Type.ID)
            done += 1
        return done

    # The hash leaves the interpreter to other threads.
    with ThreadPoolExecutor(cores) as pool:
        return sum(future.result() for future in [pool.submit(hash_on) for _ in range(cores)]) / seconds


def measure(web: Web, *, connections: int, seconds: int) -> LoginSample:
    hashes = hash_rate(seconds)
    logins = load(web.url, LOGINS, connections=connections, seconds=2 * seconds)
    light = READS[0].requests(())
    idle = load(web.url, light, connections=1, seconds=seconds)
    with loading(web.url, LOGINS, connections=STORM, seconds=seconds + 2) as storm:
        time.sleep(1)
        beside = load(web.url, light, connections=1, seconds=seconds)
        stormed = result(storm)
    failed = logins.failed + idle.failed + beside.failed + stormed.failed
    return LoginSample(hashes, logins.rate, logins.p99, idle.p50, beside.p50, failed)
