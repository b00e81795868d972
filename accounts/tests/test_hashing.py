"""
Passwords are hashed a few at a time, as often for who is unknown as for who is known, and while others are served.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.hashers import Argon2idHasher, BoundedHasher, HashingBusy
from common.tests.concurrency import at_once
from common.tests.servers import wait_until
from conftest import PASSWORD, make_user

from .factories import API

LOGIN = f"{API}/login"
BUSY = {"detail": "Too many passwords are being checked."}


class Watch:
    """
    Counts the hashes that are computed, and how many of them at once.
    """

    lock = threading.Lock()
    total = now = most = 0

    @classmethod
    def start(cls) -> None:
        cls.total = cls.now = cls.most = 0

    @classmethod
    @contextmanager
    def one(cls) -> Iterator[None]:
        with cls.lock:
            cls.total, cls.now = cls.total + 1, cls.now + 1
            cls.most = max(cls.most, cls.now)
        try:
            yield
        finally:
            with cls.lock:
                cls.now -= 1


class WatchedArgon2(Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = 2, 19 * 1024, 1

    def encode(self, password: str, salt: str) -> str:
        with Watch.one():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with Watch.one():
            return super().verify(password, encoded)


class WatchedHasher(Argon2idHasher, WatchedArgon2):
    """
    The project's hasher, with the watch inside its slots; whoever waits for one gets it, however slow the machine is.
    """

    wait_seconds = 60.0


class ImpatientHasher(Argon2idHasher):
    wait_seconds = 0.05


def counted_hashes(settings: Settings, function: Callable[[], Any]) -> int:
    settings.PASSWORD_HASHERS = ["accounts.tests.test_hashing.WatchedHasher"]
    Watch.start()
    function()
    return Watch.total


@contextmanager
def all_slots_taken(settings: Settings) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["accounts.tests.test_hashing.ImpatientHasher"]
    # A number that no other test uses has slots of its own.
    settings.PASSWORD_HASH_CONCURRENCY = 1
    with BoundedHasher().slot():
        yield


def test_hash_is_argon2id_with_owasps_parameters() -> None:
    assert make_password("x").startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.django_db
class TestUpgrade:
    @pytest.mark.parametrize("algorithm", ["pbkdf2_sha256", "scrypt"])
    def test_older_hash_logs_in_and_is_hashed_anew(self, client: APIClient, alice: Any, algorithm: str) -> None:
        type(alice).objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher=algorithm))

        response = client.post(LOGIN, {"username": "alice", "password": PASSWORD})

        alice.refresh_from_db()
        assert response.status_code == 200
        assert alice.password.startswith("argon2$argon2id$")
        assert check_password(PASSWORD, alice.password)

    def test_wrong_password_leaves_an_older_hash_alone(self, client: APIClient, alice: Any) -> None:
        older = make_password(PASSWORD, hasher="pbkdf2_sha256")
        type(alice).objects.filter(pk=alice.pk).update(password=older)

        client.post(LOGIN, {"username": "alice", "password": "Wr0ngest!"})

        alice.refresh_from_db()
        assert alice.password == older


@pytest.mark.django_db
class TestEnumeration:
    @pytest.mark.parametrize("name", ["alice", "nobody", "nobody@example.com", "deleted", "inactive", "unusable"])
    def test_every_refusal_computes_one_hash(self, client: APIClient, alice: Any, settings: Settings, name: str) -> None:
        make_user("deleted").soft_delete()
        make_user("inactive", is_active=False)
        make_user("unusable", password=None)

        hashes = counted_hashes(settings, lambda: client.post(LOGIN, {"username": name, "password": "Wr0ngest!"}))

        assert hashes == 1

    def test_login_that_succeeds_computes_one_too(self, client: APIClient, alice: Any, settings: Settings) -> None:
        assert counted_hashes(settings, lambda: client.post(LOGIN, {"username": "alice", "password": PASSWORD})) == 1


class TestSlots:
    @pytest.mark.parametrize("slots", [2, 3])
    def test_no_more_run_at_once_than_there_are_slots(self, settings: Settings, slots: int) -> None:
        settings.PASSWORD_HASH_CONCURRENCY = slots

        hashes = counted_hashes(settings, lambda: at_once(*[lambda: make_password("x")] * 12))

        assert (hashes, Watch.most) == (12, slots)

    def test_who_finds_no_slot_is_refused_in_time(self, settings: Settings) -> None:
        with all_slots_taken(settings), pytest.raises(HashingBusy):
            make_password("x")

    @pytest.mark.parametrize("algorithm", ["argon2", "pbkdf2_sha256", "scrypt"])
    def test_slots_are_shared_by_all_hashers_and_given_back(self, settings: Settings, algorithm: str) -> None:
        settings.PASSWORD_HASH_CONCURRENCY = 1

        hashes = [make_password("x", hasher=algorithm) for _ in range(2)]

        assert [check_password("x", encoded) for encoded in hashes] == [True, True]

    def test_slot_of_a_failed_hash_is_given_back(self, settings: Settings) -> None:
        settings.PASSWORD_HASH_CONCURRENCY = 1
        hasher = ImpatientHasher()
        with pytest.raises(AssertionError):
            hasher.verify("x", "md5$x")

        assert hasher.verify("x", hasher.encode("x", "saltsalt"))

    @pytest.mark.django_db
    @pytest.mark.parametrize(("path", "body"), [("login", {}), ("user", {"name": "Carol", "email": "carol@example.com"})])
    def test_busy_process_answers_503_and_when_to_come_back(
        self, client: APIClient, alice: Any, settings: Settings, path: str, body: dict[str, str]
    ) -> None:
        with all_slots_taken(settings):
            response = client.post(f"{API}/{path}", {"username": "alice" if path == "login" else "carol", "password": PASSWORD, **body})

        assert (response.status_code, response.json(), response["Retry-After"]) == (503, BUSY, "1")

    @pytest.mark.django_db
    def test_busy_process_counts_no_failure(self, client: APIClient, alice: Any, settings: Settings) -> None:
        with all_slots_taken(settings):
            answers = [client.post(LOGIN, {"username": "alice", "password": PASSWORD}).status_code for _ in range(8)]

        assert answers == [503] * 8
        assert client.post(LOGIN, {"username": "alice", "password": PASSWORD}).status_code == 200


def test_others_go_on_while_a_password_is_hashed() -> None:
    """
    Whoever holds the interpreter's lock is never made to give it up here, so the ticks count what a hash leaves to others by itself.
    """
    ticks, is_over, interval = [0], threading.Event(), sys.getswitchinterval()
    hasher = Argon2idHasher()
    encoded = hasher.encode("x", "saltsalt")
    most, deadline = 0, time.monotonic() + 10

    def tick() -> None:
        while not is_over.is_set():
            ticks[0] += 1
            time.sleep(0)

    with ThreadPoolExecutor(1) as pool:
        sys.setswitchinterval(60)
        try:
            pool.submit(tick)
            # The machine may give the other thread no time during one of them.
            while most <= 20 and time.monotonic() < deadline:
                before = ticks[0]
                hasher.verify("x", encoded)
                most = max(most, ticks[0] - before)
        finally:
            is_over.set()
            sys.setswitchinterval(interval)

    assert most > 20


@pytest.mark.django_db(transaction=True)
def test_storm_of_logins_is_answered_to_the_last(serve: Any) -> None:
    for number in range(16):
        make_user(f"user{number}")
    server = serve(WEB_CONCURRENCY="1", PASSWORD_HASH_CONCURRENCY="1")

    def log_in(number: int) -> int:
        body = {"username": f"user{number}", "password": PASSWORD}

        def answer() -> int | None:
            response = requests.post(f"{server.api}/login", body, timeout=30)
            if response.status_code != 503:
                return response.status_code
            time.sleep(int(response.headers["Retry-After"]))
            return None

        return int(wait_until(answer, what=f"the login of user{number}"))

    answers = at_once(*[lambda number=number: log_in(number) for number in range(16)])

    assert answers == [200] * 16


@pytest.mark.django_db(transaction=True)
def test_storm_of_logins_leaves_threads_to_others(serve: Any) -> None:
    make_user("alice")
    server = serve(WEB_CONCURRENCY="1", PASSWORD_HASH_CONCURRENCY="1", LOGIN_RATE_LIMIT="0", LOGIN_FAILURE_LIMIT="0")
    body = {"username": "nobody", "password": "wrong"}

    def log_in() -> int:
        return requests.post(f"{server.api}/login", body, timeout=30).status_code

    def read() -> int:
        return requests.get(f"{server.api}/user/alice", timeout=30).status_code

    answers = at_once(*[log_in] * 60, *[read] * 10)

    # How many are hashed before those who wait give up depends on the machine.
    assert set(answers[:60]) == {401, 503}
    assert answers[60:] == [200] * 10
