from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from tiers.models import Tier

from .factories import API, registration

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]

NO_TOKEN = (401, "Not authenticated")
NO_PRIVILEGES = (403, "You do not have enough privileges.")
NOT_YOURS = (403, "Request forbidden -- authorization will not help")


class Answers(NamedTuple):
    """
    What each kind of caller is answered on a route that concerns alice.
    """

    anonymous: Any
    owner: Any
    other: Any
    superuser: Any


ANYONE = Answers(200, 200, 200, 200)
SIGNED_IN = Answers(NO_TOKEN, 200, 200, 200)
OWNER = Answers(NO_TOKEN, 200, NOT_YOURS, NOT_YOURS)
SUPERUSER = Answers(NO_TOKEN, NO_PRIVILEGES, NO_PRIVILEGES, 200)

ROUTES: list[tuple[str, str, dict[str, Any] | None, Answers]] = [
    ("post", "login", {"username": "alice", "password": "Str1ngst!"}, ANYONE),
    ("post", "refresh", None, Answers((401, "Refresh token missing."), 200, 200, 200)),
    ("post", "logout", None, SIGNED_IN),
    ("post", "logout/all", None, SIGNED_IN),
    ("post", "user", registration(), Answers(201, 201, 201, 201)),
    ("get", "users", None, ANYONE),
    ("get", "user/me/", None, SIGNED_IN),
    ("get", "user/alice", None, ANYONE),
    ("patch", "user/alice", {"name": "Alicia"}, OWNER),
    ("delete", "user/alice", None, OWNER),
    ("get", "user/alice/tier", None, ANYONE),
    ("patch", "user/alice/tier", {"tier_id": None}, SUPERUSER),
    ("get", "user/alice/rate_limits", None, SUPERUSER),
    ("delete", "db_user/alice", None, SUPERUSER),
]
CASES = [
    pytest.param(method, path, body, caller, getattr(answers, caller), id=f"{caller}-{method}-{path}")
    for method, path, body, answers in ROUTES
    for caller in Answers._fields
]


@pytest.fixture
def callers(client_for: ClientFor, alice: Any, bob: Any, admin: Any, free: Tier) -> dict[str, APIClient]:
    User.objects.filter(pk=alice.pk).update(tier=free)
    return {"anonymous": APIClient(), "owner": client_for(alice), "other": client_for(bob), "superuser": client_for(admin)}


@pytest.mark.parametrize(("method", "path", "body", "caller", "answer"), CASES)
def test_caller_gets(
    callers: dict[str, APIClient], method: str, path: str, body: dict[str, Any] | None, caller: str, answer: int | tuple[int, str]
) -> None:
    response = getattr(callers[caller], method)(f"{API}/{path}", body)

    got = response.status_code if isinstance(answer, int) else (response.status_code, response.json()["detail"])
    assert got == answer


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_bob_cannot_change_or_delete_alice(client_for: ClientFor, alice: Any, bob: Any, method: str) -> None:
    getattr(client_for(bob), method)(f"{API}/user/alice", {"name": "Mallory"})

    alice.refresh_from_db()
    assert (alice.name, alice.is_deleted) == ("Alice", False)


class TestOrderOfRefusals:
    """
    Whether the caller may is asked before what they sent is looked at.
    """

    BAD: dict[str, Any] = {"data": "{", "content_type": "application/json"}

    @pytest.mark.parametrize("path", ["user/alice", "user/nobody", "user/alice/tier", "user/nobody/tier"])
    def test_anonymous_caller_is_401_whatever_they_send(self, client: APIClient, alice: Any, path: str) -> None:
        response = client.patch(f"{API}/{path}", **self.BAD)

        assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})

    def test_user_who_is_no_superuser_is_403_before_404(self, client_for: ClientFor, alice: Any) -> None:
        response = client_for(alice).delete(f"{API}/db_user/nobody")

        assert (response.status_code, response.json()) == (403, {"detail": "You do not have enough privileges."})

    def test_nobody_is_404_before_403(self, client_for: ClientFor, alice: Any) -> None:
        response = client_for(alice).patch(f"{API}/user/nobody", **self.BAD)

        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})

    def test_what_is_not_yours_is_403_before_the_body(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        response = client_for(bob).patch(f"{API}/user/alice", "x", content_type="text/plain")

        assert (response.status_code, response.json()) == (403, {"detail": "Request forbidden -- authorization will not help"})

    def test_media_type_is_415_before_422(self, client_for: ClientFor, alice: Any) -> None:
        assert client_for(alice).patch(f"{API}/user/alice", "{", content_type="text/plain").status_code == 415

    def test_method_is_405_before_401(self, client: APIClient, alice: Any) -> None:
        response = client.put(f"{API}/user/alice", **self.BAD)

        assert (response.status_code, response.json()) == (405, {"detail": "Method not allowed."})

    def test_size_is_413_before_401(self, client: APIClient, alice: Any) -> None:
        response = client.patch(f"{API}/user/alice", " " * 1_048_577, content_type="application/json")

        assert (response.status_code, response.json()) == (413, {"detail": "Request body too large."})

    def test_unknown_route_is_404_before_all(self, client: APIClient) -> None:
        response = client.put(f"{API}/user/alice/x/y", **self.BAD)

        assert (response.status_code, response.json()) == (404, {"detail": "Not found."})

    def test_bodies_are_ignored_where_none_is_due(self, client_for: ClientFor, alice: Any) -> None:
        assert client_for(alice).delete(f"{API}/user/alice", "{", content_type="text/plain").status_code == 200
