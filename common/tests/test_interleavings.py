"""
Writers, readers and lost keys at once, on a real database: no reader is told less than what was acknowledged before it asked.
"""

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from common import cache_redis
from common.cache import Entry, invalidate

from .concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, READERS, SECONDS = 3, 4, 3


@pytest.fixture
def numbers() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE cache_numbers (writer integer PRIMARY KEY, number integer NOT NULL)")
        cursor.execute("INSERT INTO cache_numbers SELECT writer, 0 FROM generate_series(0, %s) AS writer", [WRITERS - 1])
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE cache_numbers")


class Run:
    def __init__(self) -> None:
        self.acknowledged = [0] * WRITERS
        self.ends_at = time.monotonic() + SECONDS
        self.lock = threading.Lock()
        self.hits = self.misses = 0
        self.stale: list[Any] = []

    @property
    def least(self) -> int:
        return min(self.hits, self.misses, *self.acknowledged)

    @property
    def goes_on(self) -> bool:
        # A slow machine is given time to do as much.
        late = time.monotonic() - self.ends_at
        return late < 0 or (late < 20 and self.least <= 20)

    def write(self, writer: int) -> None:
        chance = random.Random(writer)
        while self.goes_on:
            is_rolled_back = chance.random() < 0.05
            with transaction.atomic(), connection.cursor() as cursor:
                prefix = chance.choice(["numbers", "numbers:all"])
                invalidate(f"{prefix}:*")
                cursor.execute("UPDATE cache_numbers SET number = number + 1 WHERE writer = %s RETURNING number", [writer])
                number = cursor.fetchone()[0]
                time.sleep(chance.random() / 500)
                transaction.set_rollback(is_rolled_back)
            if is_rolled_back:
                # What is left of it would keep the cache shut for the rest of the run.
                self.lose("version:numbers*")
            else:
                self.acknowledged[writer] = number
            time.sleep(chance.random() / 50)

    def read(self, reader: int) -> None:
        while self.goes_on:
            least = list(self.acknowledged)
            entry = Entry("numbers:all:one", 60)
            body, _ = entry.read_or_claim()
            with self.lock:
                self.hits, self.misses = self.hits + (body is not None), self.misses + (body is None)
            if body is None:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT number FROM cache_numbers ORDER BY writer")
                    body = json.dumps([number for (number,) in cursor.fetchall()]).encode()
                time.sleep(random.random() / 500)
                entry.write(body)
            if any(number < known for number, known in zip(json.loads(body), least, strict=True)):
                self.stale.append((body, least))

    def lose_keys(self) -> None:
        while self.goes_on:
            self.lose(random.choice(["version:numbers", "version:numbers:all", "entry:numbers*", "lock:*"]))
            time.sleep(random.random() / 30)

    def lose(self, pattern: str) -> None:
        redis: Any = cache_redis.connection()
        for key in redis.scan_iter(pattern, count=1000):
            redis.delete(key)


def test_no_answer_is_older_than_a_write_that_was_acknowledged(numbers: None) -> None:
    run = Run()

    at_once(
        *(lambda writer=writer: run.write(writer) for writer in range(WRITERS)),
        *(lambda reader=reader: run.read(reader) for reader in range(READERS)),
        run.lose_keys,
    )

    assert run.stale == []
    assert run.least > 20
