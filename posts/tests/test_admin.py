from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db

POSTS = "/admin/posts/post/"


@pytest.fixture
def site(admin: Any) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def act(site: Client, action: str, *posts: Post) -> str:
    data = {"action": action, "_selected_action": [post.pk for post in posts], "post": "yes"}
    return site.post(POSTS, data, follow=True).content.decode()


def test_marking_says_how_many_and_leaves_a_trace(site: Client, alice: Any) -> None:
    page = act(site, "soft_delete", make_post(alice), make_post(alice))

    assert "2 marked as deleted." in page
    assert Post.objects.alive().count() == 0
    assert LogEntry.objects.filter(change_message="Marked as deleted.").count() == 2


def test_restoring_passes_over_what_is_not_deleted(site: Client, alice: Any) -> None:
    kept, deleted = make_post(alice), make_post(alice)
    deleted.soft_delete()

    assert "1 restored." in act(site, "restore", kept, deleted)
    assert Post.objects.alive().count() == 2


def test_removing_removes_the_rows(site: Client, alice: Any) -> None:
    act(site, "delete_selected", make_post(alice), make_post(alice))

    assert not Post.objects.exists()


@pytest.mark.parametrize(("choice", "titles"), [("", ["Dead", "Live"]), ("?deleted=yes", ["Dead"]), ("?deleted=no", ["Live"])])
def test_the_list_can_be_narrowed_to_the_deleted(site: Client, alice: Any, choice: str, titles: list[str]) -> None:
    make_post(alice, title="Live")
    make_post(alice, title="Dead").soft_delete()

    rows = site.get(f"{POSTS}{choice}").context["cl"].result_list
    assert sorted(post.title for post in rows) == titles


@pytest.mark.parametrize("words", ["Needle", "alice"])
def test_posts_are_found_by_title_and_author(site: Client, alice: Any, bob: Any, words: str) -> None:
    make_post(alice, title="Needle")
    make_post(bob, title="Straw")

    rows = site.get(POSTS, {"q": words}).context["cl"].result_list
    assert [post.title for post in rows] == ["Needle"]


def test_the_form_refuses_what_the_api_refuses(site: Client, alice: Any) -> None:
    response = site.post(f"{POSTS}add/", {"author": alice.pk, "title": "a", "text": "World"})

    assert list(response.context["adminform"].form.errors) == ["title"]
    assert not Post.objects.exists()


def test_an_empty_media_url_is_none(site: Client, alice: Any) -> None:
    site.post(f"{POSTS}add/", {"author": alice.pk, "title": "Hello", "text": "World", "media_url": ""})

    assert Post.objects.get().media_url is None


def test_a_user_who_is_no_staff_is_sent_to_the_login(alice: Any) -> None:
    client = Client()
    client.force_login(alice)

    response = client.get(POSTS)

    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/admin/posts/post/")
