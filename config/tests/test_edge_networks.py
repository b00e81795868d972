"""
Whom NGINX believes, whom it lets in, and which web server it asks.
"""

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from common.tests.ports import free_port
from common.tests.servers import answers, started, wait_until

from .production import Nginx, Production, needs_nginx, production, proxied

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """
    A site behind a CDN, which the tests speak for.
    """
    variables = {"WEB_CONCURRENCY": "1", "TRUSTED_PROXY_COUNT": "2", "METRICS_NETWORKS": "127.0.0.0/8,192.0.2.0/24"}
    edge = {"CDN_NETWORKS": "127.0.0.1, 198.51.100.0/24", "METRICS_NETWORKS": variables["METRICS_NETWORKS"]}
    with production(tmp_path_factory.mktemp("networks"), servers=1, edge=edge, **variables) as running:
        yield running


def addresses_seen(nginx: Nginx, running: Production, **headers: str) -> tuple[str, str]:
    """
    Return the client's address by the logs of NGINX and of the application.
    """
    session = nginx.session()
    response = session.get(f"{nginx.api}/users", headers=headers, timeout=10)
    edge, request_id = nginx.line_of(response), response.headers["X-Request-ID"]
    (web,) = [
        line for line in running.servers[0].lines() if line.get("request_id") == request_id and line.get("event") == "Request finished"
    ]
    return edge["address"], web["address"]


@needs_nginx
@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("192.0.2.7, 203.0.113.9", "203.0.113.9"),
        ("192.0.2.7, 203.0.113.9, 198.51.100.4", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_address_behind_a_cdn_is_the_one_it_appended(running: Production, forwarded: str, address: str) -> None:
    assert addresses_seen(running.nginx, running, **{"X-Forwarded-For": forwarded}) == (address, address)


@needs_nginx
def test_who_comes_past_the_cdn_is_not_believed(running: Production, tmp_path: Path) -> None:
    with proxied(tmp_path / "nginx", WEB_SERVERS=running.web_servers, CDN_NETWORKS="198.51.100.0/24") as nginx:
        forged = {"X-Forwarded-For": "192.0.2.7, 203.0.113.9", "X-Forwarded-Proto": "http"}

        assert addresses_seen(nginx, running, **forged) == ("127.0.0.1", "127.0.0.1")
        assert nginx.lines()[-1]["scheme"] == "https"


@needs_nginx
def test_the_scheme_behind_a_cdn_is_the_one_it_names(running: Production) -> None:
    session = running.nginx.session()

    def get(scheme: str) -> int:
        headers = {"X-Forwarded-Proto": scheme}
        return session.get(f"{running.nginx.api}/users", headers=headers, allow_redirects=False, timeout=10).status_code

    by_scheme = {scheme: get(scheme) for scheme in ("https", "http", "nonsense")}

    assert by_scheme == {"https": 200, "http": 301, "nonsense": 200}


@needs_nginx
def test_tls_may_end_elsewhere(running: Production, tmp_path: Path) -> None:
    variables = {"WEB_SERVERS": running.web_servers, "TLS": "off", "CDN_NETWORKS": "127.0.0.1"}
    with proxied(tmp_path / "nginx", **variables) as nginx:
        secure = requests.get(f"{nginx.plain_url}/api/v1/users", headers={"X-Forwarded-Proto": "https"}, allow_redirects=False, timeout=10)
        plain = requests.get(f"{nginx.plain_url}/api/v1/users", allow_redirects=False, timeout=10)

        assert not answers(nginx.https_port)
    assert secure.status_code == 200
    assert (plain.status_code, plain.headers["Location"].split("/")[0]) == (301, "https:")


@needs_nginx
@pytest.mark.parametrize(("address", "status"), [("192.0.2.5", 200), ("203.0.113.9", 404)])
def test_metrics_are_told_to_some_networks(running: Production, address: str, status: int) -> None:
    response = running.nginx.session().get(f"{running.nginx.url}/metrics", headers={"X-Forwarded-For": address}, timeout=10)

    assert response.status_code == status
    assert running.nginx.line_of(response)["upstream"] == (running.web_servers if status == 200 else "")


@needs_nginx
def test_the_admin_opens_to_its_networks(running: Production, tmp_path: Path) -> None:
    variables = {"WEB_SERVERS": running.web_servers, "CDN_NETWORKS": "127.0.0.1", "ADMIN_NETWORKS": "192.0.2.0/24"}
    with proxied(tmp_path / "nginx", **variables) as nginx:
        statuses = [
            nginx.session().get(f"{nginx.url}/admin/login/", headers={"X-Forwarded-For": address}, timeout=10).status_code
            for address in ("192.0.2.5", "203.0.113.9")
        ]

    assert statuses == [200, 404]


@needs_nginx
def test_another_web_server_answers_where_one_is_down(running: Production, tmp_path: Path) -> None:
    with proxied(tmp_path / "nginx", WEB_SERVERS=f"127.0.0.1:{free_port()},{running.web_servers}") as nginx:
        session = nginx.session()

        def register(name: str) -> int:
            user = {"name": "Carol", "username": name, "email": f"{name}@example.com", "password": "Str1ngst!"}
            return session.post(f"{nginx.api}/user", json=user, timeout=10).status_code

        reads = {session.get(f"{nginx.api}/users", timeout=10).status_code for _ in range(10)}
        writes = {register(f"carol{number}") for number in range(5)}

    assert (reads, writes) == ({200}, {201})
    assert any("," in line["upstream"] for line in nginx.lines())


@needs_nginx
@pytest.mark.parametrize(("method", "attempts"), [("GET", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)])
def test_only_an_idempotent_request_is_sent_again(tmp_path: Path, method: str, attempts: int) -> None:
    with dying() as first, dying() as second, proxied(tmp_path / "nginx", WEB_SERVERS=f"{first} {second}") as nginx:
        response = nginx.session().request(method, f"{nginx.api}/users", timeout=10)

    assert response.status_code == 502
    assert len(nginx.line_of(response)["upstream"].split(",")) == attempts


@contextmanager
def dying() -> Iterator[str]:
    """
    Listen, read what each connection says and close it without an answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@needs_nginx
def test_a_static_file_that_one_web_server_lacks_comes_from_another(running: Production, tmp_path: Path) -> None:
    port = free_port()
    without = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with started(without, tmp_path / "without.log"):
        wait_until(lambda: answers(port), what="a server without files")
        with proxied(tmp_path / "nginx", WEB_SERVERS=f"127.0.0.1:{port} {running.web_servers}") as nginx:
            session = nginx.session()
            form = running.nginx.session().get(f"{running.nginx.url}/admin/login/", timeout=10)
            names = re.findall(r'(?:href|src)="(/static/[^"]+)"', form.text)

            statuses = {name: session.get(f"{nginx.url}{name}", timeout=10).status_code for name in names}

    assert set(statuses.values()) == {200}
    assert any(line["upstream_status"] == "404, 200" for line in nginx.lines())
