import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import refused, said

from ..models import Post
from .factories import make_post

pytestmark = pytest.mark.django_db

NEW = {"title": "Hello", "text": "World"}


class TestCreate:
    def test_the_new_post_is_shown(self, alice_client: APIClient, alice: Any) -> None:
        response = alice_client.post("/api/v1/alice/post", {**NEW, "media_url": "https://example.com/a.png"})

        post = Post.objects.get()
        body = response.json()
        created_at = body.pop("created_at")
        assert response.status_code == 201
        assert body == {
            "id": post.pk,
            "title": "Hello",
            "text": "World",
            "media_url": "https://example.com/a.png",
            "created_by_user_id": alice.pk,
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", created_at)

    def test_media_url_is_null_where_none_is_given(self, alice_client: APIClient) -> None:
        response = alice_client.post("/api/v1/alice/post", NEW)

        assert response.json()["media_url"] is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"title": "ab"},
            {"title": "a" * 30},
            {"title": "😀😀"},
            {"title": "  "},
            {"text": "t"},
            {"text": "ü" * 63_206},
            {"text": " kept\n "},
            {"media_url": None},
            {"media_url": "http://example.com"},
            {"media_url": "ftp://example.com/file"},
            {"media_url": "https://example.com/" + "a" * 2028},
        ],
        ids=lambda fields: next(f"{name}={value!r:.20}" for name, value in fields.items()),
    )
    def test_good_values_are_kept_as_sent(self, alice_client: APIClient, fields: dict[str, Any]) -> None:
        response = alice_client.post("/api/v1/alice/post", {**NEW, **fields})

        assert response.status_code == 201, response.content
        assert {**response.json(), **fields} == response.json()

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("title", "a", "string_too_short"),
            ("title", "", "string_too_short"),
            ("title", "a" * 31, "string_too_long"),
            ("title", 12, "string_type"),
            ("title", True, "string_type"),
            ("title", None, "string_type"),
            ("title", ["ab"], "string_type"),
            ("title", {"a": "b"}, "string_type"),
            ("title", "a\x00b", "value_error"),
            ("title", "a\ud800b", "value_error"),
            ("text", "", "string_too_short"),
            ("text", "t" * 63_207, "string_too_long"),
            ("text", 1.5, "string_type"),
            ("text", None, "string_type"),
            ("text", "\x00", "value_error"),
            ("text", "\udfff", "value_error"),
            ("media_url", "", "string_too_short"),
            ("media_url", "no url", "value_error"),
            ("media_url", "javascript:alert(1)", "value_error"),
            ("media_url", "ws://example.com", "value_error"),
            ("media_url", "https://example.com/\x00", "value_error"),
            ("media_url", "https://example.com/" + "a" * 2029, "string_too_long"),
            ("media_url", 5, "string_type"),
        ],
    )
    def test_bad_values_are_refused_where_they_are(self, alice_client: APIClient, name: str, value: Any, error: str) -> None:
        # As escapes: a lone surrogate cannot be sent otherwise.
        body = json.dumps({**NEW, name: value})

        response = alice_client.post("/api/v1/alice/post", body, content_type="application/json")

        assert refused(response) == [(error, ["body", name])]
        assert Post.objects.count() == 0

    @pytest.mark.parametrize("name", ["title", "text"])
    def test_required_fields_must_be_there(self, alice_client: APIClient, name: str) -> None:
        body = {field: value for field, value in NEW.items() if field != name}

        assert refused(alice_client.post("/api/v1/alice/post", body)) == [("missing", ["body", name])]

    @pytest.mark.parametrize("name", ["id", "created_by_user_id", "author", "created_at", "deleted_at", "x"])
    def test_unknown_and_foreign_fields_are_refused(self, alice_client: APIClient, name: str) -> None:
        response = alice_client.post("/api/v1/alice/post", {**NEW, name: 1})

        assert refused(response) == [("extra_forbidden", ["body", name])]

    def test_all_broken_places_are_named_at_once(self, alice_client: APIClient) -> None:
        response = alice_client.post("/api/v1/alice/post", {"title": "a", "media_url": 1, "x": 1})

        assert sorted(refused(response)) == [
            ("extra_forbidden", ["body", "x"]),
            ("missing", ["body", "text"]),
            ("string_too_short", ["body", "title"]),
            ("string_type", ["body", "media_url"]),
        ]

    def test_a_refusal_does_not_echo_what_was_sent(self, alice_client: APIClient) -> None:
        response = alice_client.post("/api/v1/alice/post", {**NEW, "title": "secret " * 10})

        assert b"secret" not in response.content

    def test_nobody_can_post_for_a_user_who_does_not_exist(self, alice_client: APIClient) -> None:
        assert said(alice_client.post("/api/v1/nobody/post", NEW)) == (404, "User not found")


