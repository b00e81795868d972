"""
The worst moments of a read and of a write: real processes, killed for real, and a line to Redis that a test holds up.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.db import connection, transaction

from common.models import PendingInvalidation
from common.tests.concurrency import in_background, waiting
from common.tests.proxies import Proxy
from common.tests.servers import Server, wait_until
from conftest import PASSWORD

from ..models import Post
from .factories import make_post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
# For so long an answer may be stale that could not be invalidated at once, and a writer that died keeps answers out of the cache.
BOUND_SECONDS = 10
# Longer than any line is held here: a test decides when a reader or a writer goes on.
PATIENT = {"CACHE_TIMEOUT_MS": "10000", "WEB_CONCURRENCY": "1"}


def shown(server: Server, post: Post) -> tuple[str, str]:
    """
    Return how the cache answered, and the title.
    """
    response = requests.get(f"{server.api}/alice/post/{post.pk}", timeout=30)
    return response.headers["X-Cache"], response.json()["title"]


def writer_at(server: Server) -> Callable[[Post, str], int]:
    login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}

    def retitle(post: Post, title: str) -> int:
        url = f"{server.api}/alice/post/{post.pk}"
        return requests.patch(url, json={"title": title}, headers=headers, timeout=30).status_code

    return retitle


def stored_title(post: Post) -> str:
    return Post.objects.values_list("title", flat=True).get(pk=post.pk)


def until_hit(server: Server, post: Post) -> set[str]:
    """
    Read until the cache answers, and return every title that was shown on the way; no writer keeps it out for longer than promised.
    """
    titles, ended = set(), time.monotonic() + BOUND_SECONDS

    def is_hit() -> bool:
        is_late = time.monotonic() > ended
        result, title = shown(server, post)
        titles.add(title)
        assert not (is_late and result == "off")
        return result == "hit"

    wait_until(is_hit, seconds=BOUND_SECONDS + 20, what="a hit")
    return titles


class TestSlowReader:
    def test_what_a_write_overtook_is_not_served(self, serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
        slow, fast = serve(REDIS_CACHE_URL=proxy.url, **PATIENT), serve(WEB_CONCURRENCY="1")
        retitle = writer_at(fast)
        # The answer itself is what it sends to be stored.
        proxy.hold_at(b'"title":"Hello"')

        with in_background(lambda: shown(slow, post)) as early:
            assert proxy.is_holding.wait(10)
            assert retitle(post, "New") == 200
            proxy.release()
            assert early.result(30)[1] == "Hello"

        assert until_hit(fast, post) == {"New"}

    def test_what_it_gave_up_to_store_is_not_served_when_it_arrives(self, serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
        slow, fast = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1", CACHE_TIMEOUT_MS="200"), serve(WEB_CONCURRENCY="1")
        retitle = writer_at(fast)
        proxy.hold_at(b'"title":"Hello"')

        assert shown(slow, post) == ("off", "Hello")
        assert retitle(post, "New") == 200
        proxy.release()

        assert until_hit(slow, post) == until_hit(fast, post) == {"New"}

    def test_what_it_read_while_its_author_was_renamed_is_not_served(self, serve: Callable[..., Server], post: Post) -> None:
        server = serve(WEB_CONCURRENCY="1")

        with in_background(lambda: requests.get(f"{server.api}/alice/posts", timeout=30)) as early:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE posts_post IN ACCESS EXCLUSIVE MODE")
                wait_until(waiting, what="the reader to ask for alice's posts")
                post.author.username = "alicia"
                post.author.save()
            # It sees them as they were when it got its turn.
            assert early.result(30).status_code == 404

        assert [requests.get(f"{server.api}/{name}/posts", timeout=30).status_code for name in ("alice", "alicia")] == [404, 200]


class TestWriterThatDies:
    def test_between_its_commit_and_the_invalidation(self, serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
        doomed, server = serve(REDIS_CACHE_URL=proxy.url, **PATIENT), serve(WEB_CONCURRENCY="1")
        retitle = writer_at(doomed)
        assert until_hit(server, post) == {"Hello"}

        with in_background(lambda: retitle(post, "New")):
            with transaction.atomic():
                Post.objects.select_for_update().get(pk=post.pk)
                wait_until(waiting, what="the writer, who has set its mark, to meet the lock")
                proxy.hold()
            wait_until(lambda: stored_title(post) == "New", what="the commit")
            os.killpg(doomed.process.pid, signal.SIGKILL)

        assert shown(server, post) == ("off", "New")
        assert until_hit(server, post) == {"New"}

    def test_while_redis_was_away(self, serve: Callable[..., Server], start_worker: Callable[..., Any], proxy: Proxy, post: Post) -> None:
        doomed, server = serve(REDIS_CACHE_URL=proxy.url, WEB_CONCURRENCY="1"), serve(WEB_CONCURRENCY="1")
        retitle = writer_at(doomed)
        assert until_hit(server, post) == {"Hello"}

        proxy.cut()
        assert retitle(post, "New") == 200
        os.killpg(doomed.process.pid, signal.SIGKILL)
        assert PendingInvalidation.objects.exists()
        start_worker(beat=True)

        wait_until(lambda: shown(server, post)[1] == "New", seconds=BOUND_SECONDS, what="the new title")
        wait_until(lambda: not PendingInvalidation.objects.exists(), seconds=BOUND_SECONDS, what="the rows to go")
        assert until_hit(server, post) == {"New"}

    def test_before_its_commit(self, serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
        doomed, server = serve(REDIS_CACHE_URL=proxy.url, **PATIENT), serve(WEB_CONCURRENCY="1")
        retitle = writer_at(doomed)

        with in_background(lambda: retitle(post, "New")), transaction.atomic():
            Post.objects.select_for_update().get(pk=post.pk)
            wait_until(waiting, what="the writer to meet the lock")
            os.killpg(doomed.process.pid, signal.SIGKILL)

        # What it wrote was never committed.
        assert until_hit(server, post) == {"Hello"}

    def test_while_another_one_goes_on(self, serve: Callable[..., Server], proxy: Proxy, post: Post) -> None:
        doomed, server = serve(REDIS_CACHE_URL=proxy.url, **PATIENT), serve(WEB_CONCURRENCY="1")
        retitle, retitle_too = writer_at(doomed), writer_at(server)
        other = make_post(post.author, title="Other")
        assert until_hit(server, post) == {"Hello"}

        with in_background(lambda: retitle(post, "New")):
            with transaction.atomic():
                Post.objects.select_for_update().get(pk=post.pk)
                wait_until(waiting, what="the writer to meet the lock")
                proxy.hold()
            wait_until(lambda: stored_title(post) == "New", what="the commit")
            # It marks and renews the same prefix, and must leave the mark of the one that is still in flight.
            assert retitle_too(other, "Newer") == 200
            os.killpg(doomed.process.pid, signal.SIGKILL)

        assert shown(server, post) == ("off", "New")
        assert until_hit(server, post) == {"New"}
