"""
How many posts a list has in all: kept until a write changes it, and right after every write.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from common.cache import Entry, Renewal, invalidate
from common.counts import count_entry, kept_count
from common.tests.concurrency import at_once, overtaken_by
from common.tests.redis_commands import commands_of
from common.tests.servers import wait_until

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)

FULL = "/api/v1/alice/posts?items_per_page=1"
# Never answered from the cache itself.
PAST_THE_END = "/api/v1/alice/posts?page=9&items_per_page=1"


@pytest.fixture
def post(alice: Any) -> Post:
    make_post(alice)
    return make_post(alice)


def counts_of(client: APIClient, path: str = PAST_THE_END) -> int:
    """
    Return how often the rows are counted for an answer.
    """
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return sum("COUNT(" in query["sql"] for query in queries)


def rename(user: Any, username: str) -> None:
    user.username = username
    user.save()


def test_posts_are_counted_once(client: APIClient, post: Post) -> None:
    assert [counts_of(client, path) for path in (FULL, PAST_THE_END, FULL + "&page=2")] == [1, 0, 0]
    assert client.get(PAST_THE_END).json()["total_count"] == 2


def test_signed_in_callers_use_what_is_kept(client: APIClient, client_for: Callable[[Any], APIClient], alice: Any, post: Post) -> None:
    client.get(FULL)

    assert counts_of(client_for(alice)) == 0


@pytest.mark.parametrize("path", [FULL, PAST_THE_END])
@pytest.mark.parametrize("is_signed_in", [False, True])
def test_whoever_counts_first_keeps_it(
    client: APIClient, client_for: Callable[[Any], APIClient], alice: Any, post: Post, path: str, is_signed_in: bool
) -> None:
    caller = client_for(alice) if is_signed_in else client

    assert [counts_of(caller, path) for _ in range(3)] == [1, 0, 0]


def test_of_many_at_once_one_counts() -> None:
    calls: list[int] = []
    entries: list[Entry] = []

    def count() -> int:
        calls.append(1)
        wait_until(lambda: all(entry.holder for entry in entries), what="all to know that one counts")
        return 7

    def look_and_count(entry: Entry) -> int:
        # As one does for whom no answer is stored.
        entry.peek()
        return kept_count(entry, count)

    # After a write, versions are there and the number is missing.
    assert look_and_count(count_entry("post_counts:alice:all")) == 7
    with transaction.atomic():
        invalidate("post_counts:alice:*")
    calls.clear()
    entries += [count_entry("post_counts:alice:all") for _ in range(6)]

    assert at_once(*[partial(look_and_count, entry) for entry in entries]) == [7] * 6
    assert len(calls) == 1


def test_a_page_that_is_not_full_has_been_counted_by_reading_it(client: APIClient, post: Post) -> None:
    response = client.get("/api/v1/alice/posts?page=1&items_per_page=3")

    assert (response.json()["total_count"], response.json()["has_more"]) == (2, False)
    assert count_entry("post_counts:alice:all").read() is None


def test_a_page_by_cursor_counts_nothing(client: APIClient, post: Post) -> None:
    assert counts_of(client, "/api/v1/alice/posts?cursor=&items_per_page=1") == 0
    assert count_entry("post_counts:alice:all").read() is None


def test_a_page_costs_no_round_trip_more_for_its_count(client: APIClient, post: Post) -> None:
    client.get(FULL)

    with commands_of("default") as commands:
        client.get(FULL + "&page=2")

    # Look, claim, store.
    assert commands == ["MGET", "EVALSHA", "EVALSHA"]


def post_form(post: Post) -> dict[str, Any]:
    return {"author": post.author_id, "title": "New", "text": post.text, "media_url": ""}


def user_form(user: Any) -> dict[str, Any]:
    fields = {name: getattr(user, name) for name in ("username", "email", "profile_image_url")}
    return {**fields, "name": "New", "is_active": "on", "tier": ""}


EDITS: dict[str, Callable[[APIClient, Client, Post], Any]] = {
    "title over the API": lambda own, _, post: own.patch(f"/api/v1/alice/post/{post.pk}", {"title": "New"}),
    "title in the admin": lambda _, site, post: site.post(f"/admin/posts/post/{post.pk}/change/", post_form(post)),
    "name over the API": lambda own, _, __: own.patch("/api/v1/user/alice", {"name": "New"}),
    "name in the admin": lambda _, site, post: site.post(f"/admin/accounts/user/{post.author_id}/change/", user_form(post.author)),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_leaves_what_is_kept(
    client: APIClient, client_for: Callable[[Any], APIClient], alice: Any, admin: Any, post: Post, edit: Callable[..., Any]
) -> None:
    own, site = client_for(alice), Client()
    site.force_login(admin)
    client.get(FULL)
    client.get("/api/v1/users?items_per_page=1")

    assert edit(own, site, post).status_code in (200, 302)

    assert "New" in (Post.objects.get(pk=post.pk).title, type(alice).objects.get(pk=alice.pk).name)
    assert counts_of(client) == counts_of(client, "/api/v1/users?page=9&items_per_page=1") == 0


def test_a_name_that_changes_hands_takes_no_count_along(client: APIClient, alice: Any, bob: Any, post: Post) -> None:
    make_post(bob)
    client.get(FULL)
    rename(alice, "alicia")
    rename(bob, "alice")

    assert client.get(PAST_THE_END).json()["total_count"] == 1


def test_a_name_that_is_taken_back_brings_no_count_along(client: APIClient, alice: Any, post: Post) -> None:
    client.get(FULL)
    rename(alice, "alicia")
    make_post(alice)
    rename(alice, "alice")

    assert client.get(PAST_THE_END).json()["total_count"] == 3


def test_a_count_of_who_had_the_name_before_is_not_shown(client: APIClient, post: Post) -> None:
    entry = count_entry("post_counts:alice:all")
    entry.read()
    entry.write(b"%d 77" % (post.author_id + 1))

    assert client.get(PAST_THE_END).json()["total_count"] == 2


def test_a_write_ends_the_count_of_who_was_given_the_post_meanwhile(alice: Any, bob: Any, post: Post) -> None:
    def give_away() -> None:
        theirs = Post.objects.get(pk=post.pk)
        theirs.author = bob
        theirs.save()

    def delete() -> set[str]:
        with transaction.atomic():
            post.soft_delete()
            (renewal,) = [call[1] for call in connection.run_on_commit if isinstance(call[1], Renewal)]
            return renewal.marked

    with overtaken_by(give_away) as begin:
        call = begin(delete)

    assert {"version:post_counts:bob", "version:users:bob:posts"} <= call.result()


def test_without_a_cache_every_list_is_counted(client: APIClient, post: Post, settings: Settings) -> None:
    settings.CACHE_ENABLED = False

    assert [counts_of(client), counts_of(client)] == [1, 1]
    assert client.get(FULL).json()["total_count"] == 2


@pytest.mark.parametrize("page", [2, 2**63 - 1])
def test_who_is_not_there_is_said_before_what_is_wrong_with_the_page(client: APIClient, page: int) -> None:
    answers = [client.get(f"/api/v1/nobody/posts?page={number}") for number in (page, 0)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[1].json() == {"detail": "User not found"}
