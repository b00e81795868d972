"""
Of many who miss the same answer at once one computes it, in whatever process.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from django.db import connection, transaction

from common.tests.clocks import machine_clock
from common.tests.concurrency import waiting
from common.tests.servers import Server, wait_until

from ..models import Post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
AT_ONCE = 100
# How long those who wait go on waiting for one who died.
LOCK_PATIENCE = 2.0
# gunicorn has 22 threads more than may hash: four processes of these can hold 100 requests.
ROOMY = {"WEB_CONCURRENCY": "1", "PASSWORD_HASH_CONCURRENCY": "8"}
Ask = Callable[..., "list[Future[requests.Response]]"]


@pytest.fixture
def start(serve: Callable[..., Server]) -> Callable[..., Server]:
    """
    Start a server, and wait for its process and not only for its port.
    """

    def start(**variables: str) -> Server:
        server = serve(**variables)
        requests.get(f"{server.api}/tiers?cursor=", timeout=30)
        return server

    return start


@pytest.fixture
def ask() -> Iterator[Ask]:
    """
    Ask servers for a path many times at once, by turns: `ask(servers, path, times)`.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield lambda servers, path, times: [
            pool.submit(requests.get, f"{servers[number % len(servers)].api}/{path}", timeout=30) for number in range(times)
        ]


@contextmanager
def posts_held() -> Iterator[None]:
    """
    Let nobody read posts from the database.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE posts_post IN ACCESS EXCLUSIVE MODE")
        yield


def most_waiting(seconds: float) -> int:
    """
    Return how many at most waited for the database at once, in the next seconds.
    """
    deadline = time.monotonic() + seconds
    most = 0
    while time.monotonic() < deadline:
        most = max(most, waiting())
    return most


def test_of_100_at_once_one_computes_over_four_processes(start: Callable[..., Server], ask: Ask, post: Post) -> None:
    servers = [start(**ROOMY) for _ in range(4)]

    for path in ("alice/posts", f"alice/post/{post.pk}"):
        with posts_held():
            calls = ask(servers, path, AT_ONCE)
            wait_until(waiting, what="the first to compute")
            # Well before the patience of the others ends; whoever comes later is among the hits.
            computing = most_waiting(LOCK_PATIENCE / 8)
        responses = [call.result() for call in calls]

        assert computing == 1
        assert Counter(response.headers["X-Cache"] for response in responses) == {"miss": 1, "hit": AT_ONCE - 1}
        assert {(response.status_code, response.content) for response in responses} == {(200, responses[0].content)}


def test_who_waits_for_one_that_died_goes_on_within_the_patience(start: Callable[..., Server], ask: Ask, post: Post) -> None:
    doomed, server = start(WEB_CONCURRENCY="1"), start(WEB_CONCURRENCY="1")
    with posts_held():
        ask([doomed], "alice/posts", 1)
        wait_until(waiting, what="the first to compute")
        os.killpg(doomed.process.pid, signal.SIGKILL)
        calls = ask([server], "alice/posts", 10)
    with machine_clock() as now:
        began = now()
        responses = [call.result() for call in calls]
        waited = now() - began

    assert waited < LOCK_PATIENCE + 1
    assert [response.json()["total_count"] for response in responses] == [1] * 10
    assert ask([server], "alice/posts", 1)[0].result().headers["X-Cache"] == "hit"


def test_who_waits_for_an_error_gets_it_too(start: Callable[..., Server], ask: Ask, post: Post) -> None:
    server = start(WEB_CONCURRENCY="1")

    with posts_held():
        calls = ask([server], f"alice/post/{post.pk + 1}", 20)
        wait_until(waiting, what="the first to compute")
    with machine_clock() as now:
        began = now()
        responses = [call.result() for call in calls]
        waited = now() - began

    assert {(response.status_code, response.json()["detail"]) for response in responses} == {(404, "Post not found")}
    assert waited < LOCK_PATIENCE + 1


def test_who_waits_gets_nothing_that_a_write_ended(start: Callable[..., Server], ask: Ask, post: Post) -> None:
    server = start(WEB_CONCURRENCY="1")
    with posts_held():
        calls = ask([server], "alice/posts", 10)
        wait_until(waiting, what="the first to compute")
        Post.objects.get(pk=post.pk).soft_delete()
    during = {call.result().json()["total_count"] for call in calls}

    assert during <= {0, 1}
    assert [call.result().json()["total_count"] for call in ask([server], "alice/posts", 10)] == [0] * 10
