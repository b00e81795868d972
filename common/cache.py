"""
Cached answers and their invalidation: `invalidate("users:alice:posts:*")` in the model's write; `common.caching` has the views' side.

Keys are words separated by colons. Each prefix of a key has a version, and an entry is good only while it names the version of every one of
its prefixes; invalidating a prefix sets a new, unique version and costs one command however many entries it ends. A reader stores what it
computed under the versions it saw before it read the database, so that an answer that a write overtook is never served.
"""

import re
import time
from typing import cast
from urllib.parse import quote

from django.conf import settings
from django.db import transaction

from .cache_redis import (
    CREATE,
    LOCK_SECONDS,
    MARK_SECONDS,
    NOBODY,
    NOBODY_SECONDS,
    RELEASE,
    STORE,
    VERSION_SECONDS,
    is_mark,
    mark,
    outage,
    refusals,
    renew,
    run,
    send,
    unique,
    version_name,
)
from .counters import CACHE_INVALIDATIONS
from .outages import PAUSE_SECONDS
from .replay import record, start_replay

PATTERN = re.compile(r"[^:*]+(:[^:*]+)*:\*")
FIRST_POLL_SECONDS, LAST_POLL_SECONDS = 0.01, 0.1


def word(value: object) -> str:
    """
    Return a value as one word of a key: in it nothing separates, and nothing is a star.
    """
    return quote(str(value), safe="", errors="surrogatepass")


class Entry:
    """
    One cached answer, JSON bytes. First `read()`, or `read_or_claim()`, then `write()` what was computed after it, or `release()`.

    `read()` fetches the version of the prefix `beside` in the same round trip, for a caller that keeps something else of its own; with a
    `companion`, every look is one for that entry too, whose `body` is then what it holds. With `serve_expired` an entry is kept for twice
    its time, for whoever would else wait for the next one.
    """

    def __init__(self, key: str, expire: int, *, beside: str = "", companion: "Entry | None" = None, serve_expired: bool = False) -> None:
        self.expire = expire
        self.serve_expired = serve_expired
        words = key.split(":")
        self.version_names = [version_name(":".join(words[:length])) for length in range(1, len(words))]
        self.beside_names = [version_name(beside)] if beside else []
        self.beside_version: bytes | None = None
        self.companions = [companion] if companion else []
        self.name, self.lock_name = f"entry:{key}", f"lock:{key}"
        # The value of whatever this caller creates: versions that were missing, and the lock.
        self.token = unique().encode()
        self.versions: list[bytes | None] = []
        self.holder: bytes | None = None
        self.body: bytes | None = None
        self.expired_body: bytes | None = None
        self.has_created = self.has_looked = False

    @property
    def is_open(self) -> bool:
        """
        Say whether Redis answered and no write is under way; only then is there something to serve.
        """
        return bool(self.versions) and not any(version is not None and is_mark(version) for version in self.versions)

    @property
    def is_writable(self) -> bool:
        return self.is_open and None not in self.versions

    @property
    def is_mine(self) -> bool:
        """
        Say whether this caller is the one to compute it.
        """
        return self.holder == self.token

    def peek(self) -> bytes | None:
        """
        Return the stored body if it is still right, else `None`; nothing can be written then.
        """
        return self._look([])

    def read(self) -> bytes | None:
        """
        Return the stored body if it is still right, else `None`.
        """
        body = self._look([])
        if self.versions and None in (*self.versions, *([self.beside_version] if self.beside_names else [])):
            self._create([])
        if self.beside_version is not None and is_mark(self.beside_version):
            self.beside_version = None
        return body

    def look_up(self) -> bytes | None:
        """
        Return the stored body if it is still right, else `None`; a `read_or_claim()` after it goes on from what was seen.
        """
        self.has_looked = True
        return self._look([self.lock_name])

    def read_or_claim(self) -> tuple[bytes | None, str]:
        """
        Return a body with `hit` or `stale`, or no body to the one caller who is to compute it.

        The others wait for that one, for `LOCK_SECONDS` at most; nobody waits while a write is under way, or Redis is away.
        """
        deadline, pause = time.monotonic() + LOCK_SECONDS, FIRST_POLL_SECONDS
        while True:
            body = None if self.has_looked else self._look([self.lock_name])
            self.has_looked = False
            if body is not None:
                return body, "hit"
            if self.is_open and None in (*self.versions, self.holder):
                self._create([self.lock_name])
            if not self.is_writable or self.holder in (None, NOBODY, self.token):
                return None, ""
            if self.expired_body is not None:
                return self.expired_body, "stale"
            if time.monotonic() >= deadline:
                return None, ""
            time.sleep(pause)
            pause = min(pause * 1.5, LAST_POLL_SECONDS)

    def write(self, body: bytes) -> bool:
        """
        Store `body` and return whether that was possible: not while Redis is away or full, nor where a write was faster.
        """
        if not self.is_writable or refusals.is_paused:
            return False
        versions = cast("list[bytes]", self.versions)
        value = b"%s %d\n%s" % (b"/".join(versions), (time.time() + self.expire) * 1000, body)
        life = self.expire * 1000 * (2 if self.serve_expired else 1)
        names = [self.name, self.lock_name, *self.version_names, *self.beside_names]
        expected = [*versions, *(b"" for _ in self.beside_names)]
        stored = run("store", STORE, names, [self.token, value, life, life + VERSION_SECONDS * 1000, *expected])
        if stored is None:
            return False
        refusals.end()
        self.holder, self.has_created = None, False
        return bool(stored)

    def release(self) -> None:
        """
        Let those go who wait for an answer that was not stored. What was created for it is removed, so that asking for what is not there
        leaves nothing behind.
        """
        if self.has_created and not refusals.is_paused:
            # A companion that was stored goes by its versions.
            unstored = [name for entry in self.companions if entry.body is None for name in entry.version_names]
            names = [self.lock_name, *self.version_names, *unstored]
            run("release", RELEASE, names, [self.token, NOBODY, NOBODY_SECONDS * 1000])
            self.holder, self.has_created = None, False

    def _look(self, lock: list[str]) -> bytes | None:
        for entry in (self, *self.companions):
            entry.versions, entry.holder, entry.body, entry.expired_body, entry.beside_version = [], None, None, None, None
        if outage.is_paused:
            return None
        names = [*self.version_names, *self.beside_names, *lock, self.name]
        also = [name for entry in self.companions for name in (*entry.version_names, entry.name)]
        found = send("read", lambda redis: cast("list[bytes | None]", redis.mget([*names, *also])))
        if found is None:
            return None
        for entry in self.companions:
            *entry.versions, stored = found[len(names) :]
            entry.body = entry._good(stored)
        stored = found[len(names) - 1]
        self._learn(found[: len(names) - 1], lock)
        self.body = self._good(stored)
        return self.body

    def _good(self, stored: bytes | None) -> bytes | None:
        """
        Return the body of what is stored if it names the present versions and its time is not over.
        """
        if stored is None or not self.is_writable:
            return None
        head, _, body = stored.partition(b"\n")
        versions, _, expires_at = head.rpartition(b" ")
        if versions != b"/".join(cast("list[bytes]", self.versions)):
            return None
        # Without `serve_expired` Redis itself removes it in time, whatever the clocks of the processes say.
        if self.serve_expired and int(expires_at) <= time.time() * 1000:
            self.expired_body = body
            return None
        return body

    def _create(self, lock: list[str]) -> None:
        if refusals.is_paused:
            return
        companions = self._companion_versions()
        names = [*companions, *self.version_names, *self.beside_names, *lock]
        lives = [VERSION_SECONDS * 1000] * (len(names) - len(lock)) + [LOCK_SECONDS * 1000 for _ in lock]
        found = run("create", CREATE, names, [self.token, *lives])
        if found is not None:
            # Else this attempt would end here each time: who asked whether the pause is over is not told so again when storing.
            refusals.end()
            self.has_created = self.token in found
            for entry in self.companions:
                if entry.versions != found[: len(companions)]:
                    # A write came in between: what was found before it is not to be stored as part of an answer under what it set.
                    entry.body = None
                entry.versions = found[: len(companions)]
            self._learn(found[len(companions) :], lock)
            for entry in self.companions:
                # Who computes an answer computes what is part of it, without a lock more.
                entry.holder = entry.token if self.is_mine else None

    def _companion_versions(self) -> list[str]:
        return [name for entry in self.companions for name in entry.version_names]

    def _learn(self, found: list[bytes | None], lock: list[str]) -> None:
        self.holder = found.pop() if lock else None
        self.beside_version = found.pop() if self.beside_names else None
        self.versions = found


