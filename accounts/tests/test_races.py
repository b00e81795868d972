"""
The same thing asked many times at once, of several gunicorn processes.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import requests

from accounts.models import Session, User
from common.tests.servers import Server
from conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 16


def at_once(call: Callable[[], requests.Response]) -> list[requests.Response]:
    barrier = Barrier(AT_ONCE)

    def wait_and_call() -> requests.Response:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [future.result() for future in [pool.submit(wait_and_call) for _ in range(AT_ONCE)]]


@pytest.fixture
def server(share: Callable[..., Server]) -> Server:
    # No registration waits for the hash of another, and is refused when that takes long.
    return share(WEB_CONCURRENCY="4", PASSWORD_HASH_CONCURRENCY=str(AT_ONCE))


def test_of_16_equal_registrations_one_is_made_and_15_are_refused(server: Server) -> None:
    person = {"name": "Ada Lovelace", "username": "ada", "email": "ada@example.com", "password": PASSWORD}

    responses = at_once(lambda: requests.post(f"{server.api}/user", json=person, timeout=30))

    assert Counter(response.status_code for response in responses) == {201: 1, 422: 15}
    refusals = {response.json()["detail"] for response in responses if response.status_code == 422}
    assert refusals <= {"Email is already registered", "Username not available"}
    assert User.objects.count() == 1


def test_of_16_registrations_of_one_name_with_16_addresses_one_is_made(server: Server) -> None:
    numbers = iter(range(AT_ONCE))

    def register() -> requests.Response:
        person = {"name": "Ada", "username": "ada", "email": f"ada{next(numbers)}@example.com", "password": PASSWORD}
        return requests.post(f"{server.api}/user", json=person, timeout=30)

    responses = at_once(register)

    assert Counter(response.status_code for response in responses) == {201: 1, 422: 15}


def test_one_cookie_refreshed_16_times_at_once_has_one_live_successor(server: Server, alice: Any) -> None:
    login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)
    cookies = {"refresh_token": login.cookies["refresh_token"]}

    responses = at_once(lambda: requests.post(f"{server.api}/refresh", cookies=cookies, timeout=30))

    assert {response.status_code for response in responses} == {200}
    assert len({response.cookies["refresh_token"] for response in responses}) == 1
    assert Session.objects.alive().get().generation == 1


def test_in_200_rounds_of_16_each_cookie_has_one_successor(server: Server, alice: Any) -> None:
    login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)
    cookie, lineage = login.cookies["refresh_token"], []

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(200):
            barrier = Barrier(AT_ONCE)

            def refresh(present: str = cookie, barrier: Barrier = barrier) -> requests.Response:
                barrier.wait()
                return requests.post(f"{server.api}/refresh", cookies={"refresh_token": present}, timeout=30)

            responses = [future.result() for future in [pool.submit(refresh) for _ in range(AT_ONCE)]]
            lineage.append({(response.status_code, response.cookies.get("refresh_token", "")) for response in responses})
            cookie = responses[0].cookies["refresh_token"]

    assert [len(successors) for successors in lineage] == [1] * 200
    assert {status for successors in lineage for status, _ in successors} == {200}
    assert Session.objects.alive().get().generation == 200


def test_an_ended_session_is_refused_by_every_process(server: Server, alice: Any) -> None:
    login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30)
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    requests.post(f"{server.api}/logout", headers=headers, timeout=30)

    responses = at_once(lambda: requests.get(f"{server.api}/user/me/", headers=headers, timeout=30))

    assert {response.status_code for response in responses} == {401}
