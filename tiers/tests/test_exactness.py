"""
Exactly `limit` calls are admitted in a window, however many arrive at once, in however many processes.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.core.cache import caches

from common.tests.api_calls import signed_in
from common.tests.servers import Server, wait_until
from tiers.models import RateLimit, Tier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PERIOD = 3


def redis_time() -> float:
    seconds, microseconds = caches["throttle"].client.get_client().time()  # type: ignore[attr-defined]
    return float(seconds) + float(microseconds) / 1_000_000


@pytest.fixture
def alice_in_free(alice: Any, free: Tier) -> Any:
    alice.tier = free
    alice.save()
    return alice


def test_of_60_calls_at_once_in_4_processes_exactly_the_limit_is_admitted_20_times(
    serve: Callable[..., Server], alice_in_free: Any, free: Tier
) -> None:
    RateLimit.objects.create(tier=free, path="api_v1_user_me", limit=10, period=31_536_000)
    server = serve(WEB_CONCURRENCY="4")
    headers = signed_in(server, "alice")

    def call(_: int) -> requests.Response:
        return requests.get(f"{server.api}/user/me/", headers=headers, timeout=30)

    found = []
    with ThreadPoolExecutor(60) as pool:
        for _ in range(20):
            responses = list(pool.map(call, range(60)))
            found.append(Counter(response.status_code for response in responses))
            assert sorted(int(response.headers["X-RateLimit-Remaining"]) for response in responses if response.ok) == list(range(10))
            caches["throttle"].clear()

    assert found == [{200: 10, 429: 50}] * 20


def test_across_window_boundaries_each_window_admits_exactly_the_limit(
    serve: Callable[..., Server], alice_in_free: Any, free: Tier
) -> None:
    RateLimit.objects.create(tier=free, path="api_v1_user_me", limit=7, period=PERIOD)
    server = serve(WEB_CONCURRENCY="2")
    headers = signed_in(server, "alice")
    wait_until(lambda: redis_time() % PERIOD < 0.3, what="a window to begin")
    begin = redis_time()
    # The calls begin early in a window and end in the middle of the third.
    end = begin - begin % PERIOD + 2.5 * PERIOD

    def call_all_the_time(_: int) -> int:
        admitted = 0
        with requests.Session() as session:
            while redis_time() < end:
                admitted += session.get(f"{server.api}/user/me/", headers=headers, timeout=30).ok
                time.sleep(0.02)
        return admitted

    with ThreadPoolExecutor(6) as pool:
        admitted = sum(pool.map(call_all_the_time, range(6)))
    passed = redis_time() // PERIOD - begin // PERIOD + 1

    redis = caches["throttle"].client.get_client()  # type: ignore[attr-defined]
    # A call that was held up may have come in a window after these.
    windows = [int(redis.get(key)) for key in redis.keys("limit:api_v1_user_me:*")]
    assert sum(windows) == admitted
    assert max(windows) == 7
    assert windows.count(7) >= 3
    assert len(windows) <= passed


def test_whoever_waits_as_long_as_told_is_admitted(serve: Callable[..., Server], alice_in_free: Any, free: Tier) -> None:
    RateLimit.objects.create(tier=free, path="api_v1_user_me", limit=1, period=2)
    server = serve(WEB_CONCURRENCY="2")
    headers = signed_in(server, "alice")

    def call() -> requests.Response:
        return requests.get(f"{server.api}/user/me/", headers=headers, timeout=30)

    for _ in range(3):
        wait = wait_until(lambda: call().headers.get("Retry-After"), what="a refusal")
        time.sleep(int(wait))
        assert call().status_code == 200
