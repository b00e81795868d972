"""
Every way to write a post or its author, each followed by reads that were cached before.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db(transaction=True)

World = SimpleNamespace


@pytest.fixture
def world(alice: Any, bob: Any, admin: Any, client: APIClient, client_for: Callable[[Any], APIClient]) -> World:
    site = Client()
    site.force_login(admin)
    return World(
        alice=alice,
        bob=bob,
        post=make_post(alice),
        deleted=make_post(alice, deleted_at=timezone.now()),
        client=client,
        owner=client_for(alice),
        superuser=client_for(admin),
        site=site,
    )


def answers(world: World) -> list[tuple[int, Any]]:
    paths = [
        *(f"{name}/post/{post.pk}" for name in ("alice", "alicia", "bob") for post in (world.post, world.deleted)),
        *(f"{name}/posts" for name in ("alice", "alicia", "bob")),
        "alice/posts?page=2&items_per_page=1",
    ]
    responses = [world.client.get(f"/api/v1/{path}") for path in paths]
    return [(response.status_code, response.json()) for response in responses]


def rename(user: Any, username: str) -> None:
    user.username = username
    user.save()


def retitle(post: Post) -> None:
    post.title = "New"
    post.save()


def in_admin(world: World, path: str, data: dict[str, Any]) -> None:
    response = world.site.post(f"/admin/{path}", data)
    assert response.status_code == 302, response.content.decode()


def admin_action(world: World, model: str, action: str, pk: int, **data: Any) -> None:
    in_admin(world, f"{model}/", {"action": action, "_selected_action": [pk], **data})


def post_form(world: World, **fields: Any) -> dict[str, Any]:
    return {"author": world.alice.pk, "title": "New", "text": "World", "media_url": "", **fields}


def user_form(world: World, **fields: Any) -> dict[str, Any]:
    alice = world.alice
    names = ("username", "name", "email", "profile_image_url")
    return {**{name: getattr(alice, name) for name in names}, "is_active": "on", "tier": "", **fields}


WRITES: dict[str, Callable[[World], object]] = {
    "created over the API": lambda world: world.owner.post("/api/v1/alice/post", {"title": "New", "text": "New"}),
    "patched over the API": lambda world: world.owner.patch(f"/api/v1/alice/post/{world.post.pk}", {"title": "New"}),
    "deleted over the API": lambda world: world.owner.delete(f"/api/v1/alice/post/{world.post.pk}"),
    "removed over the API": lambda world: world.superuser.delete(f"/api/v1/alice/db_post/{world.post.pk}"),
    "author renamed over the API": lambda world: world.owner.patch("/api/v1/user/alice", {"username": "alicia"}),
    "author deleted over the API": lambda world: world.owner.delete("/api/v1/user/alice"),
    "author removed over the API": lambda world: world.superuser.delete("/api/v1/db_user/alice"),
    "created in code": lambda world: make_post(world.alice),
    "saved in code": lambda world: retitle(world.post),
    "marked in code": lambda world: world.post.soft_delete(),
    "restored in code": lambda world: world.deleted.restore(),
    "removed in code": lambda world: world.post.delete(),
    "removed by a queryset": lambda world: Post.objects.filter(author=world.alice).delete(),
    "author renamed in code": lambda world: rename(world.alice, "alicia"),
    "author marked in code": lambda world: world.alice.soft_delete(),
    "author removed in code": lambda world: world.alice.delete(),
    "author removed by a queryset": lambda world: type(world.alice).objects.filter(username="alice").delete(),
    "added in the admin": lambda world: in_admin(world, "posts/post/add/", post_form(world)),
    "changed in the admin": lambda world: in_admin(world, f"posts/post/{world.post.pk}/change/", post_form(world)),
    "given to another author in the admin": lambda world: in_admin(
        world, f"posts/post/{world.post.pk}/change/", post_form(world, author=world.bob.pk)
    ),
    "removed in the admin": lambda world: in_admin(world, f"posts/post/{world.post.pk}/delete/", {"post": "yes"}),
    "removed in bulk in the admin": lambda world: admin_action(world, "posts/post", "delete_selected", world.post.pk, post="yes"),
    "marked in bulk in the admin": lambda world: admin_action(world, "posts/post", "soft_delete", world.post.pk),
    "restored in bulk in the admin": lambda world: admin_action(world, "posts/post", "restore", world.deleted.pk),
    "author renamed in the admin": lambda world: in_admin(
        world, f"accounts/user/{world.alice.pk}/change/", user_form(world, username="alicia")
    ),
    "author removed in the admin": lambda world: in_admin(world, f"accounts/user/{world.alice.pk}/delete/", {"post": "yes"}),
    "author removed in bulk in the admin": lambda world: admin_action(
        world, "accounts/user", "delete_selected", world.alice.pk, post="yes"
    ),
    "author marked in bulk in the admin": lambda world: admin_action(world, "accounts/user", "soft_delete", world.alice.pk),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_next_read_is_right_after_the_post_is(world: World, write: Callable[[World], object]) -> None:
    before = answers(world)
    assert answers(world) == before

    write(world)

    after = answers(world)
    caches["default"].clear()
    assert after == answers(world)
    assert after != before


@pytest.mark.parametrize("how", ["in code", "in the admin"])
def test_posts_return_with_their_author(world: World, how: str) -> None:
    before = answers(world)
    world.alice.soft_delete()
    answers(world)

    if how == "in code":
        world.alice.restore()
    else:
        admin_action(world, "accounts/user", "restore", world.alice.pk)

    assert answers(world) == before


def test_a_freed_name_does_not_show_the_posts_of_who_had_it(world: World) -> None:
    answers(world)
    rename(world.alice, "alicia")

    rename(world.bob, "alice")

    assert world.client.get("/api/v1/alice/posts").json()["data"] == []
    assert world.client.get("/api/v1/alicia/posts").json()["total_count"] == 1
