"""
The order in which a call is refused, each pair of neighbours on a real route, and what a body must be.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from common.tests.answers import refused, said
from posts.models import Post
from posts.tests.factories import make_post
from tiers.models import Tier
from tiers.tests.factories import make_rate_limit

pytestmark = pytest.mark.django_db

POSTS = "/api/v1/alice/post"
TOO_LARGE = b" " * 1_048_577
NEW = {"title": "Hello", "text": "World"}


def send(client: Any, method: str, path: str, body: bytes, media_type: str = "application/json") -> Any:
    return client.generic(method, f"/api/v1/{path}", body, content_type=media_type)


def allow_nothing(user: Any, tier: Tier, path: str) -> None:
    make_rate_limit(tier, path=path, limit=0)
    user.tier = tier
    user.save()


class TestOrder:
    @pytest.mark.parametrize("path", ["nothing/at/all/here", "alice/posts/1", "user/me/x", ""])
    def test_an_unknown_route_before_the_method(self, client: APIClient, path: str) -> None:
        assert said(send(client, "PUT", path, TOO_LARGE)) == (404, "Not found.")

    def test_the_method_before_the_size(self, client: APIClient) -> None:
        assert said(send(client, "PUT", "alice/posts", TOO_LARGE)) == (405, "Method not allowed.")

    def test_the_size_before_the_token(self, client: APIClient) -> None:
        assert said(send(client, "POST", "alice/post", TOO_LARGE)) == (413, "Request body too large.")

    def test_the_token_before_the_superusers_privilege(self, client: APIClient) -> None:
        assert said(send(client, "POST", "tier", b"{}")) == (401, "Not authenticated")

    def test_the_superusers_privilege_before_the_limit(self, alice_client: APIClient, alice: Any, free: Tier) -> None:
        allow_nothing(alice, free, "api/v1/tier/{name}")

        assert said(alice_client.patch("/api/v1/tier/free", {})) == (403, "You do not have enough privileges.")

    def test_the_superusers_privilege_before_what_the_path_names(self, alice_client: APIClient) -> None:
        assert said(alice_client.delete("/api/v1/nobody/db_post/1")) == (403, "You do not have enough privileges.")

    def test_the_limit_before_what_the_path_names(self, alice_client: APIClient, alice: Any, free: Tier) -> None:
        allow_nothing(alice, free, "api/v1/{username}/post/{id}")

        assert said(alice_client.get("/api/v1/nobody/post/1")) == (429, "Rate limit exceeded.")

    @pytest.mark.parametrize(
        ("path", "sentence"), [("nobody/post/1", "User not found"), ("bob/post/999", "Post not found"), ("user/nobody", "User not found")]
    )
    def test_what_the_path_names_before_whose_it_is(self, alice_client: APIClient, bob: Any, path: str, sentence: str) -> None:
        assert said(alice_client.patch(f"/api/v1/{path}", {})) == (404, sentence)

    def test_what_the_path_names_before_the_media_type(self, alice_client: APIClient) -> None:
        assert said(send(alice_client, "PATCH", "alice/post/999", b"x", "text/plain")) == (404, "Post not found")

    @pytest.mark.parametrize(("method", "path"), [("POST", "bob/post"), ("PATCH", "bob/post/{id}"), ("PATCH", "user/bob")])
    def test_whose_it_is_before_the_media_type(self, alice_client: APIClient, bob: Any, method: str, path: str) -> None:
        response = send(alice_client, method, path.replace("{id}", str(make_post(bob).pk)), b"x", "text/plain")

        assert said(response) == (403, "Request forbidden -- authorization will not help")

    def test_whose_it_is_before_the_body(self, alice_client: APIClient, bob: Any) -> None:
        response = send(alice_client, "POST", "bob/post", b"{")

        assert said(response) == (403, "Request forbidden -- authorization will not help")

    def test_the_media_type_before_the_body(self, alice_client: APIClient) -> None:
        assert said(send(alice_client, "POST", "alice/post", b"{", "text/plain")) == (415, "Unsupported media type.")

    def test_the_body_before_what_it_names(self, client_for: Callable[[Any], APIClient], admin: Any) -> None:
        response = client_for(admin).patch("/api/v1/user/admin/tier", {"tier_id": 999, "x": 1})

        assert refused(response) == [("extra_forbidden", ["body", "x"])]

    def test_what_the_body_names_is_looked_for(self, client_for: Callable[[Any], APIClient], admin: Any) -> None:
        response = client_for(admin).patch("/api/v1/user/admin/tier", {"tier_id": 999})

        assert said(response) == (404, "Tier not found")

    def test_whether_the_caller_may_is_asked_before_the_body_is_read(self, client: APIClient, alice: Any) -> None:
        assert said(send(client, "POST", "alice/post", b"{")) == (401, "Not authenticated")


class TestToken:
    @pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Token abc", "abc"])
    def test_no_bearer_token_is_not_authenticated(self, client: APIClient, header: str | None) -> None:
        client.credentials(**({} if header is None else {"HTTP_AUTHORIZATION": header}))

        assert said(client.post(POSTS, NEW)) == (401, "Not authenticated")

    @pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "Bearer", "Bearer a b", "BEARER  ", "Bearer \u00ff"])
    def test_a_bad_token_is_no_user(self, client: APIClient, header: str) -> None:
        client.credentials(HTTP_AUTHORIZATION=header)

        response = client.post(POSTS, NEW)

        assert said(response) == (401, "User not authenticated.")
        assert response["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
    def test_the_scheme_is_taken_in_any_case(self, alice_client: APIClient, scheme: str) -> None:
        token = alice_client._credentials["HTTP_AUTHORIZATION"].split()[1]  # type: ignore[attr-defined]
        alice_client.credentials(HTTP_AUTHORIZATION=f"{scheme} {token}")

        assert alice_client.post(POSTS, NEW).status_code == 201

    def test_a_bad_token_counts_as_none_where_anyone_may_call(self, client: APIClient, alice: Any) -> None:
        client.credentials(HTTP_AUTHORIZATION="Bearer abc")

        assert client.get("/api/v1/alice/posts").status_code == 200


class TestBody:
    @pytest.mark.parametrize(
        "media_type", ["application/json", "application/json; charset=utf-8", "", "application/merge-patch+json", "APPLICATION/JSON"]
    )
    def test_json_is_taken_under_its_names(self, alice_client: APIClient, media_type: str) -> None:
        assert send(alice_client, "POST", "alice/post", json.dumps(NEW).encode(), media_type).status_code == 201

    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "nonsense"]
    )
    def test_other_media_types_are_refused(self, alice_client: APIClient, media_type: str) -> None:
        response = send(alice_client, "POST", "alice/post", json.dumps(NEW).encode(), media_type)

        assert said(response) == (415, "Unsupported media type.")

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_a_missing_body_is_refused(self, alice_client: APIClient, alice: Any, method: str) -> None:
        path = "alice/post" if method == "POST" else f"alice/post/{make_post(alice).pk}"

        assert refused(send(alice_client, method, path, b"")) == [("missing", ["body"])]

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"hello",
            b" ",
            b"{'title': 1}",
            b'{"title": NaN}',
            b'{"title": Infinity}',
            b"[" * 100_000,
            b"\xff\xfe",
            '{"title": "ü"}'.encode("latin-1"),
            '{"title": "Hello"}'.encode("utf-16"),
            b"1" * 5000,
            b'{"title": "a\nb"}',
            b'{"title": "Hello"} x',
        ],
        ids=lambda body: repr(body[:20]),
    )
    def test_what_is_no_json_is_refused(self, alice_client: APIClient, body: bytes) -> None:
        assert refused(send(alice_client, "POST", "alice/post", body)) == [("json_invalid", ["body"])]

    @pytest.mark.parametrize("body", [b"[]", b"5", b'"text"', b"null", b"true", b"[{}]"])
    def test_what_is_no_object_is_refused(self, alice_client: APIClient, body: bytes) -> None:
        assert refused(send(alice_client, "POST", "alice/post", body)) == [("model_attributes_type", ["body"])]

    def test_a_body_of_the_largest_size_is_read(self, alice_client: APIClient) -> None:
        body = json.dumps(NEW).encode().ljust(1_048_576)

        assert send(alice_client, "POST", "alice/post", body).status_code == 201

    def test_of_a_repeated_field_the_last_counts(self, alice_client: APIClient) -> None:
        send(alice_client, "POST", "alice/post", b'{"title": "First", "title": "Last", "text": "World"}')

        assert Post.objects.get().title == "Last"

    @pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "x" * 5000, "", "__class__"])
    def test_an_unknown_field_of_any_name_is_refused(self, alice_client: APIClient, name: str) -> None:
        body = f'{{"title": "Hello", "text": "World", "{name}": 1}}'.encode()

        assert [kind for kind, _ in refused(send(alice_client, "POST", "alice/post", body))] == ["extra_forbidden"]

    @pytest.mark.parametrize("length", ["", "abc", "-1"])
    def test_a_length_that_is_no_number_is_no_server_error(self, alice_client: APIClient, length: str) -> None:
        response = alice_client.generic("POST", POSTS, "{}", content_type="application/json", CONTENT_LENGTH=length)

        assert response.status_code == 422


class TestUnknownPaths:
    @pytest.mark.parametrize(
        "path", ["/", "/nothing", "/api", "/api/v1", "/api/v1/", "/api/v2/users", "/api/v1/users//", "/static/nothing"]
    )
    @pytest.mark.parametrize("method", ["get", "post", "options", "head"])
    def test_they_answer_in_json(self, client: APIClient, path: str, method: str) -> None:
        response = getattr(client, method)(path)

        assert (response.status_code, response["Content-Type"]) == (404, "application/json")
        assert response["X-Request-ID"]

    def test_a_host_that_is_not_ours_is_refused_in_json(self, client: APIClient) -> None:
        response = client.get("/api/v1/users", HTTP_HOST="evil.example")

        assert said(response) == (400, "Bad request.")


class TestServerError:
    @pytest.fixture
    def broken(self, db: None, client: APIClient) -> APIClient:
        client.raise_request_exception = False
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tiers_tier RENAME TO tiers_gone")
        return client

    def test_it_answers_in_json_and_tells_nothing(self, broken: APIClient) -> None:
        response = broken.get("/api/v1/tiers")

        assert said(response) == (500, "Internal server error.")

    def test_nobody_keeps_it(self, broken: APIClient) -> None:
        assert broken.get("/api/v1/tiers")["Cache-Control"] == "private, no-store"

    def test_it_has_an_id(self, broken: APIClient) -> None:
        assert broken.get("/api/v1/tiers", HTTP_X_REQUEST_ID="mine")["X-Request-ID"] == "mine"


class TestRequestID:
    @pytest.mark.parametrize("given", ["a", "A-1_b.c", "x" * 64])
    def test_a_sane_one_is_kept(self, client: APIClient, given: str) -> None:
        assert client.get("/api/v1/tiers", HTTP_X_REQUEST_ID=given)["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", "<script>", "ü", "a;b"])
    def test_any_other_is_replaced(self, client: APIClient, given: str) -> None:
        assert client.get("/api/v1/tiers", HTTP_X_REQUEST_ID=given)["X-Request-ID"] != given
