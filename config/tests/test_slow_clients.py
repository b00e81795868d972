"""
Clients that send a request byte by byte, to hold what others need.
"""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from common.tests.servers import Server
from config.web_worker import READ_SECONDS

from .production import needs_nginx, production

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

HEADERS = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: "
BODY = b"POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
CHUNKS = BODY.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked").replace(b"\r\n\r\n{", b"\r\n\r\n3e8\r\n{")


class Ending(NamedTuple):
    answer: bytes
    seconds: float


def send_slowly(connection: socket.socket, beginning: bytes, *, pause: float) -> Ending:
    """
    Send the beginning, then a byte after each pause, until the server closes; return what it said and when.
    """
    began, answer = time.monotonic(), b""
    connection.settimeout(pause)
    connection.sendall(beginning)
    while time.monotonic() < began + 90:
        try:
            received = connection.recv(65536)
        except TimeoutError:
            with suppress(ConnectionError):
                connection.sendall(b"x")
            continue
        except ConnectionError:
            received = b""
        answer += received
        if not received:
            return Ending(answer, time.monotonic() - began)
    pytest.fail("The server holds the connection for longer than a minute and a half.")


@contextmanager
def slow_clients(port: int, *beginnings: bytes, pause: float = 1) -> Iterator[list[Ending]]:
    endings: list[Ending] = []
    with ThreadPoolExecutor(len(beginnings)) as pool:
        connections = [socket.create_connection(("127.0.0.1", port), 10) for _ in beginnings]
        futures = [
            pool.submit(send_slowly, connection, beginning, pause=pause)
            for connection, beginning in zip(connections, beginnings, strict=True)
        ]
        time.sleep(1)
        yield endings
        endings += [future.result() for future in futures]
    for connection in connections:
        connection.close()


def test_gunicorn_answers_408_and_serves_others_again(serve: Callable[..., Server]) -> None:
    server = serve(WEB_CONCURRENCY="1", WEB_THREADS="3")
    port = int(server.url.rpartition(":")[2])

    with slow_clients(port, HEADERS, BODY, CHUNKS) as endings:
        # Waits for one of the three threads.
        assert requests.get(f"{server.url}/health", timeout=60).status_code == 200

    for ending in endings:
        head, _, body = ending.answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"application/json" in head
        assert json.loads(body) == {"detail": "Request Timeout."}
        assert READ_SECONDS - 2 < ending.seconds < 60
    log = server.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert requests.get(f"{server.url}/health", timeout=10).status_code == 200


def test_a_connection_that_is_kept_may_be_idle_for_longer(serve: Callable[..., Server]) -> None:
    server = serve(WEB_CONCURRENCY="1", WEB_THREADS="2")
    client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)

    for pause in (READ_SECONDS + 2, 0):
        client.request("GET", "/health")
        assert client.getresponse().read()
        time.sleep(pause)
    client.close()


@needs_nginx
def test_nginx_cuts_them_off_and_none_holds_a_thread(tmp_path: Path) -> None:
    with production(tmp_path, servers=1, edge={"TLS": "off", "CDN_NETWORKS": "127.0.0.1"}, WEB_CONCURRENCY="1", WEB_THREADS="1") as running:
        nginx = running.nginx
        with (
            slow_clients(nginx.http_port, HEADERS, HEADERS, HEADERS) as late_headers,
            slow_clients(nginx.http_port, BODY, CHUNKS, pause=45) as late_bodies,
        ):
            for _ in range(10):
                forwarded = {"Host": "localhost", "X-Forwarded-Proto": "https"}
                assert requests.get(f"{nginx.plain_url}/health", headers=forwarded, timeout=10).status_code == 200
        # It closes without a word; what it would have said is in its log.
        assert [ending.answer for ending in late_headers + late_bodies] == [b""] * 5
        assert all(13 < ending.seconds < 28 for ending in late_headers)
        assert all(28 < ending.seconds < 60 for ending in late_bodies)
        refused = [line for line in nginx.lines() if line.get("status") == 408]
        assert len(refused) == 5
        assert {line["upstream"] for line in refused} == {""}
        assert not [line for line in running.servers[0].lines() if line.get("route") == "api/v1/login"]
