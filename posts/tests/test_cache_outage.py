"""
The cache's Redis cut off, slow, full and restarted: the API answers from the database, and is right soon after.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from common.models import PendingInvalidation
from common.outages import PAUSE_SECONDS
from common.tests.clocks import machine_clock
from common.tests.proxies import Proxy
from common.tests.redis_commands import OwnRedis
from common.tests.servers import Server, wait_until

from ..models import Post
from .test_cache_faults import BOUND_SECONDS, shown, until_hit, writer_at

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
AWAY, BACK = "Redis of the cache is away", "Redis of the cache is back"
FULL = "Redis of the cache takes no writes"


def logged(server: Server, *sentences: str) -> list[int]:
    text = server.log.read_text(encoding="utf-8")
    return [text.count(sentence) for sentence in sentences]


def assert_one_outage_is_logged(server: Server, sentence: str = AWAY) -> None:
    # Who is answered first may not be who found that it is back.
    wait_until(lambda: logged(server, BACK) != [0], what="the end to be logged")
    assert logged(server, sentence, BACK) == [1, 1]


def outages(server: Server) -> float:
    lines = requests.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith('redis_outages_total{redis="Redis of the cache"}'))


def readiness(server: Server) -> tuple[int, str]:
    response = requests.get(f"{server.url}/health/ready", timeout=30)
    return response.status_code, response.json()["cache"]


def reads_for(seconds: float, server: Server, post: Post) -> list[tuple[float, str, str]]:
    """
    Return of every read in that time how long it took, how the cache answered, and the title.
    """
    reads, ended = [], time.monotonic() + seconds
    with machine_clock() as now:
        while time.monotonic() < ended:
            began = now()
            answer = shown(server, post)
            reads.append((now() - began, *answer))
    return reads


def all_is_made_good(server: Server, post: Post, title: str) -> None:
    """
    Wait until nothing is owed, for no longer than promised; from then on all is right, and cached again.
    """
    wait_until(lambda: not PendingInvalidation.objects.exists(), seconds=BOUND_SECONDS, what="the rows to go")
    assert until_hit(server, post) == {title}


def test_while_it_is_cut_off_answers_are_right_and_soon_after_too(serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
    server = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1")
    retitle = writer_at(server)
    until_hit(server, post)
    assert readiness(server) == (200, "ok")

    proxy.cut()
    before = shown(server, post)
    away = readiness(server)
    written = retitle(post, "New")
    during = reads_for(2, server, post)
    owed = PendingInvalidation.objects.exists()
    proxy.mend()

    assert (before, away, written, owed) == (("off", "Hello"), (200, "down"), 200, True)
    assert {read[1:] for read in during} == {("off", "New")}
    all_is_made_good(server, post, "New")
    assert readiness(server) == (200, "ok")
    assert_one_outage_is_logged(server)
    assert outages(server) == 1


def test_whoever_still_reaches_it_is_right_soon_after(serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
    cut_off, server = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1"), serve(WEB_CONCURRENCY="1")
    retitle = writer_at(cut_off)
    until_hit(server, post)

    proxy.cut()
    assert retitle(post, "New") == 200
    proxy.mend()

    wait_until(lambda: shown(server, post)[1] == "New", seconds=BOUND_SECONDS, what="the new title")
    all_is_made_good(server, post, "New")


def test_a_line_that_breaks_between_commit_and_invalidation_is_made_good(serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
    cut_off, server = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1", CACHE_TIMEOUT_MS="200"), serve(WEB_CONCURRENCY="1")
    retitle = writer_at(cut_off)
    until_hit(server, post)

    # What is held first is the mark, or what comes after it: whichever, the write goes on without.
    proxy.hold_at(b"version:users:alice:posts")
    assert retitle(post, "New") == 200
    assert proxy.is_holding.wait(10)
    proxy.cut()
    proxy.release()
    proxy.mend()

    wait_until(lambda: shown(server, post)[1] == "New", seconds=BOUND_SECONDS, what="the new title")
    all_is_made_good(server, post, "New")


def test_while_it_is_slow_the_timeout_is_waited_for_once_in_a_while(serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
    server = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1", CACHE_TIMEOUT_MS="500")
    retitle = writer_at(server)
    shown(server, post)

    proxy.delay = 1.5
    reads_for(PAUSE_SECONDS / 2, server, post)
    asked = proxy.connections
    seconds = 4 * PAUSE_SECONDS
    during = reads_for(seconds, server, post)
    # Who was told too late begins anew, with a connection of its own.
    asked = proxy.connections - asked
    written = retitle(post, "New")
    after = reads_for(1, server, post)
    proxy.delay = 0.0

    assert {read[1:] for read in during} == {("off", "Hello")}
    assert asked <= seconds / PAUSE_SECONDS + 2 < len(during) / 2
    assert max(read[0] for read in during) < 1
    assert written == 200
    assert {read[1:] for read in after} == {("off", "New")}
    all_is_made_good(server, post, "New")
    assert_one_outage_is_logged(server)


@pytest.fixture(params=["redis-server", "valkey-server"])
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnRedis]:
    redis = OwnRedis(request.param, tmp_path)
    redis.start("--maxmemory-policy", "noeviction")
    yield redis
    redis.client.close()
    redis.stop()


def test_while_it_is_full_answers_are_right(serve: Callable[..., Server], redis: OwnRedis, post: Post) -> None:
    server = serve(REDIS_CACHE_URL=redis.url, WEB_CONCURRENCY="1")
    retitle = writer_at(server)
    until_hit(server, post)

    redis.client.config_set("maxmemory", 1)
    while_full = [(retitle(post, f"New {number}"), {shown(server, post)[1] for _ in range(5)}) for number in range(3)]
    redis.client.config_set("maxmemory", 0)

    assert while_full == [(200, {f"New {number}"}) for number in range(3)]
    all_is_made_good(server, post, "New 2")
    assert_one_outage_is_logged(server, FULL)
    assert logged(server, AWAY) == [0]


def test_a_restart_is_survived(serve: Callable[..., Server], redis: OwnRedis, post: Post) -> None:
    server = serve(REDIS_CACHE_URL=redis.url, WEB_CONCURRENCY="1")
    retitle = writer_at(server)
    until_hit(server, post)

    redis.stop()
    away = reads_for(0.5, server, post)
    written = retitle(post, "New")
    then = reads_for(0.5, server, post)
    redis.start()

    all_is_made_good(server, post, "New")
    assert ({read[2] for read in away}, written, {read[2] for read in then}) == ({"Hello"}, 200, {"New"})
    assert_one_outage_is_logged(server)
