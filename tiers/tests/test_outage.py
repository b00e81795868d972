"""
While Redis is away, limits are counted in each process: never off, and nobody is locked out.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from common.outages import PAUSE_SECONDS
from common.tests.api_calls import signed_in
from common.tests.proxies import proxied
from common.tests.redis_commands import OwnRedis
from common.tests.servers import Server, wait_until
from config.tests.environment import PATIENCE

from ..models import RateLimit, Tier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

AWAY = "Redis of the rate limits is away, counting in the process"
BACK = "Redis of the rate limits is back"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis("valkey-server", tmp_path)
    server.start()
    yield server
    server.stop()


class Caller:
    """
    Alice, who may call `user/me` five times in each year.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.headers = signed_in(server, "alice")

    def call(self) -> requests.Response:
        return requests.get(f"{self.server.api}/user/me/", headers=self.headers, timeout=10)

    def statuses(self, number: int) -> list[int]:
        return [self.call().status_code for _ in range(number)]

    def remaining(self) -> int:
        return int(self.call().headers["X-RateLimit-Remaining"])

    def used(self) -> int:
        limits = requests.get(f"{self.server.api}/user/me/rate_limits", headers=self.headers, timeout=10).json()["data"]
        return int(next(limit["used"] for limit in limits if limit["path"] == "api_v1_user_me"))

    def state(self) -> str:
        return str(requests.get(f"{self.server.url}/health/ready", timeout=10).json()["rate_limit"])

    def logged(self) -> tuple[int, int]:
        log = self.server.log.read_text()
        return log.count(AWAY), log.count(BACK)


@pytest.fixture(autouse=True)
def limit(alice: Any, free: Tier) -> None:
    RateLimit.objects.create(tier=free, path="api_v1_user_me", limit=5, period=31_536_000)
    alice.tier = free
    alice.save()


@pytest.fixture
def caller(serve: Callable[..., Server], valkey: OwnRedis) -> Caller:
    # A machine that stalls is no Redis that is away.
    url = f"{valkey.url}?socket_timeout={PATIENCE}&socket_connect_timeout={PATIENCE}"
    return Caller(serve(WEB_CONCURRENCY="1", REDIS_RATE_LIMIT_URL=url))


def test_a_redis_that_dies_and_comes_back(caller: Caller, valkey: OwnRedis) -> None:
    assert caller.statuses(2) == [200, 200]
    assert caller.state() == "ok"

    valkey.kill()

    # The process begins with nothing of its own, and holds to the limit.
    assert caller.statuses(7) == [200] * 5 + [429] * 2
    assert caller.state() == "down"
    assert caller.logged() == (1, 0)

    valkey.start()
    # It was kept in memory only, so Redis begins anew too.
    wait_until(lambda: caller.remaining() == 4, what="counting in Redis")
    assert caller.statuses(5) == [200] * 4 + [429]
    assert caller.state() == "ok"
    assert caller.logged() == (1, 1)
    metrics = requests.get(f"{caller.server.url}/metrics", timeout=10).text
    assert 'redis_outages_total{redis="Redis of the rate limits"} 1.0' in metrics


def test_a_redis_that_takes_no_writes_is_away(caller: Caller, valkey: OwnRedis) -> None:
    assert caller.remaining() == 4
    valkey.client.config_set("maxmemory", 1)

    assert caller.statuses(7) == [200] * 5 + [429] * 2
    for _ in range(3):
        time.sleep(PAUSE_SECONDS)
        # What only reads would find Redis well.
        assert caller.used() == 5
        assert caller.call().status_code == 429
    assert caller.state() == "down"
    assert caller.logged() == (1, 0)

    valkey.client.config_set("maxmemory", 0)
    wait_until(lambda: caller.remaining() in (1, 2, 3), what="counting in Redis")
    assert caller.state() == "ok"
    assert caller.logged() == (1, 1)


def test_a_redis_that_hangs_costs_its_timeout_once_in_a_while(serve: Callable[..., Server], valkey: OwnRedis) -> None:
    with proxied(valkey.url) as proxy:
        caller = Caller(serve(WEB_CONCURRENCY="1", REDIS_RATE_LIMIT_URL=proxy.url))
        assert caller.remaining() == 4
        before = proxy.connections

        proxy.hold()
        began, took, statuses = time.monotonic(), [], []
        for _ in range(40):
            called_at = time.monotonic()
            statuses.append(caller.call().status_code)
            took.append(time.monotonic() - called_at)
        passed = time.monotonic() - began

        assert statuses == [200] * 5 + [429] * 35
        assert 0.25 <= max(took) < 3
        # The first call waits, and then one in each pause at most.
        assert proxy.is_holding.is_set()
        assert proxy.connections - before <= 1 + passed / PAUSE_SECONDS
        assert caller.logged() == (1, 0)

        proxy.release()
        wait_until(lambda: caller.call() is not None and caller.logged() == (1, 1), what="Redis to be back")
        assert caller.remaining() <= 3


def test_a_server_that_starts_without_redis_limits_too(serve: Callable[..., Server], valkey: OwnRedis) -> None:
    valkey.kill()

    caller = Caller(serve(WEB_CONCURRENCY="1", REDIS_RATE_LIMIT_URL=valkey.url))

    assert caller.statuses(6) == [200] * 5 + [429]
