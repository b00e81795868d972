"""
What NGINX decides by itself: its own refusals, who is believed about addresses, who may enter, and which server answers.
"""

import http.client
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.ports import free_port
from common.tests.servers import wait_until

from .production import Nginx, Production, needs_nginx, production, proxied

pytestmark = [needs_nginx, pytest.mark.django_db(transaction=True), pytest.mark.slow]

FORGED = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Real-IP": "192.0.2.7",
    "Forwarded": "for=192.0.2.7;proto=http;host=evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "81",
    "X-Forwarded-Ssl": "off",
    "X-Forwarded-Protocol": "http",
    "CF-Connecting-IP": "192.0.2.7",
    "True-Client-IP": "192.0.2.7",
    "X_Forwarded_For": "192.0.2.7",
}


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("edge")
    with production(
        folder, servers=1, WEB_CONCURRENCY="1", LOGIN_RATE_LIMIT="2/31536000", METRICS_NETWORKS="127.0.0.0/8,192.0.2.0/24"
    ) as running:
        yield running


@contextmanager
def sent(nginx: Nginx, data: bytes, *, tls: bool = True) -> Iterator[socket.socket]:
    """
    Send bytes, and yield the connection on which NGINX may answer.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", nginx.https_port), 10))
        if tls:
            connection = stack.enter_context(nginx.tls.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(data)
        yield connection


def spoken(nginx: Nginx, data: bytes, *, tls: bool = True) -> tuple[http.client.HTTPResponse, bytes]:
    """
    Send bytes that no client would, and return the answer.
    """
    with sent(nginx, data, tls=tls) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response, response.read()


HOST = b"Host: localhost\r\n"
# One of each location that hands requests on.
HANDED_ON = ["/api/v1/login", "/static/x.css", "/admin/login/", "/metrics"]
REFUSALS = {
    "a request line that is too long": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "URI Too Long."),
    "a header that is too large": (
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 9000 + b"\r\n\r\n",
        431,
        "Request header fields too large.",
    ),
    "a method that is none": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "Bad request."),
    "a method that proxies know": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405, "Method not allowed."),
    "a version that is none": (b"GET / HTTP/9.1\r\n" + HOST + b"\r\n", 505, "HTTP version not supported."),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "Bad request."),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "Bad request."),
    "a host that is none": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Bad request."),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, "Bad request."),
    "a coding that is none": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n", 501, "Not implemented."),
    "a NUL in the path": (b"GET /api/v1/user/%00 HTTP/1.1\r\n" + HOST + b"\r\n", 404, "Not found."),
    "a path that is badly coded": (b"GET /api/v1/user/%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400, "Bad request."),
    "a path above the root": (b"GET /../x HTTP/1.1\r\n" + HOST + b"\r\n", 404, "Not found."),
    "a page of NGINX's own": (b"GET /.error HTTP/1.1\r\n" + HOST + b"\r\n", 404, "Not found."),
}


BODIES = {
    "far too large": (b"Content-Length: 9000000\r\n\r\n", 413, "Request body too large."),
    "far too large, in chunks": (
        b"Transfer-Encoding: chunked\r\n\r\n200000\r\n" + b"x" * 0x200000 + b"\r\n0\r\n\r\n",
        413,
        "Request body too large.",
    ),
    "in chunks that are none": (b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "Bad request."),
}


def assert_refusal(response: Any, body: bytes, status: int, sentence: str) -> None:
    assert (response.status, body.decode()) == (status, f'{{"detail": "{sentence}"}}')
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert len(response.headers["X-Request-ID"]) == 32
    assert response.headers["Server"] == "nginx"


@pytest.mark.parametrize("name", REFUSALS)
def test_nginx_refuses_as_the_application_does(running: Production, name: str) -> None:
    data, status, sentence = REFUSALS[name]

    response, body = spoken(running.nginx, data)

    assert_refusal(response, body, status, sentence)


@pytest.mark.parametrize("path", HANDED_ON)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_refused_as_the_application_does(running: Production, name: str, path: str) -> None:
    data, status, sentence = BODIES[name]

    response, body = spoken(running.nginx, f"POST {path} HTTP/1.1\r\n".encode() + HOST + data)

    assert_refusal(response, body, status, sentence)


def test_plain_http_on_the_tls_port_is_refused_in_json(running: Production) -> None:
    response, body = spoken(running.nginx, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", tls=False)

    assert_refusal(response, body, 400, "This port speaks HTTPS only.")


def test_an_unknown_host_is_refused_by_the_application(running: Production) -> None:
    response = running.nginx.session().get(running.nginx.api + "/users", headers={"Host": "evil.example"}, timeout=10)

    assert (response.status_code, response.json()) == (400, {"detail": "Bad request."})


def test_a_web_server_that_is_away_is_502(tmp_path: Path) -> None:
    with proxied(tmp_path / "nginx", WEB_SERVERS=f"127.0.0.1:{free_port()} 127.0.0.1:{free_port()}") as nginx:
        responses = [nginx.session().get(f"{nginx.url}{path}", timeout=10) for path in HANDED_ON]

    for response in responses:
        assert_refusal(response.raw, response.content, 502, "The service is away for a moment. Try again.")
        assert response.headers["Retry-After"] == "1"


def test_the_log_of_requests_names_no_query_and_that_of_errors_does(tmp_path: Path) -> None:
    with proxied(tmp_path / "nginx", WEB_SERVERS=f"127.0.0.1:{free_port()}") as nginx:
        response = nginx.session().get(f"{nginx.api}/users?message=whisper", timeout=10)
        line = nginx.line_of(response)

    assert (line["path"], line["status"]) == ("/api/v1/users", 502)
    naming = [line for line in nginx.log.read_text(encoding="utf-8").splitlines() if "whisper" in line]
    assert any("Connection refused" in line for line in naming)
    assert not any(line.startswith("{") for line in naming)


def test_more_requests_at_once_than_an_address_may_have_are_429(running: Production, tmp_path: Path) -> None:
    # Accepts connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        port = silent.getsockname()[1]
        variables = {
            "WEB_SERVERS": f"127.0.0.1:{port}",
            "CONNECTIONS_PER_ADDRESS": "2",
            "CDN_NETWORKS": "127.0.0.1",
            "METRICS_NETWORKS": "2001:db8::/32",
        }
        nginx = stack.enter_context(proxied(tmp_path / "nginx", **variables))

        def hold(address: str) -> socket.socket:
            head = b"GET /api/v1/users HTTP/1.1\r\n" + HOST + f"X-Forwarded-For: {address}\r\n\r\n".encode()
            return stack.enter_context(sent(nginx, head))

        def get(path: str) -> requests.Response:
            return nginx.session().get(f"{nginx.url}{path}", headers={"X-Forwarded-For": "2001:db8:0:0:ffff::3"}, timeout=10)

        held = [hold(f"2001:db8::{number}") for number in (1, 2)]
        wait_until(lambda: len(_established(port)) == 2, what="two requests to wait")
        refused = [get(path) for path in HANDED_ON]
        held.append(hold("2001:db8:0:1::1"))
        wait_until(lambda: len(_established(port)) == 3, what="the other network's request to wait too")

        for connection in held:
            connection.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                connection.recv(1)
    for response in refused:
        assert_refusal(response.raw, response.content, 429, "Too many requests at once.")
        assert response.headers["Retry-After"] == "1"


def _established(port: int) -> list[str]:
    lines = Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()[1:]
    return [line for line in lines if line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01"]


def test_forged_headers_buy_neither_address_nor_scheme_nor_limit(running: Production) -> None:
    session = running.nginx.session()
    wrong = {"username": "nobody", "password": "Wr0ngpass!"}
    statuses = [session.post(f"{running.nginx.api}/login", data=wrong, headers=forged(n), timeout=10).status_code for n in range(3)]
    redirect = session.get(f"{running.nginx.url}/admin/", headers=FORGED, allow_redirects=False, timeout=10)

    assert statuses == [401, 401, 429]
    assert (redirect.status_code, redirect.headers["Location"]) == (302, "/admin/login/?next=/admin/")
    assert {line["address"] for line in running.servers[0].lines() if line.get("event") == "Request finished"} == {"127.0.0.1"}
    assert {line["address"] for line in running.nginx.lines()} == {"127.0.0.1"}


def forged(number: int) -> dict[str, str]:
    return {name: value.replace("192.0.2.7", f"192.0.2.{number}") for name, value in FORGED.items()}


def test_what_a_client_says_of_its_way_is_not_handed_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web, ThreadPoolExecutor(1) as pool:
        web.settimeout(10)
        with proxied(tmp_path / "nginx", WEB_SERVERS=f"127.0.0.1:{web.getsockname()[1]}") as nginx:
            answer = pool.submit(nginx.session().get, f"{nginx.api}/users", headers=FORGED, timeout=10)
            connection, _ = web.accept()
            with connection, connection.makefile("rb") as request:
                request.readline()
                handed_on = http.client.parse_headers(request)
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            assert answer.result().status_code == 204

    said = {name: value for name, value in handed_on.items() if "forwarded" in name.lower() or name.lower() == "x-real-ip"}
    assert said == {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("claim", [{"X-Forwarded-Ssl": "off"}, {"X-Forwarded-Protocol": "http"}, {"X-Forwarded-Protocol": "nonsense"}])
def test_a_scheme_in_other_headers_neither_counts_nor_harms(running: Production, claim: dict[str, str]) -> None:
    behind = {"Host": "localhost", "X-Forwarded-Proto": "https"}
    responses = [
        running.nginx.session().get(f"{running.nginx.api}/users", headers=claim, allow_redirects=False, timeout=10),
        requests.get(f"http://{running.web_servers}/api/v1/users", headers=claim | behind, allow_redirects=False, timeout=10),
    ]

    assert [response.status_code for response in responses] == [200, 200]


def test_a_forged_scheme_does_not_pass_for_tls(running: Production) -> None:
    response = requests.get(
        f"{running.nginx.plain_url}/health/ready/x", headers={"X-Forwarded-Proto": "https"}, allow_redirects=False, timeout=10
    )

    assert response.status_code == 308


ADMIN_PATHS = ["/admin", "/admin/", "/admin/login/", "/%61dmin/login/", "//admin/login/", "/x/../admin/login/", "/admin%2flogin/%2e%2e/"]


@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_the_admin_may_be_kept_to_some_networks(running: Production, tmp_path: Path, path: str) -> None:
    with proxied(tmp_path / "nginx", WEB_SERVERS=running.web_servers, ADMIN_NETWORKS="192.0.2.0/24, 2001:db8::/32") as nginx:
        response, body = spoken(nginx, f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")

    assert_refusal(response, body, 404, "Not found.")
    assert [line["upstream"] for line in nginx.lines()] == [""]
