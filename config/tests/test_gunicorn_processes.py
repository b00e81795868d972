"""
gunicorn's processes: what they share, what not, and that whoever asks while they come and go is answered.
"""

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.db import transaction

from accounts.models import User
from common.tests.concurrency import backends, waiting
from common.tests.servers import Server, wait_until
from conftest import PASSWORD

from .processes import are_replaced, connections, private_bytes, workers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
MEBIBYTE = 1024 * 1024


def ask(server: Server, path: str = "/health") -> int:
    """
    Return the status of an answer on a connection of its own.
    """
    client = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    try:
        client.request("GET", path)
        return client.getresponse().status
    finally:
        client.close()


def ask_all(server: Server, path: str = "/health") -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(server, path), range(80))) == {200}


@contextmanager
def asking(server: Server) -> Iterator[list[Any]]:
    """
    Ask all the time, from four sides, and collect each status or error.
    """
    answers: list[Any] = []
    stopped = threading.Event()

    def go_on() -> None:
        while not stopped.is_set():
            try:
                answers.append(ask(server))
            except OSError as exc:
                answers.append(repr(exc))

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


class TestFork:
    def test_no_connection_is_older_than_the_worker_that_has_it(self, serve: Callable[..., Server], alice: User) -> None:
        server = serve(WEB_CONCURRENCY="3")
        wait_until(lambda: len(workers(server)) == 3, what="the workers")
        wait_until(lambda: all(not connections(pid) for pid in workers(server)), what="the workers to be without connections")
        assert connections(server.process.pid) == set()

        ask_all(server, "/api/v1/users?cursor=")
        ask_all(server, "/health/ready")

        assert connections(server.process.pid) == set()
        held = [connections(pid) for pid in workers(server)]
        # PostgreSQL, the cache and the limits.
        assert all(len(each) >= 3 for each in held)
        assert len(set().union(*held)) == sum(len(each) for each in held)

    def test_the_database_knows_each_worker_apart(self, serve: Callable[..., Server], alice: User) -> None:
        server = serve(WEB_CONCURRENCY="2", PGAPPNAME="apart")

        ask_all(server, "/api/v1/users?cursor=")

        assert len(backends("apart")) >= 2

    def test_a_worker_has_little_memory_of_its_own(self, serve: Callable[..., Server], alice: User) -> None:
        server = serve(WEB_CONCURRENCY="2")

        ask_all(server, "/api/v1/users?cursor=")

        assert max(private_bytes(pid) for pid in workers(server)) < 60 * MEBIBYTE

    def test_a_worker_keeps_little_of_what_it_needed_for_a_moment(self, serve: Callable[..., Server], alice: User) -> None:
        server = serve(WEB_CONCURRENCY="1", LOGIN_RATE_LIMIT="0", LOGIN_FAILURE_LIMIT="0")

        def log_in(_: int) -> int:
            return requests.post(f"{server.api}/login", {"username": "alice", "password": PASSWORD}, timeout=30).status_code

        # As many as may hash at once; others would be sent away where it takes long.
        with ThreadPoolExecutor(2) as pool:
            assert set(pool.map(log_in, range(40))) == {200}
        for _ in range(10):
            ask_all(server, "/api/v1/users")

        assert max(private_bytes(pid) for pid in workers(server)) < 60 * MEBIBYTE

    def test_each_worker_gets_a_share_of_the_connections(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_CONCURRENCY="2")
        wait_until(lambda: len(workers(server)) == 2, what="the workers")
        host = urlsplit(server.url).netloc
        clients = [http.client.HTTPConnection(host, timeout=20) for _ in range(60)]

        for client in clients:
            client.request("GET", "/health")
            assert client.getresponse().read()

        # The kernel spreads them by a hash: none gets less than a fifth but once in a hundred thousand.
        assert min(len(connections(pid)) for pid in workers(server)) >= 12
        for client in clients:
            client.close()


class TestStopping:
    def test_a_request_in_flight_is_finished(self, serve: Callable[..., Server], alice: User) -> None:
        server = serve()
        login = requests.post(f"{server.api}/login", {"username": "alice", "password": PASSWORD}, timeout=10)
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                User.objects.select_for_update().get(pk=alice.pk)
                change = pool.submit(requests.patch, f"{server.api}/user/alice", json={"name": "Late"}, headers=headers, timeout=20)
                wait_until(waiting, what="the request to wait for the row")
                server.process.send_signal(signal.SIGTERM)
                time.sleep(1)
                assert not change.done()
            answer = change.result()

        assert (answer.status_code, answer.json()) == (200, {"message": "User updated"})
        assert server.process.wait(40) == 0
        alice.refresh_from_db()
        assert alice.name == "Late"


class TestReplacement:
    def test_a_reload_fails_nobody(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_CONCURRENCY="2")
        wait_until(lambda: len(workers(server)) == 2, what="the workers")
        before = workers(server)

        with asking(server) as answers:
            for _ in range(2):
                generation = workers(server)
                server.process.send_signal(signal.SIGHUP)
                wait_until(partial(are_replaced, server, generation), seconds=60, what="new workers")

        assert set(answers) == {200}
        assert not workers(server) & before

    def test_workers_that_are_replaced_after_many_requests_fail_nobody(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_CONCURRENCY="2", GUNICORN_CMD_ARGS="--max-requests 40 --max-requests-jitter 20")
        before = workers(server)

        with asking(server) as answers:
            wait_until(lambda: not workers(server) & before, what="both workers to be replaced")

        assert set(answers) == {200}

    def test_what_waits_for_a_worker_that_was_killed_is_answered_by_another(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_CONCURRENCY="2")
        ask_all(server)
        stuck, *_ = workers(server)

        os.kill(stuck, signal.SIGSTOP)
        try:
            ask_all(server)
        finally:
            os.kill(stuck, signal.SIGCONT)
