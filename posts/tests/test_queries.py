"""
How many SQL queries a call takes.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("rows", [1, 30])
def test_a_list_takes_one_query_however_long_it_is(
    client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for _ in range(rows):
        make_post(alice)

    with django_assert_num_queries(1):
        client.get("/api/v1/alice/posts?items_per_page=100")


def test_only_the_first_of_full_pages_takes_a_query_for_the_count(
    client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        make_post(alice)

    with django_assert_num_queries(2):
        client.get("/api/v1/alice/posts?items_per_page=1")
    with django_assert_num_queries(1):
        client.get("/api/v1/alice/posts?page=2&items_per_page=1")


@pytest.mark.parametrize(("username", "queries"), [("alice", 3), ("nobody", 2)])
def test_an_empty_list_takes_a_look_at_its_user(
    client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries, username: str, queries: int
) -> None:
    with django_assert_num_queries(queries):  # the rows, the user, and where there is one the rows again
        client.get(f"/api/v1/{username}/posts")


def test_a_page_by_cursor_takes_one_query(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_post(alice)

    with django_assert_num_queries(1):
        client.get("/api/v1/alice/posts?cursor=")


def test_a_post_takes_one_query(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    post = make_post(alice)

    with django_assert_num_queries(1):
        client.get(f"/api/v1/alice/post/{post.pk}")


@pytest.mark.parametrize("path", ["posts", "post/{id}"])
def test_a_hit_takes_no_query(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries, path: str) -> None:
    url = f"/api/v1/alice/{path}".replace("{id}", str(make_post(alice).pk))
    client.get(url)

    with django_assert_num_queries(0):
        assert client.get(url)["X-Cache"] == "hit"


@pytest.mark.parametrize(("method", "queries"), [("post", 5), ("patch", 7), ("delete", 7)])
def test_a_write_takes_few_queries(
    client_for: Callable[[Any], APIClient], alice: Any, django_assert_num_queries: DjangoAssertNumQueries, method: str, queries: int
) -> None:
    client = client_for(alice)
    path = "/api/v1/alice/post" if method == "post" else f"/api/v1/alice/post/{make_post(alice).pk}"

    # The caller, then in a transaction of two more the author's present name and the write. Of a post that exists also the post, before the
    # transaction, and in it whose it is now.
    with django_assert_num_queries(queries):
        getattr(client, method)(path, {"title": "Hello", "text": "World"})
