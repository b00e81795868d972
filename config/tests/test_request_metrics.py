import os
import random
import signal
import string
import time
import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.test import APIClient

from common.metrics import MetricsMiddleware
from common.tests.servers import Server, wait_until

from .processes import are_replaced, workers

pytestmark = pytest.mark.django_db(transaction=True)


def samples(server: Server) -> dict[str, float]:
    """
    Return each series that `/metrics` shows, with its value.
    """
    lines = requests.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def requested(server: Server, route: str, status: int, method: str = "GET") -> float:
    return samples(server).get(f'http_requests_total{{method="{method}",route="{route}",status="{status}"}}', 0)


def test_requests_are_counted_by_route_and_status_over_all_processes(serve: Callable[..., Server], alice: Any) -> None:
    server = serve(WEB_CONCURRENCY="3")
    urls = [f"{server.api}/user/alice"] * 20 + [f"{server.api}/user/nobody"] * 10 + [f"{server.api}/users"] * 10

    # Each on a connection of its own, so that all processes have a part in it.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda url: requests.get(url, timeout=10), urls))

    assert requested(server, "/api/v1/user/{username}", 200) == 20
    assert requested(server, "/api/v1/user/{username}", 404) == 10
    assert requested(server, "/api/v1/users", 200) == 10
    assert samples(server)['http_request_duration_seconds_count{route="/api/v1/user/{username}"}'] == 30
    assert samples(server)['http_request_duration_seconds_bucket{le="+Inf",route="/api/v1/users"}'] == 10


def test_what_a_worker_counted_outlives_it_without_further_files(serve: Callable[..., Server]) -> None:
    server = serve(WEB_CONCURRENCY="2")
    for _ in range(10):
        requests.get(f"{server.url}/health", timeout=10)
    files = _metrics_files(server)

    for _ in range(3):
        wait_until(lambda: len(workers(server)) == 2, what="both workers")
        before = workers(server)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        wait_until(partial(are_replaced, server, before), what="new workers")
        assert requests.get(f"{server.url}/health", timeout=10).status_code == 200

    assert requested(server, "/health", 200) == 13
    assert len(_metrics_files(server)) <= len(files) + 2


def _metrics_files(server: Server) -> list[Path]:
    """
    Return the files in which the server's processes count, found by those that the first of them holds open.
    """
    opened = []
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.append(descriptor.readlink())
    folder = next(file.parent for file in opened if file.suffix == ".db" and file.parent.name.startswith("metrics-"))
    return sorted(folder.iterdir())


def test_a_thousand_random_requests_add_no_series(serve: Callable[..., Server]) -> None:
    server = serve(WEB_CONCURRENCY="1")
    session = requests.Session()
    random.seed(1)

    def word() -> str:
        return "".join(random.choices(string.ascii_lowercase, k=8))

    def ask(count: int) -> None:
        for _ in range(count):
            session.request("GET", f"{server.url}/{word()}", timeout=10)
            session.request(word().upper(), f"{server.api}/users", timeout=10)
            session.get(f"{server.api}/user/{word()}", headers={"X-Forwarded-For": word()}, timeout=10)
            session.get(f"{server.url}/health", headers={"Host": f"{word()}.example.com"}, timeout=10)
            session.get(f"{server.url}/admin/{word()}/", timeout=10, allow_redirects=False)
            session.get(f"{server.url}/static/{word()}.css", timeout=10)

    ask(2)
    samples(server)
    before = set(samples(server))
    ask(170)

    assert set(samples(server)) == before
    assert requested(server, "unknown", 404) >= 170
    assert requested(server, "/api/v1/users", 405, "other") == 172


def test_connections_of_the_database_are_shown(serve: Callable[..., Server]) -> None:
    shown = samples(serve())

    assert shown["database_up"] == 1
    assert shown['database_connections{state="active"}'] >= 1
    assert shown["database_connections_limit"] >= shown['database_connections{state="active"}']
    # Of every state there is a number, whoever is in it just then.
    assert 'database_connections{state="idle in transaction (aborted)"}' in shown


def test_without_the_database_the_rest_is_still_shown(serve: Callable[..., Server]) -> None:
    server = serve(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    requests.get(f"{server.url}/health", timeout=10)

    assert samples(server)["database_up"] == 0
    assert requested(server, "/health", 200) == 1


def test_in_a_single_process_they_are_shown_too(client: APIClient) -> None:
    client.get("/health")

    assert 'http_requests_total{method="GET",route="/health",status="200"}' in client.get("/metrics").content.decode()


def test_counting_a_request_takes_less_than_50_microseconds() -> None:
    response = HttpResponse()
    middleware = MetricsMiddleware(lambda _: response)
    request = RequestFactory().get("/health")
    request.resolver_match = APIClient().get("/health").wsgi_request.resolver_match

    seconds = min(timeit.repeat(lambda: middleware(request), timer=time.thread_time, number=1000, repeat=5)) / 1000

    assert seconds < 50e-6
