"""
How passwords are hashed, and how many at once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher, ScryptPasswordHasher

from common.exceptions import ServiceUnavailable


class HashingBusy(ServiceUnavailable):
    """
    Raised when no slot came free in time; `wait` is when to try again.
    """

    default_detail = "Too many passwords are being checked."
    default_code = "hashing_busy"
    wait = 1


class BoundedHasher:
    """
    Mixin of hashers: at most `PASSWORD_HASH_CONCURRENCY` hashes are computed at once in a process, of all hashers together.

    So a storm of logins takes that many cores and that many times a hash's memory, and no more. Who finds `most_waiting` others before
    them, or no slot within `wait_seconds`, is refused by `HashingBusy`: gunicorn has more threads than may hash and wait.
    Other requests go on meanwhile: argon2-cffi and hashlib release the interpreter's lock while they hash.
    """

    wait_seconds = 2.0
    most_waiting = 16

    @contextmanager
    def slot(self) -> Iterator[None]:
        with _lock:
            slots, places = _semaphores(settings.PASSWORD_HASH_CONCURRENCY, self.most_waiting)
        with _held(places, timeout=0), _held(slots, timeout=self.wait_seconds):
            yield


class Argon2idHasher(BoundedHasher, Argon2PasswordHasher):
    """
    Argon2id with the parameters that OWASP's Password Storage Cheat Sheet names: 19 MiB of memory, two passes, one lane.

    A password that was hashed otherwise is hashed anew at the next login.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with self.slot():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with self.slot():
            return super().verify(password, encoded)


class PBKDF2Hasher(BoundedHasher, PBKDF2PasswordHasher):
    """
    For passwords that Django hashed by default. Verifying encodes.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with self.slot():
            return super().encode(password, salt, iterations)


class ScryptHasher(BoundedHasher, ScryptPasswordHasher):
    """
    For passwords that Django's other hasher hashed. Verifying encodes.
    """

    def encode(self, password: str, salt: str, n: int | None = None, r: int | None = None, p: int | None = None) -> str:
        with self.slot():
            return super().encode(password, salt, n, r, p)


_lock = threading.Lock()


@lru_cache
def _semaphores(slots: int, waiting: int) -> tuple[threading.BoundedSemaphore, threading.BoundedSemaphore]:
    return threading.BoundedSemaphore(slots), threading.BoundedSemaphore(slots + waiting)


@contextmanager
def _held(semaphore: threading.BoundedSemaphore, *, timeout: float) -> Iterator[None]:
    if not semaphore.acquire(timeout=timeout):
        raise HashingBusy
    try:
        yield
    finally:
        semaphore.release()