class TestList:
    def test_posts_of_that_user_come_oldest_first(self, client: APIClient, alice: Any, bob: Any) -> None:
        posts = [make_post(alice, title=f"Post {number}") for number in range(3)]
        make_post(bob)

        body = client.get("/api/v1/alice/posts").json()

        assert [row["id"] for row in body.pop("data")] == [post.pk for post in posts]
        assert body == {"total_count": 3, "has_more": False, "page": 1, "items_per_page": 10}

    def test_deleted_posts_are_left_out(self, client: APIClient, alice: Any) -> None:
        make_post(alice).soft_delete()

        assert client.get("/api/v1/alice/posts").json()["total_count"] == 0

    def test_a_row_reads_like_the_post_itself(self, client: APIClient, alice: Any) -> None:
        post = make_post(alice)

        row = client.get("/api/v1/alice/posts").json()["data"][0]

        assert row == client.get(f"/api/v1/alice/post/{post.pk}").json()

    def test_a_user_without_posts_has_an_empty_list(self, client: APIClient, alice: Any) -> None:
        assert client.get("/api/v1/alice/posts").json()["data"] == []

    @pytest.mark.parametrize("username", ["nobody", "Alice", "a%00b", "%ED%A0%80", "al%20ice"])
    def test_posts_of_nobody_are_not_found(self, client: APIClient, alice: Any, username: str) -> None:
        assert said(client.get(f"/api/v1/{username}/posts")) == (404, "User not found")

    def test_posts_of_a_deleted_user_are_not_found(self, client: APIClient, alice: Any) -> None:
        make_post(alice)
        alice.soft_delete()

        assert said(client.get("/api/v1/alice/posts")) == (404, "User not found")


class TestRetrieve:
    def test_a_post_of_another_user_is_not_found(self, client: APIClient, alice: Any, bob: Any) -> None:
        post = make_post(bob)

        assert said(client.get(f"/api/v1/alice/post/{post.pk}")) == (404, "Post not found")

    def test_a_deleted_post_is_not_found(self, client: APIClient, alice: Any) -> None:
        post = make_post(alice)
        post.soft_delete()

        assert said(client.get(f"/api/v1/alice/post/{post.pk}")) == (404, "Post not found")

    def test_the_user_is_looked_for_first(self, client: APIClient) -> None:
        assert said(client.get("/api/v1/nobody/post/1")) == (404, "User not found")

    @pytest.mark.parametrize("number", ["0", "999999", str(2**31), str(2**63), "9" * 5000])
    def test_a_number_that_no_post_has_is_not_found(self, client: APIClient, alice: Any, number: str) -> None:
        assert said(client.get(f"/api/v1/alice/post/{number}")) == (404, "Post not found")

    @pytest.mark.parametrize("number", ["abc", "-1", "1.0", "1_0", "+1", "%201", "١", "²", "a%00"])  # noqa: RUF001 - digits that are no ASCII
    def test_what_is_no_number_is_refused(self, client: APIClient, alice: Any, number: str) -> None:
        assert refused(client.get(f"/api/v1/alice/post/{number}")) == [("int_parsing", ["path", "id"])]


