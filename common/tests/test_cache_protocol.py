"""
The cache's protocol step by step, in every order of its readers and writers, on the servers that are supported.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from ..cache import Entry, Renewal
from ..cache_redis import MARK_SECONDS, version_name
from .redis_commands import OwnRedis

KEY, PREFIXES = "things:a:thing_1", ("things", "things:a")
pytestmark = pytest.mark.django_db


@pytest.fixture(params=["redis-server", "valkey-server"], scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    running = OwnRedis(request.param, tmp_path_factory.mktemp("redis"))
    running.start()
    yield running
    running.client.close()
    running.stop()


@pytest.fixture
def server(running: OwnRedis, settings: Settings) -> Iterator[OwnRedis]:
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": running.url}}
    running.client.flushall()
    yield running
    running.client.config_set("maxmemory", 0)


class World:
    """
    A database of two rows, one for each writer, whose answer one entry holds; `step()` takes one step of whoever is named.
    """

    def __init__(self, *, is_warm: bool) -> None:
        self.rows = [0, 0]
        # What has been acknowledged: no answer to who asks from now on may be older.
        self.acknowledged = [0, 0]
        self.wrong: list[str] = []
        self.writers = [Renewal(), Renewal()]
        self.steps: dict[str, Iterator[Callable[[], object]]] = {
            "reader": iter((self.read, self.look, self.store)),
            **{f"writer {number}": iter([partial(step, number) for step in (self.mark, self.commit, self.renew)]) for number in (0, 1)},
        }
        if is_warm:
            for step in (self.read, self.look, self.store):
                step()
        self.seen = [0, 0]

    def step(self, who: str) -> None:
        next(self.steps[who])()

    def read(self) -> None:
        self.entry = Entry(KEY, 60)
        body = self.entry.read()
        if body is not None and any(int(text) < least for text, least in zip(body.split(), self.acknowledged, strict=True)):
            self.wrong.append(f"{body!r} was served, {self.acknowledged} is acknowledged")

    def look(self) -> None:
        self.seen = list(self.rows)

    def store(self) -> None:
        self.entry.write(b"%d %d" % tuple(self.seen))

    def mark(self, number: int) -> None:
        self.writers[number].mark({version_name(PREFIXES[number])})

    def commit(self, number: int) -> None:
        self.rows[number] = 1

    def renew(self, number: int) -> None:
        self.writers[number]()
        self.acknowledged[number] = 1

    def check(self) -> list[str]:
        """
        Say what is wrong: an answer that was served too old, or one that would be served now.
        """
        self.acknowledged = list(self.rows)
        self.read()
        return self.wrong


def orders(*whose: str) -> list[tuple[str, ...]]:
    """
    Return every order in which those who are named, once for each of their steps, may take them.
    """
    return sorted(set(itertools.permutations(whose))) if len(whose) < 9 else [shuffled(whose) for _ in range(400)]


def shuffled(whose: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(random.sample(whose, len(whose)))


def problems(server: OwnRedis, order: tuple[str, ...], *, is_warm: bool, lost: tuple[int, bytes] = (-1, b"")) -> list[Any]:
    server.client.flushdb()
    world = World(is_warm=is_warm)
    for number, who in enumerate(order):
        if number == lost[0]:
            server.client.delete(lost[1])
        world.step(who)
    if lost[0] == len(order):
        server.client.delete(lost[1])
    return [(order, lost, is_warm, wrong) for wrong in world.check()]


@pytest.mark.parametrize("is_warm", [True, False])
class TestEveryOrder:
    def test_of_a_reader_and_a_writer(self, server: OwnRedis, is_warm: bool) -> None:
        found = [problems(server, order, is_warm=is_warm) for order in orders(*["reader"] * 3, *["writer 0"] * 3)]

        assert len(found) == 20
        assert list(itertools.chain(*found)) == []

    def test_of_a_reader_and_a_writer_while_any_key_is_lost(self, server: OwnRedis, is_warm: bool) -> None:
        names = [f"entry:{KEY}".encode(), f"lock:{KEY}".encode(), *(version_name(prefix).encode() for prefix in PREFIXES)]
        cases = itertools.product(orders(*["reader"] * 3, *["writer 1"] * 3), range(7), names)

        assert [problem for order, step, key in cases for problem in problems(server, order, is_warm=is_warm, lost=(step, key))] == []

    @pytest.mark.parametrize("steps", [2, 1], ids=["between commit and invalidation", "between mark and commit"])
    def test_of_a_reader_and_a_writer_that_dies(self, server: OwnRedis, is_warm: bool, steps: int) -> None:
        cases = orders(*["reader"] * 3, *["writer 0"] * steps)

        assert [problem for order in cases for problem in problems(server, order, is_warm=is_warm)] == []

    @pytest.mark.parametrize("steps", [3, 2], ids=["both live", "one dies after its commit"])
    def test_of_a_reader_and_two_writers(self, server: OwnRedis, is_warm: bool, steps: int) -> None:
        cases = orders(*["reader"] * 3, *["writer 0"] * 3, *["writer 1"] * steps)

        assert [problem for order in cases for problem in problems(server, order, is_warm=is_warm)] == []


class TestWriters:
    def test_a_mark_lasts_as_long_as_promised_and_no_longer(self, server: OwnRedis) -> None:
        began = time.monotonic()
        Renewal().mark({version_name("things")})
        left = server.client.pttl("version:things")
        took = (time.monotonic() - began) * 1000

        # Redis rounds to milliseconds twice.
        assert MARK_SECONDS * 1000 - took - 2 <= left <= MARK_SECONDS * 1000

    def test_the_mark_of_another_one_stays(self, server: OwnRedis) -> None:
        first, second = Renewal(), Renewal()
        for writer in (first, second):
            writer.mark({version_name("things")})
        first()
        reader = Entry(KEY, 60)

        assert (reader.read(), reader.is_open, reader.write(b"{}")) == (None, False, False)

    def test_many_prefixes_cost_one_round_trip_a_step(self, server: OwnRedis) -> None:
        names, writer = {version_name(f"things:{number}") for number in range(500)}, Renewal()
        Entry(KEY, 60).read()
        # The first script of a kind is loaded.
        for each in (Renewal(), writer):
            each.mark({version_name("other")})
            each()
        before = server.client.info("commandstats")

        writer = Renewal()
        writer.mark(names)
        writer()

        after = server.client.info("commandstats")
        assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 2

    def test_a_full_server_serves_nothing_that_a_write_ended(self, server: OwnRedis) -> None:
        entry = Entry(KEY, 60)
        entry.read()
        assert entry.write(b"old")
        server.client.config_set("maxmemory", 1)

        writer = Renewal()
        writer.mark({version_name("things:a")})
        marked = Entry(KEY, 60).read()
        writer()

        assert (marked, Entry(KEY, 60).read()) == (None, None)


def test_an_entry_is_the_answer_behind_its_versions(server: OwnRedis) -> None:
    entry = Entry(KEY, 60)
    entry.read()
    entry.write(b'{"a": "\n"}')

    redis: Any = server.client
    head, _, body = redis.get(f"entry:{KEY}").partition(b"\n")

    assert body == b'{"a": "\n"}'
    assert head.rpartition(b" ")[0] == b"/".join(redis.mget("version:things", "version:things:a"))
    assert Entry(KEY, 60).read() == body


def test_one_of_many_may_compute(server: OwnRedis) -> None:
    first, second = Entry(KEY, 60), Entry(KEY, 60)

    assert first.read_or_claim() == (None, "")
    first.write(b"{}")

    assert second.read_or_claim() == (b"{}", "hit")
