from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("field", "value"), [("title", "a"), ("title", "a" * 31), ("text", ""), ("text", "t" * 63_207), ("media_url", "no url")]
)
def test_what_the_api_refuses_forms_refuse_too(alice: Any, field: str, value: str) -> None:
    values = {"title": "Hello", "text": "World", field: value}

    with pytest.raises(ValidationError) as caught:
        Post(author=alice, **values).full_clean()

    assert list(caught.value.message_dict) == [field]


class TestAlive:
    def test_deleted_posts_are_left_out(self, alice: Any) -> None:
        kept, deleted = make_post(alice), make_post(alice)
        deleted.soft_delete()

        assert list(Post.objects.alive()) == [kept]

    def test_posts_of_deleted_users_are_left_out(self, alice: Any) -> None:
        make_post(alice)
        alice.soft_delete()

        assert not Post.objects.alive().exists()


class TestDelete:
    def test_soft_delete_keeps_the_row_and_the_time(self, alice: Any) -> None:
        post = make_post(alice)

        post.soft_delete()

        stored = Post.objects.get()
        assert stored.is_deleted
        assert stored.deleted_at is not None
        assert stored.deleted_at <= timezone.now()

    def test_restore_brings_the_row_back(self, alice: Any) -> None:
        post = make_post(alice, deleted_at=timezone.now())

        post.restore()

        assert not Post.objects.get().is_deleted

    def test_soft_delete_writes_nothing_else(self, alice: Any) -> None:
        post = make_post(alice)
        Post.objects.filter(pk=post.pk).update(title="Theirs")

        post.soft_delete()

        assert Post.objects.get().title == "Theirs"

    def test_a_queryset_says_what_it_removed(self, alice: Any) -> None:
        make_post(alice)
        make_post(alice)

        assert Post.objects.all().delete() == (2, {"posts.Post": 2})

    def test_posts_go_with_their_author(self, alice: Any) -> None:
        make_post(alice)

        alice.delete()

        assert not Post.objects.exists()


def test_every_write_moves_updated_at(alice: Any) -> None:
    post = make_post(alice)
    before = post.updated_at

    post.soft_delete()

    assert Post.objects.get().updated_at > before


def test_posts_come_oldest_first(alice: Any) -> None:
    posts = [make_post(alice) for _ in range(3)]
    posts[0].save()

    assert list(Post.objects.all()) == posts


def test_a_post_is_called_by_its_title(alice: Any) -> None:
    assert str(make_post(alice, title="Hello")) == "Hello"
