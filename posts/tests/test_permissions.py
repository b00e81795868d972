from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import said

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db

NOT_AUTHENTICATED = (401, "Not authenticated")
NOT_YOURS = (403, "Request forbidden -- authorization will not help")
NOT_SUPERUSER = (403, "You do not have enough privileges.")

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(client: APIClient, client_for: Callable[[Any], APIClient], alice: Any, bob: Any, admin: Any) -> Call:
    """
    Call a route of Alice's post as somebody, and return the status and the sentence.
    """
    post = make_post(alice)

    def call(who: str, method: str, path: str) -> tuple[int, Any]:
        caller = client if who == "anonymous" else client_for({"owner": alice, "other": bob, "superuser": admin}[who])
        body = {"post": {"title": "New", "text": "New"}, "patch": {"title": "New"}}.get(method)
        return said(getattr(caller, method)(f"/api/v1/alice/{path}".replace("{id}", str(post.pk)), body))

    return call


@pytest.mark.parametrize("who", ["anonymous", "owner", "other", "superuser"])
@pytest.mark.parametrize("path", ["posts", "post/{id}"])
def test_anyone_may_read(call: Call, who: str, path: str) -> None:
    assert call(who, "get", path)[0] == 200


@pytest.mark.parametrize(("method", "path"), [("post", "post"), ("patch", "post/{id}"), ("delete", "post/{id}")])
class TestWriting:
    def test_the_owner_may(self, call: Call, method: str, path: str) -> None:
        assert call("owner", method, path)[0] in (200, 201)

    @pytest.mark.parametrize(("who", "refusal"), [("anonymous", NOT_AUTHENTICATED), ("other", NOT_YOURS), ("superuser", NOT_YOURS)])
    def test_nobody_else_may(self, call: Call, method: str, path: str, who: str, refusal: tuple[int, str]) -> None:
        assert call(who, method, path) == refusal
        assert Post.objects.alive().values_list("title", flat=True).get() == "Hello"


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        ("anonymous", NOT_AUTHENTICATED),
        ("owner", NOT_SUPERUSER),
        ("other", NOT_SUPERUSER),
        ("superuser", (200, "Post deleted from the database")),
    ],
)
def test_only_superusers_remove_rows(call: Call, who: str, answer: tuple[int, str]) -> None:
    assert call(who, "delete", "db_post/{id}") == answer


@pytest.mark.parametrize(("method", "path"), [("patch", "post"), ("delete", "post")])
def test_bob_cannot_change_alices_post_by_his_own_name_in_the_path(
    client_for: Callable[[Any], APIClient], alice: Any, bob: Any, method: str, path: str
) -> None:
    post = make_post(alice)

    response = getattr(client_for(bob), method)(f"/api/v1/bob/{path}/{post.pk}", {"title": "Mine"})

    assert said(response) == (404, "Post not found")
    assert Post.objects.alive().get().title == "Hello"


def test_a_deleted_user_cannot_post_with_an_old_token(client_for: Callable[[Any], APIClient], alice: Any) -> None:
    client = client_for(alice)
    alice.soft_delete()

    response = client.post("/api/v1/alice/post", {"title": "Hello", "text": "World"})

    assert said(response) == (401, "User not authenticated.")


def test_whoever_takes_a_freed_name_cannot_change_the_posts_of_who_had_it(
    client_for: Callable[[Any], APIClient], alice: Any, bob: Any
) -> None:
    post = make_post(alice)
    alice.username = "alicia"
    alice.save()
    bob.username = "alice"
    bob.save()

    assert said(client_for(bob).patch(f"/api/v1/alice/post/{post.pk}", {"title": "Mine"})) == (404, "Post not found")
    assert said(client_for(bob).patch(f"/api/v1/alicia/post/{post.pk}", {"title": "Mine"})) == NOT_YOURS
