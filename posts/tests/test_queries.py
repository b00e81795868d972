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
def test_a_list_takes_three_queries_however_long_it_is(
    client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for _ in range(rows):
        make_post(alice)

    with django_assert_num_queries(3):  # the user, the count, the rows
        client.get("/api/v1/alice/posts?items_per_page=100")


def test_a_page_by_cursor_takes_two_queries(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_post(alice)

    with django_assert_num_queries(2):  # the user, the rows
        client.get("/api/v1/alice/posts?cursor=")


def test_a_post_takes_two_queries(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    post = make_post(alice)

    with django_assert_num_queries(2):  # the user, the post
        client.get(f"/api/v1/alice/post/{post.pk}")


@pytest.mark.parametrize("path", ["posts", "post/{id}"])
def test_a_hit_takes_no_query(client: APIClient, alice: Any, django_assert_num_queries: DjangoAssertNumQueries, path: str) -> None:
    url = f"/api/v1/alice/{path}".replace("{id}", str(make_post(alice).pk))
    client.get(url)

    with django_assert_num_queries(0):
        assert client.get(url)["X-Cache"] == "hit"


@pytest.mark.parametrize(("method", "queries"), [("post", 6), ("patch", 7), ("delete", 7)])
def test_a_write_takes_few_queries(
    client_for: Callable[[Any], APIClient], alice: Any, django_assert_num_queries: DjangoAssertNumQueries, method: str, queries: int
) -> None:
    client = client_for(alice)
    path = "/api/v1/alice/post" if method == "post" else f"/api/v1/alice/post/{make_post(alice).pk}"

    # The caller, the user, but for a new one the post, then in a transaction of two more its author's present name and the write.
    with django_assert_num_queries(queries):
        getattr(client, method)(path, {"title": "Hello", "text": "World"})
