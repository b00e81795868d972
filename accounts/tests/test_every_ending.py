"""
Each event that ends a session, seen from each place where a stale answer could come from: refused on the next request.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from django.core.cache import caches

from accounts.models import Session, User
from common.tests.servers import Server, served
from conftest import PASSWORD
from tasks.models import Task

pytestmark = pytest.mark.django_db(transaction=True)

OFF = {"LOGIN_RATE_LIMIT": "0"}
AWAY = "redis://127.0.0.1:1/0"


class Login:
    """
    One login of alice, its tokens known to have worked.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)
        self.headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        self.cookies = {"refresh_token": login.cookies["refresh_token"]}
        self.session = Session.objects.latest("created_at")

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        response = requests.request(method, f"{self.server.api}{path}", timeout=30, **options)
        assert response.status_code in (200, 202), response.text
        return response

    def read(self, server: Server) -> int:
        return requests.get(f"{server.api}/user/me/", headers=self.headers, timeout=30).status_code

    def refresh(self, server: Server) -> int:
        return requests.post(f"{server.api}/refresh", cookies=self.cookies, timeout=30).status_code


def limits_of_admin(login: Login, server: Server) -> int:
    return requests.get(f"{server.api}/user/admin/rate_limits", headers=login.headers, timeout=30).status_code


def log_out_by_access_token(login: Login) -> None:
    login.call("POST", "/logout", headers=login.headers)


def log_out_by_cookie(login: Login) -> None:
    login.call("POST", "/logout", cookies=login.cookies)


def log_out_everywhere(login: Login) -> None:
    other = Login(login.server)
    other.call("POST", "/logout/all", headers=other.headers)


def end_it_from_the_list(login: Login) -> None:
    other = Login(login.server)
    other.call("DELETE", f"/user/me/sessions/{login.session.pk}", headers=other.headers)


def change_the_password_elsewhere(login: Login) -> None:
    other = Login(login.server)
    body = {"current_password": PASSWORD, "new_password": "An0ther-one!"}
    other.call("POST", "/user/me/password", json=body, headers=other.headers)


def set_the_password_as_an_operator(login: Login) -> None:
    alice = User.objects.get(username="alice")
    alice.set_password("An0ther-one!")
    alice.save()


def deactivate(login: Login) -> None:
    alice = User.objects.get(username="alice")
    alice.is_active = False
    alice.save(update_fields=["is_active"])


def soft_delete(login: Login) -> None:
    login.call("DELETE", "/user/alice", headers=login.headers)


def hard_delete(login: Login) -> None:
    User.objects.filter(username="alice").delete()


def delete_and_restore(login: Login) -> None:
    alice = User.objects.get(username="alice")
    alice.soft_delete()
    alice.restore()


def end_as_an_operator(login: Login) -> None:
    Session.objects.filter(pk=login.session.pk).end()


EVENTS = [
    log_out_by_access_token,
    log_out_by_cookie,
    log_out_everywhere,
    end_it_from_the_list,
    change_the_password_elsewhere,
    set_the_password_as_an_operator,
    deactivate,
    soft_delete,
    hard_delete,
    delete_and_restore,
    end_as_an_operator,
]


@pytest.fixture(scope="module")
def servers(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        yield {
            "one": stack.enter_context(served(folder, **OFF, WEB_CONCURRENCY="1")),
            "another": stack.enter_context(served(folder, **OFF, WEB_CONCURRENCY="1")),
            "without redis": stack.enter_context(served(folder, **OFF, WEB_CONCURRENCY="1", REDIS_CACHE_URL=AWAY)),
        }


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("place", ["same worker", "another worker", "redis flushed", "redis down"])
def test_every_token_is_refused_on_the_next_request(
    servers: dict[str, Server], alice: Any, event: Callable[[Login], None], place: str
) -> None:
    asked = {"same worker": "one", "another worker": "another", "redis flushed": "one", "redis down": "without redis"}[place]
    login = Login(servers["without redis" if place == "redis down" else "one"])
    # Twice, so that the second is answered by the cache.
    assert [login.read(servers[asked]), login.read(servers[asked])] == [200, 200]

    event(login)
    if place == "redis flushed":
        caches["default"].clear()

    assert login.read(servers[asked]) == 401
    assert login.refresh(servers[asked]) == 401


def test_a_password_change_keeps_the_session_that_made_it(servers: dict[str, Server], alice: Any) -> None:
    login = Login(servers["one"])

    login.call("POST", "/user/me/password", json={"current_password": PASSWORD, "new_password": "An0ther-one!"}, headers=login.headers)

    assert login.read(servers["another"]) == 200
    assert login.refresh(servers["another"]) == 200


def test_a_demoted_superuser_stays_signed_in_without_the_privilege(servers: dict[str, Server], alice: Any, admin: Any) -> None:
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    login = Login(servers["one"])
    assert limits_of_admin(login, servers["another"]) == 200

    alice = User.objects.get(pk=alice.pk)
    alice.is_superuser = False
    alice.save()

    assert limits_of_admin(login, servers["another"]) == 403
    assert login.read(servers["another"]) == 200


def test_a_replay_after_the_grace_ends_the_session(servers: dict[str, Server], alice: Any) -> None:
    login = Login(servers["one"])
    assert login.refresh(servers["one"]) == 200
    Session.objects.filter(pk=login.session.pk).update(rotated_at=login.session.rotated_at.replace(year=2020))

    assert login.refresh(servers["another"]) == 401
    assert login.read(servers["one"]) == 401


def test_no_task_or_session_outlives_a_removed_user(servers: dict[str, Server], alice: Any) -> None:
    login = Login(servers["one"])
    Task.objects.create(function="sample_background_task", owner=alice)

    hard_delete(login)

    assert (Session.objects.count(), Task.objects.count()) == (0, 0)
