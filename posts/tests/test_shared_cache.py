"""
A real NGINX that keeps what it may, in front of a real gunicorn.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.nginx import nginx
from common.tests.servers import Server, wait_until
from conftest import PASSWORD
from tiers.models import Tier
from tiers.tests.factories import make_rate_limit

from .factories import make_post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
KEEPING = {
    "http": "proxy_cache_path {folder}/cache keys_zone=answers:1m;",
    "location": "proxy_cache answers; proxy_cache_revalidate on; add_header X-Shared $upstream_cache_status always;",
}


class Shared:
    """
    Callers behind one NGINX.
    """

    def __init__(self, url: str) -> None:
        self.api = f"{url}/api/v1"

    def get(self, path: str, token: str = "", **headers: str) -> requests.Response:
        credentials = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(f"{self.api}/{path}", headers={**credentials, **headers}, timeout=30)

    def token(self, username: str) -> str:
        response = requests.post(f"{self.api}/login", json={"username": username, "password": PASSWORD}, timeout=30)
        return str(response.json()["access_token"])


@pytest.fixture
def start_nginx(serve: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[..., Shared]]:
    with ExitStack() as stack:
        yield lambda **variables: Shared(stack.enter_context(nginx(tmp_path, serve(**variables).url, forwarded='""', **KEEPING)))


@pytest.fixture
def shared(start_nginx: Callable[..., Shared], alice: Any, bob: Any) -> Shared:
    make_post(alice)
    return start_nginx(WEB_CONCURRENCY="1")


PUBLIC = ("users", "user/alice", "alice/posts", "tiers")


def test_public_answers_are_kept_and_sent_once(shared: Shared) -> None:
    first = [shared.get(path) for path in PUBLIC]
    second = [shared.get(path) for path in PUBLIC]
    third = [shared.get(path, **{"If-None-Match": answer.headers["ETag"]}) for path, answer in zip(PUBLIC, first, strict=True)]

    assert {answer.headers["X-Shared"] for answer in first} == {"MISS"}
    assert {answer.headers["X-Shared"] for answer in second} == {"HIT"}
    assert [answer.content for answer in second] == [answer.content for answer in first]
    assert {(answer.status_code, answer.content, answer.headers["X-Shared"]) for answer in third} == {(304, b"", "HIT")}


def test_what_grew_old_is_asked_for_by_its_tag(start_nginx: Callable[..., Shared], alice: Any) -> None:
    shared = start_nginx(CLIENT_CACHE_MAX_AGE="1", WEB_CONCURRENCY="1")
    first = shared.get("user/alice")

    again = wait_until(lambda: (r := shared.get("user/alice")).headers["X-Shared"] == "REVALIDATED" and r, what="a 304 from behind")

    assert again.content == first.content
    alice.name = "Alicia"
    alice.save()
    assert wait_until(lambda: shared.get("user/alice").json()["name"] == "Alicia", what="the new name")


def test_no_answer_of_a_user_reaches_another(shared: Shared) -> None:
    tokens = {"": "", "alice": shared.token("alice"), "bob": shared.token("bob")}
    order = ("alice", "bob", "", "alice", "bob", "")

    single = [shared.get("user/alice", tokens[who]).json()["email"] for who in order]
    listed = [[user["email"] for user in shared.get("users", tokens[who]).json()["data"]] for who in order]
    own = [shared.get("user/me/", tokens[who]).json().get("username", "") for who in order]

    assert single == ["alice@example.com", None, None] * 2
    assert listed == [["alice@example.com", None], [None, "bob@example.com"], [None, None]] * 2
    assert own == list(order)


def test_what_is_for_one_caller_or_an_error_is_not_kept(shared: Shared, alice: Any, free: Tier) -> None:
    make_rate_limit(free, path="api/v1/users", limit=5)
    alice.tier = free
    alice.save()
    token = shared.token("alice")

    private = [shared.get(path, token) for path in ("user/me/", *PUBLIC) for _ in range(2)]
    errors = [shared.get(path) for path in ("user/nobody", "alice/posts?page=0", "user/me/") for _ in range(2)]

    assert {answer.headers["X-Shared"] for answer in private + errors} == {"MISS"}
    assert {answer.headers["Cache-Control"] for answer in private + errors} == {"private, no-store"}
    assert [answer.headers["X-RateLimit-Remaining"] for answer in private if "X-RateLimit-Limit" in answer.headers] == ["4", "3"]
    assert "X-RateLimit-Limit" not in shared.get("users").headers
