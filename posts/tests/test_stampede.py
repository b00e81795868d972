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
from typing import Any

import pytest
import requests
from django.db import connection, transaction

from common.tests.concurrency import waiting
from conftest import Server, wait_until

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 100
# How long those who wait go on waiting for one who died.
LOCK_PATIENCE = 2.0
# gunicorn has 22 threads more than may hash: four processes of these can hold 100 requests.
ROOMY = {"WEB_CONCURRENCY": "4", "PASSWORD_HASH_CONCURRENCY": "16"}


@pytest.fixture
def post(alice: Any) -> Post:
    return make_post(alice)


@pytest.fixture
def crowd() -> Iterator[Callable[..., "list[Future[requests.Response]]"]]:
    """
    Ask for a path many times at once: `crowd(server, path, times)`.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield lambda server, path, times=AT_ONCE: [pool.submit(requests.get, f"{server.api}/{path}", timeout=30) for _ in range(times)]


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


@pytest.mark.parametrize("path", ["alice/posts", "alice/post/{id}"])
def test_of_100_at_once_one_computes_over_four_processes(
    serve: Callable[..., Server], crowd: Callable[..., Any], post: Post, path: str
) -> None:
    server = serve(**ROOMY)

    with posts_held():
        calls = crowd(server, path.format(id=post.pk))
        computing = most_waiting(LOCK_PATIENCE / 2)
    responses = [call.result() for call in calls]

    assert computing == 1
    assert Counter(response.headers["X-Cache"] for response in responses) == {"miss": 1, "hit": AT_ONCE - 1}
    assert {(response.status_code, response.content) for response in responses} == {(200, responses[0].content)}


def test_who_waits_for_one_that_died_goes_on_within_the_patience(
    serve: Callable[..., Server], crowd: Callable[..., Any], post: Post
) -> None:
    doomed, server = serve(WEB_CONCURRENCY="1"), serve(WEB_CONCURRENCY="2")
    with posts_held():
        crowd(doomed, "alice/posts", 1)
        wait_until(waiting, what="the first to compute")
        os.killpg(doomed.process.pid, signal.SIGKILL)
    began = time.monotonic()

    responses = [call.result() for call in crowd(server, "alice/posts", 10)]

    assert time.monotonic() - began < LOCK_PATIENCE + 1
    assert [response.json()["total_count"] for response in responses] == [1] * 10
    assert wait_until(lambda: requests.get(f"{server.api}/alice/posts", timeout=30).headers["X-Cache"] == "hit", what="a hit")


def test_who_waits_for_an_error_gets_it_too(serve: Callable[..., Server], crowd: Callable[..., Any], post: Post) -> None:
    server = serve(WEB_CONCURRENCY="2")

    with posts_held():
        calls = crowd(server, f"alice/post/{post.pk + 1}", 20)
        wait_until(waiting, what="the first to compute")
    began = time.monotonic()
    responses = [call.result() for call in calls]

    assert {(response.status_code, response.json()["detail"]) for response in responses} == {(404, "Post not found")}
    assert time.monotonic() - began < LOCK_PATIENCE + 1


def test_who_waits_gets_nothing_that_a_write_overtook(serve: Callable[..., Server], crowd: Callable[..., Any], post: Post) -> None:
    server = serve(WEB_CONCURRENCY="2")
    with posts_held():
        calls = crowd(server, "alice/posts", 10)
        wait_until(waiting, what="the first to compute")
        Post.objects.get(pk=post.pk).soft_delete()
    began_before = [call.result().json()["total_count"] for call in calls]

    assert set(began_before) <= {0, 1}
    assert [call.result().json()["total_count"] for call in crowd(server, "alice/posts", 10)] == [0] * 10
