"""
The cache's Redis slow, cut off and gone at the worst moment of a read or a write: real servers, real processes, a line that a test holds up.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from django.db import connection, transaction

from common.tests.concurrency import in_background, waiting
from common.tests.proxies import Proxy, proxied
from conftest import PASSWORD, Server, wait_until

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)
# How long an answer may be stale once Redis can be reached again, and how long a writer that died keeps answers out of the cache.
BOUND_SECONDS = 10
# Long enough that a line that is held does not look like an outage.
PATIENT = {"CACHE_TIMEOUT_MS": "15000"}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxied(os.environ["REDIS_CACHE_URL"]) as proxy:
        yield proxy


@pytest.fixture
def post(alice: Any) -> Post:
    return make_post(alice)


def read(server: Server, path: str) -> requests.Response:
    return requests.get(f"{server.api}/{path}", timeout=30)


def title(server: Server, post: Post) -> str:
    return str(read(server, f"alice/post/{post.pk}").json()["title"])


def writer_for(server: Server) -> Callable[..., requests.Response]:
    login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}

    def patch(post: Post, title: str) -> requests.Response:
        return requests.patch(f"{server.api}/alice/post/{post.pk}", json={"title": title}, headers=headers, timeout=30)

    return patch


def fill(server: Server, post: Post) -> None:
    assert [read(server, f"alice/post/{post.pk}").headers["X-Cache"] for _ in range(2)] == ["miss", "hit"]


def stored_title(post: Post) -> str:
    return Post.objects.values_list("title", flat=True).get(pk=post.pk)


@contextmanager
def row_held(post: Post) -> Iterator[None]:
    """
    Lock the post's row, so that a write waits between its mark and its commit.
    """
    with transaction.atomic():
        Post.objects.select_for_update().get(pk=post.pk)
        yield


class TestLateReader:
    def test_an_answer_that_a_write_overtook_is_stored_too_late_to_be_served(
        self, serve: Callable[..., Server], proxy: Proxy, post: Post
    ) -> None:
        slow, fast = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1", **PATIENT), serve(WEB_CONCURRENCY="1")
        patch = writer_for(fast)
        # What is stored is the answer itself, so the line is held when the answer is on its way to Redis.
        proxy.hold_at(b'"title":"Hello"')

        with in_background(lambda: title(slow, post)) as early:
            assert proxy.is_holding.wait(10)
            assert patch(post, "New").status_code == 200
            proxy.release()

            assert early.result(30) == "Hello"
        assert [title(fast, post) for _ in range(2)] == ["New", "New"]

    def test_a_reader_that_gave_up_cannot_store_it_later_either(self, serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
        slow, fast = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1"), serve(WEB_CONCURRENCY="1")
        patch = writer_for(fast)
        proxy.hold_at(b'"title":"Hello"')

        # It waits for CACHE_TIMEOUT_MS alone and answers; the command still waits in the line.
        assert title(slow, post) == "Hello"
        assert patch(post, "New").status_code == 200
        proxy.release()
        wait_until(lambda: title(slow, post) == "New", what="the new title")

        assert [title(fast, post) for _ in range(3)] == ["New"] * 3

    def test_an_answer_read_partly_before_a_rename_is_not_served_after(self, serve: Callable[..., Server], post: Post) -> None:
        server = serve(WEB_CONCURRENCY="2")
        with transaction.atomic():
            # The reader has found alice and waits for her posts.
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE posts_post IN ACCESS EXCLUSIVE MODE")
            with in_background(lambda: read(server, "alice/posts")) as early:
                wait_until(waiting, what="the reader to meet the lock")
                rename(post.author, "alicia")
                transaction.set_rollback(False)
                finish = early
                connection.commit() if False else None
        finish.result(30)

        assert read(server, "alice/posts").status_code == 404


def rename(user: Any, username: str) -> None:
    user.username = username
    user.save()
