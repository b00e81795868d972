"""
After every write the next read is right, and a hit is the same answer as a miss.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import caches
from django.db import transaction
from pytest_django import Settings
from rest_framework.test import APIClient

from common.cache import Entry, invalidate
from common.tests.answers import refused, said
from common.tests.concurrency import in_thread
from conftest import make_user

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)


def url(post: Post, username: str = "alice") -> str:
    return f"/api/v1/{username}/post/{post.pk}"


class TestHits:
    @pytest.mark.parametrize("path", ["/api/v1/alice/posts", "/api/v1/alice/posts?page=1&items_per_page=1", "post"])
    def test_the_second_read_is_a_hit_with_the_same_answer(self, client: APIClient, post: Post, path: str) -> None:
        path = url(post) if path == "post" else path

        first, second = client.get(path), client.get(path)

        assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
        assert second.content == first.content
        assert {name: second[name] for name in ("Content-Type", "Cache-Control", "ETag", "Vary")} == {
            name: first[name] for name in ("Content-Type", "Cache-Control", "ETag", "Vary")
        }

    def test_a_hit_serves_everybody(self, client: APIClient, client_for: Callable[[Any], APIClient], bob: Any, post: Post) -> None:
        client.get(url(post))

        assert client_for(bob).get(url(post))["X-Cache"] == "hit"

    def test_head_is_a_hit_too_and_has_no_body(self, client: APIClient, post: Post) -> None:
        client.get(url(post))

        response = client.head(url(post))

        assert (response["X-Cache"], response.content) == ("hit", b"")

    def test_head_fills_the_cache_with_the_whole_answer(self, client: APIClient, post: Post) -> None:
        client.head(url(post))

        response = client.get(url(post))

        assert (response["X-Cache"], response.json()["id"]) == ("hit", post.pk)

    @pytest.mark.parametrize("query", ["?page=1", "?items_per_page=10", "?page=1&items_per_page=10&unknown=1", "?page=3&page=1"])
    def test_the_same_page_is_one_entry_however_it_is_asked_for(self, client: APIClient, post: Post, query: str) -> None:
        client.get("/api/v1/alice/posts")

        assert client.get(f"/api/v1/alice/posts{query}")["X-Cache"] == "hit"

    @pytest.mark.parametrize("query", ["?page=2", "?items_per_page=11"])
    def test_another_page_or_size_is_another_entry(self, client: APIClient, post: Post, query: str) -> None:
        client.get("/api/v1/alice/posts")

        assert client.get(f"/api/v1/alice/posts{query}")["X-Cache"] == "miss"

    def test_pages_past_the_end_make_no_entries(self, client: APIClient, post: Post) -> None:
        for number in range(2, 20):
            assert client.get(f"/api/v1/alice/posts?page={number}").json()["data"] == []

        redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
        assert redis.keys("entry:users:*") == []

    def test_a_cursor_is_not_cached(self, client: APIClient, post: Post) -> None:
        client.get("/api/v1/alice/posts?cursor=")

        assert "X-Cache" not in client.get("/api/v1/alice/posts?cursor=")

    @pytest.mark.parametrize(("path", "seconds"), [("posts", 60), ("post", 3600)])
    def test_an_entry_expires_after_the_promised_time(self, client: APIClient, post: Post, path: str, seconds: int) -> None:
        client.get("/api/v1/alice/posts" if path == "posts" else url(post))

        redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
        (entry,) = redis.keys("entry:*")
        assert seconds - 5 <= redis.ttl(entry) <= seconds

    def test_an_entry_that_lost_its_version_is_not_served(self, client: APIClient, post: Post) -> None:
        client.get(url(post))

        redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
        redis.delete("version:users:alice")

        assert client.get(url(post))["X-Cache"] == "miss"


class TestErrors:
    def test_a_user_who_was_not_found_is_found_once_registered(self, client: APIClient) -> None:
        client.get("/api/v1/carol/posts")

        make_user("carol")

        assert client.get("/api/v1/carol/posts").status_code == 200

    def test_a_post_that_was_not_found_is_found_once_it_is_there(self, client: APIClient, post: Post) -> None:
        number = post.pk + 1
        assert "X-Cache" not in client.get(f"/api/v1/alice/post/{number}")

        make_post(post.author, id=number, title="New")

        assert client.get(f"/api/v1/alice/post/{number}").json()["title"] == "New"

    def test_a_bad_page_is_refused_while_the_list_is_cached(self, client: APIClient, post: Post) -> None:
        client.get("/api/v1/alice/posts")

        assert refused(client.get("/api/v1/alice/posts?page=0")) == [("greater_than_equal", ["query", "page"])]


class TestKeys:
    def test_an_id_cannot_name_the_entry_of_a_list(self, client: APIClient, post: Post) -> None:
        client.get("/api/v1/alice/posts")

        assert refused(client.get("/api/v1/alice/post/page_1_size_10")) == [("int_parsing", ["path", "id"])]

    def test_colons_in_a_value_do_not_separate(self, client: APIClient) -> None:
        make_post(make_user("a:posts:post_b"))
        make_user("a")
        assert client.get("/api/v1/a:posts:post_b/posts")["X-Cache"] == "miss"

        assert refused(client.get("/api/v1/a/post/b:posts:page_1_size_10")) == [("int_parsing", ["path", "id"])]

    @pytest.mark.parametrize("username", ["*", "alice*", "users:*", "al[i]ce", "al?ce"])
    def test_stars_in_a_value_are_no_pattern(self, client: APIClient, post: Post, username: str) -> None:
        client.get("/api/v1/alice/posts")

        assert said(client.get(f"/api/v1/{username}/posts"))[0] == 404

    @pytest.mark.parametrize("pattern", ["users:*:posts:*", "*", "users", "users:alice", ":*", "users::*", "users:alice:*:"])
    def test_only_a_prefix_can_be_invalidated(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="is no prefix"):
            invalidate(pattern)

    def test_a_write_of_one_user_leaves_the_answers_of_others(self, client: APIClient, post: Post, bob: Any) -> None:
        other = make_post(bob)
        client.get(url(other, "bob"))

        post.soft_delete()

        assert client.get(url(other, "bob"))["X-Cache"] == "hit"


class TestRaces:
    def test_a_slow_reader_does_not_store_what_a_write_overtook(self, client: APIClient, post: Post) -> None:
        stale = client.get(url(post)).content
        caches["default"].clear()
        reader = Entry(f"users:alice:posts:post_{post.pk}", 60)
        reader.read()

        post.title = "New"
        post.save()
        reader.write(stale)

        assert client.get(url(post)).json()["title"] == "New"

    def test_what_a_reader_saw_before_the_commit_is_not_stored(self, client: APIClient, post: Post) -> None:
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            post.title = "New"
            post.save()
            early = in_thread(lambda: client.get(url(post)), pool).result(30)

        assert (early.json()["title"], early["X-Cache"]) == ("Hello", "off")
        assert client.get(url(post)).json()["title"] == "New"

    def test_a_hit_is_not_served_while_a_write_is_under_way(self, client: APIClient, post: Post) -> None:
        client.get(url(post))

        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            post.soft_delete()
            assert in_thread(lambda: client.get(url(post)), pool).result(30)["X-Cache"] == "off"

    def test_a_write_that_is_rolled_back_leaves_no_wrong_answer(self, client: APIClient, post: Post) -> None:
        before = client.get(url(post)).json()

        with transaction.atomic():
            post.title = "New"
            post.save()
            transaction.set_rollback(True)

        assert [client.get(url(post)).json() for _ in range(2)] == [before, before]

    def test_a_post_that_was_read_before_its_author_was_renamed_is_written_under_the_new_name(self, client: APIClient, post: Post) -> None:
        early = Post.objects.select_related("author").get()
        post.author.username = "alicia"
        post.author.save()
        client.get(url(post, "alicia"))

        early.title = "New"
        early.save()

        assert client.get(url(post, "alicia")).json()["title"] == "New"

    def test_an_author_who_was_read_before_being_renamed_is_deleted_under_the_new_name(self, client: APIClient, post: Post) -> None:
        early = type(post.author).objects.get(pk=post.author_id)
        post.author.username = "alicia"
        post.author.save()
        client.get(url(post, "alicia"))

        early.soft_delete()

        assert said(client.get(url(post, "alicia"))) == (404, "User not found")


class TestOutage:
    @pytest.fixture
    def no_redis(self, settings: Settings) -> None:
        settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}

    @pytest.mark.usefixtures("no_redis")
    def test_reads_come_from_the_database(self, client: APIClient, post: Post) -> None:
        response = client.get(url(post))

        assert (response.json()["title"], response["X-Cache"]) == ("Hello", "off")

    @pytest.mark.usefixtures("no_redis")
    def test_writes_go_on(self, client: APIClient, client_for: Callable[[Any], APIClient], post: Post) -> None:
        response = client_for(post.author).patch(url(post), {"title": "New"})

        assert said(response) == (200, "Post updated")
        assert client.get(url(post)).json()["title"] == "New"

    def test_a_cache_that_is_switched_off_stores_nothing(self, client: APIClient, post: Post, settings: Settings) -> None:
        settings.CACHE_ENABLED = False
        client.get(url(post))

        assert client.get(url(post))["X-Cache"] == "off"