class Renewal:
    """
    What a transaction owes the cache: the versions that it marked, which get a new value once it has committed.
    """

    def __init__(self) -> None:
        self.writer = unique()
        self.marked: set[str] = set()
        self.recorded: set[str] = set()
        self.marked_at = self.failed_at = float("-inf")

    def mark(self, names: set[str]) -> None:
        now = time.monotonic()
        # A long transaction keeps its marks alive as it goes on.
        is_late = now > self.marked_at + MARK_SECONDS / 2
        due = self.marked | names if is_late else names - self.marked
        if not due:
            return
        is_hopeless = outage.is_on and now < self.failed_at + PAUSE_SECONDS
        if not is_hopeless and mark(sorted(due), self.writer):
            self.marked |= due
            self.marked_at = now if is_late else self.marked_at
            return
        self.failed_at = time.monotonic()
        self.recorded |= due
        record(due)

    def __call__(self) -> None:
        if not renew(sorted(self.marked | self.recorded), self.writer):
            record(self.marked - self.recorded)
            self.recorded |= self.marked
        if self.recorded:
            start_replay()


def invalidate(*patterns: str) -> None:
    """
    Make every answer under each prefix (`users:alice:posts:*`) be computed anew, once the transaction around this call has committed.

    Call it inside the transaction that writes. Until the commit, answers under the prefix are neither served from the cache nor stored;
    after a rollback that lasts up to `MARK_SECONDS`. Where Redis is away, that the prefix is to be invalidated is written in the same
    transaction, and done once Redis is back. Raises `ValueError` for a pattern that is no prefix.
    """
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is no prefix such as 'users:alice:*'.")
    for pattern in patterns:
        CACHE_INVALIDATIONS.labels(pattern.partition(":")[0]).inc()
    if not patterns or not settings.CACHE_ENABLED:
        return
    names = {version_name(pattern.removesuffix(":*")) for pattern in patterns}
    database = transaction.get_connection()
    # One for a transaction. What a savepoint's rollback dropped is not among them, and what will drop one of them drops this write too.
    renewal = next((call for _, call, _ in database.run_on_commit if isinstance(call, Renewal)), None)
    if renewal is None:
        renewal = Renewal()
        if not database.in_atomic_block:
            # What this is about has been committed.
            renewal.marked |= names
        transaction.on_commit(renewal, robust=True)
    if database.in_atomic_block:
        renewal.mark(names)