class TestUpdate:
    @pytest.mark.parametrize(
        "change", [{"title": "New"}, {"text": "New"}, {"media_url": "http://new.example"}, {"title": "New", "text": "Newer"}]
    )
    def test_only_the_named_fields_change(self, alice_client: APIClient, alice: Any, change: dict[str, str]) -> None:
        post = make_post(alice, media_url="http://old.example")

        response = alice_client.patch(f"/api/v1/alice/post/{post.pk}", change)

        assert said(response) == (200, "Post updated")
        expected = {"title": "Hello", "text": "World", "media_url": "http://old.example", **change}
        assert Post.objects.values(*expected).get() == expected

    def test_an_empty_object_changes_nothing(self, alice_client: APIClient, alice: Any) -> None:
        post = make_post(alice)

        response = alice_client.patch(f"/api/v1/alice/post/{post.pk}", {})

        assert said(response) == (200, "Post updated")
        assert Post.objects.get().updated_at == post.updated_at

    def test_null_takes_the_media_url_away(self, alice_client: APIClient, alice: Any) -> None:
        post = make_post(alice, media_url="http://old.example")

        alice_client.patch(f"/api/v1/alice/post/{post.pk}", {"media_url": None})

        assert Post.objects.get().media_url is None

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("title", None, "string_type"),
            ("text", None, "string_type"),
            ("title", "a", "string_too_short"),
            ("text", "\x00", "value_error"),
            ("media_url", "", "string_too_short"),
            ("author", 1, "extra_forbidden"),
        ],
    )
    def test_bad_values_change_nothing(self, alice_client: APIClient, alice: Any, name: str, value: Any, error: str) -> None:
        post = make_post(alice)

        response = alice_client.patch(f"/api/v1/alice/post/{post.pk}", {"text": "Changed", name: value})

        assert refused(response) == [(error, ["body", name])]
        assert Post.objects.get().text == "World"

    def test_a_deleted_post_is_not_found(self, alice_client: APIClient, alice: Any) -> None:
        post = make_post(alice)
        post.soft_delete()

        assert said(alice_client.patch(f"/api/v1/alice/post/{post.pk}", {"title": "New"})) == (404, "Post not found")

    def test_a_patched_post_keeps_its_place_in_the_list(self, alice_client: APIClient, client: APIClient, alice: Any) -> None:
        posts = [make_post(alice) for _ in range(3)]

        alice_client.patch(f"/api/v1/alice/post/{posts[0].pk}", {"title": "New"})

        rows = client.get("/api/v1/alice/posts?items_per_page=2").json()["data"]
        assert [row["id"] for row in rows] == [posts[0].pk, posts[1].pk]


class TestDelete:
    def test_the_post_is_only_marked(self, alice_client: APIClient, alice: Any) -> None:
        post = make_post(alice)

        response = alice_client.delete(f"/api/v1/alice/post/{post.pk}")

        assert said(response) == (200, "Post deleted")
        assert Post.objects.get().is_deleted

    def test_a_second_time_it_is_not_found(self, alice_client: APIClient, alice: Any) -> None:
        post = make_post(alice)
        alice_client.delete(f"/api/v1/alice/post/{post.pk}")

        assert said(alice_client.delete(f"/api/v1/alice/post/{post.pk}")) == (404, "Post not found")

    def test_a_body_is_ignored(self, alice_client: APIClient, alice: Any) -> None:
        post = make_post(alice)

        response = alice_client.generic("DELETE", f"/api/v1/alice/post/{post.pk}", "{no json", content_type="text/plain")

        assert said(response) == (200, "Post deleted")


class TestDeleteRow:
    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_the_row_is_removed(self, client_for: Callable[[Any], APIClient], admin: Any, alice: Any, is_deleted: bool) -> None:
        post = make_post(alice)
        if is_deleted:
            post.soft_delete()

        response = client_for(admin).delete(f"/api/v1/alice/db_post/{post.pk}")

        assert said(response) == (200, "Post deleted from the database")
        assert not Post.objects.exists()

    def test_a_post_of_another_user_is_not_found(self, client_for: Callable[[Any], APIClient], admin: Any, alice: Any, bob: Any) -> None:
        post = make_post(bob)

        assert said(client_for(admin).delete(f"/api/v1/alice/db_post/{post.pk}")) == (404, "Post not found")
