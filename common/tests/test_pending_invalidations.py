"""
A Redis that is away, full or back again, and the invalidations that it missed.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from common.cache import Entry, invalidate
from common.models import PendingInvalidation
from common.outages import PAUSE_SECONDS
from common.replay import replay
from common.tests.servers import wait_until

from . import redis_commands
from .concurrency import at_once, in_thread
from .proxies import Proxy
from .redis_commands import OwnRedis, commands_of

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "things:a:one"


@pytest.fixture(params=["valkey-server", "redis-server"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Iterator[OwnRedis]:
    with redis_commands.own_redis("default", settings, tmp_path, request.param) as server:
        yield server


def store(key: str = KEY) -> bool:
    entry = Entry(key, 60)
    entry.read()
    return entry.write(b'"old"')


def read(key: str = KEY) -> bytes | None:
    return Entry(key, 60).read()


def invalidate_in_a_transaction() -> None:
    with transaction.atomic():
        invalidate("things:a:*")


def connections_to(listener: socket.socket) -> int:
    listener.setblocking(False)
    number = 0
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            number += 1
    return number


def pending() -> list[str]:
    return list(PendingInvalidation.objects.values_list("prefix", flat=True))


class TestAway:
    def test_an_invalidation_is_recorded_and_made_good(self, own_redis: OwnRedis) -> None:
        own_redis.stop()

        invalidate_in_a_transaction()

        assert pending() == ["things:a"]
        own_redis.start()
        wait_until(lambda: not pending(), what="the replay")
        assert own_redis.client.exists("version:things:a")

    def test_what_is_rolled_back_is_not_recorded(self, own_redis: OwnRedis) -> None:
        own_redis.stop()

        with transaction.atomic():
            invalidate("things:a:*")
            transaction.set_rollback(True)

        assert pending() == []

    def test_without_a_transaction_it_is_recorded_too(self, own_redis: OwnRedis) -> None:
        own_redis.stop()

        invalidate("things:a:*")

        assert pending() == ["things:a"]

    def test_a_redis_that_goes_between_call_and_commit_is_told_later(self, own_redis: OwnRedis) -> None:
        with transaction.atomic():
            invalidate("things:a:*")
            own_redis.stop()

        assert pending() == ["things:a"]
        own_redis.start()
        wait_until(lambda: not pending(), what="the replay")

    def test_a_process_that_finds_it_back_replays_what_another_recorded(self, own_redis: OwnRedis) -> None:
        own_redis.stop()
        assert read() is None
        PendingInvalidation.objects.create(prefix="things:a")
        own_redis.start()

        wait_until(lambda: read() is None and not pending(), what="the replay")

    def test_beat_replays_what_a_dead_process_left(self, start_worker: Callable[..., Any]) -> None:
        assert store()
        PendingInvalidation.objects.create(prefix="things:a")
        start_worker(beat=True)

        wait_until(lambda: not pending(), seconds=60, what="beat")

        assert read() is None

    def test_it_is_logged_once_and_so_is_its_end(self, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "common"):
            own_redis.stop()
            for _ in range(3):
                read()
                invalidate_in_a_transaction()
            own_redis.start()
            wait_until(store, what="Redis to be found")

        messages = [message.partition(":")[0] for message in caplog.messages if message.startswith("Redis of the cache")]
        assert messages == ["Redis of the cache is away, answering from the database", "Redis of the cache is back"]

    def test_reads_do_not_wait_for_it_each_time(self, settings: Any) -> None:
        default = settings.CACHES["default"]
        options = {**default["OPTIONS"], "SOCKET_TIMEOUT": 0.2, "SOCKET_CONNECT_TIMEOUT": 0.2}
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            settings.CACHES = {**settings.CACHES, "default": {**default, "LOCATION": url, "OPTIONS": options}}
            started = time.monotonic()
            assert [read() for _ in range(100)] == [None] * 100
            took = time.monotonic() - started
            asked = connections_to(silent)

        assert took >= 0.2
        assert 1 <= asked <= 1 + took / PAUSE_SECONDS


class TestReplay:
    def test_a_row_that_is_committed_meanwhile_is_not_removed_unseen(self, proxy: Proxy, settings: Any) -> None:
        PendingInvalidation.objects.create(prefix="things:a")

        with commands_of("default") as commands, ThreadPoolExecutor(1) as pool:
            redis_commands.locate(settings, "default", proxy.url)
            proxy.hold_at(b"version:things:a")
            replayed = in_thread(replay, pool)
            assert proxy.is_holding.wait(20)
            PendingInvalidation.objects.create(prefix="things:a")
            proxy.release()
            assert replayed.result(20)

        # The second row was owed, and given, an invalidation of its own.
        assert commands == ["EVALSHA", "EVALSHA"]
        assert pending() == []

    def test_two_at_once_do_no_harm(self) -> None:
        PendingInvalidation.objects.bulk_create([PendingInvalidation(prefix=f"things:{number}") for number in range(50)])

        assert at_once(replay, replay, replay) == [True, True, True]
        assert pending() == []

    def test_more_than_a_batch_is_done(self) -> None:
        PendingInvalidation.objects.bulk_create([PendingInvalidation(prefix=f"things:{number}") for number in range(1001)])

        assert replay()
        assert pending() == []

    def test_nothing_is_removed_while_redis_is_away(self, own_redis: OwnRedis) -> None:
        PendingInvalidation.objects.create(prefix="things:a")
        own_redis.stop()

        assert not replay()
        assert pending() == ["things:a"]

    def test_a_row_says_what_it_is_about(self) -> None:
        assert str(PendingInvalidation(prefix="things:a")) == "things:a"


class TestFull:
    @pytest.fixture
    def full_redis(self, own_redis: OwnRedis) -> OwnRedis:
        assert store()
        assert store("things:b:one")
        own_redis.client.config_set("maxmemory", 1)
        return own_redis

    def test_what_it_holds_is_served(self, full_redis: OwnRedis) -> None:
        assert read() == b'"old"'

    def test_nothing_is_stored(self, full_redis: OwnRedis) -> None:
        assert not store("things:a:two")
        assert read() == b'"old"'

    def test_it_is_down(self, full_redis: OwnRedis, client: APIClient) -> None:
        assert client.get("/health/ready").json()["cache"] == "down"

    def test_an_invalidation_takes_effect_and_touches_nothing_else(self, full_redis: OwnRedis) -> None:
        with transaction.atomic():
            invalidate("things:a:*")
            assert read() is None

        assert read() is None
        assert read("things:b:one") == b'"old"'

    def test_it_is_logged_once_and_so_is_its_end(self, full_redis: OwnRedis, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "common"):
            for _ in range(3):
                store("things:a:two")
                read()
            full_redis.client.config_set("maxmemory", 0)
            wait_until(lambda: store("things:a:two"), what="room")

        messages = [message.partition(":")[0] for message in caplog.messages if message.startswith("Redis of the cache")]
        assert messages == ["Redis of the cache takes no writes, storing nothing", "Redis of the cache is back"]

    def test_a_replica_is_told_once_it_takes_writes(self, own_redis: OwnRedis) -> None:
        assert store()
        own_redis.client.replicaof("127.0.0.1", "1")

        invalidate_in_a_transaction()

        assert pending() == ["things:a"]
        own_redis.client.replicaof("NO", "ONE")
        wait_until(lambda: not pending(), what="the replay")
        assert read() is None
