from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import said
from common.tests.concurrency import at_once, overtaken_by

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_patches_at_once_both_count(alice_client: APIClient, alice: Any) -> None:
    post = make_post(alice)

    with overtaken_by(lambda: Post.objects.filter(pk=post.pk).update(title="Theirs")) as begin:
        call = begin(lambda: alice_client.patch(f"/api/v1/alice/post/{post.pk}", {"text": "Mine"}))

    assert said(call.result()) == (200, "Post updated")
    assert Post.objects.values_list("title", "text").get() == ("Theirs", "Mine")


def test_a_patch_does_not_bring_back_a_post_that_is_just_being_deleted(alice_client: APIClient, alice: Any) -> None:
    post = make_post(alice)

    with overtaken_by(post.soft_delete) as begin:
        call = begin(lambda: alice_client.patch(f"/api/v1/alice/post/{post.pk}", {"text": "Mine"}))

    assert call.result().status_code in (200, 404)
    assert Post.objects.get().is_deleted


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_a_post_that_is_just_being_removed_is_not_found_and_stays_away(alice_client: APIClient, alice: Any, method: str) -> None:
    post = make_post(alice)
    alice_client.raise_request_exception = False

    with overtaken_by(lambda: Post.objects.get(pk=post.pk).delete()) as begin:
        call = begin(lambda: getattr(alice_client, method)(f"/api/v1/alice/post/{post.pk}", {"text": "Mine"}))

    assert said(call.result()) == (404, "Post not found")
    assert not Post.objects.exists()


def test_a_post_for_a_user_who_is_just_being_removed_is_a_conflict(alice_client: APIClient, alice: Any) -> None:
    alice_client.raise_request_exception = False

    with overtaken_by(lambda: type(alice).objects.get(pk=alice.pk).delete()) as begin:
        call = begin(lambda: alice_client.post("/api/v1/alice/post", {"title": "Hello", "text": "World"}))

    assert said(call.result()) == (409, "What this refers to has just changed. Try again.")
    assert not Post.objects.exists()


def test_a_post_deleted_by_two_at_once_stays_deleted(alice_client: APIClient, alice: Any) -> None:
    post = make_post(alice)

    answers = at_once(*[lambda: alice_client.delete(f"/api/v1/alice/post/{post.pk}")] * 2)

    assert {answer.status_code for answer in answers} <= {200, 404}
    assert Post.objects.get().is_deleted
