"""
The shape of production: NGINX with TLS before two gunicorn servers, a worker and beat.
"""

import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.proxies import proxied as counted
from common.tests.servers import wait_until
from conftest import PASSWORD

from .production import Production, background, json_lines, needs_nginx, production, proxied
from .test_run import README

pytestmark = [needs_nginx, pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production"), METRICS_NETWORKS="192.0.2.0/24") as running:
        yield running


@pytest.fixture(scope="module")
def logs(running: Production) -> Iterator[list[Path]]:
    with background(running) as logs:
        yield logs


@pytest.fixture
def session(running: Production) -> requests.Session:
    return running.nginx.session()


def bearer(running: Production, session: requests.Session, username: str) -> dict[str, str]:
    login = session.post(f"{running.nginx.api}/login", data={"username": username, "password": PASSWORD}, timeout=10)
    assert login.status_code == 200, login.text
    return {"Authorization": f"Bearer {login.json()['access_token']}"}


def test_the_tour_passes(running: Production, logs: list[Path], tmp_path: Path) -> None:
    match = re.search(r"<!-- tour -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert match is not None
    script = match[1].replace("http://127.0.0.1:8000", running.nginx.url)

    tour = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": running.nginx.variables["PATH"], "CURL_CA_BUNDLE": str(running.nginx.certificate)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert '"username":"ada"' in tour.stdout
    assert [value.lower() for value in re.findall(r"x-cache: (\w+)", tour.stdout, re.IGNORECASE)] == ["miss", "hit"]
    assert '"result":"Task hello is complete!"' in tour.stdout


def test_one_request_id_is_in_every_log(running: Production, logs: list[Path], session: requests.Session, alice: Any) -> None:
    headers = bearer(running, session, "alice") | {"X-Request-ID": f"walk-{uuid.uuid4().hex}"}

    response = session.post(f"{running.nginx.api}/tasks/task", params={"message": "hello"}, headers=headers, timeout=10)

    request_id = headers["X-Request-ID"]
    assert (response.status_code, response.headers["X-Request-ID"]) == (201, request_id)
    wait_until(lambda: named(logs[0], request_id), seconds=60, what="the worker's line")
    edge = running.nginx.line_of(response)
    web = [line for server in running.servers for line in server.lines() if line.get("request_id") == request_id]
    assert (edge["path"], edge["status"]) == ("/api/v1/tasks/task", 201)
    assert {line["event"] for line in web} >= {"Request finished"}
    assert [line["event"] for line in named(logs[0], request_id)] == ["Task sample_background_task finished"]


def named(log: Path, request_id: str) -> list[dict[str, Any]]:
    return [line for line in json_lines(log) if line.get("request_id") == request_id]


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "<script>"])
def test_a_request_id_that_is_not_sane_is_replaced(running: Production, session: requests.Session, given: str) -> None:
    response = session.get(f"{running.nginx.api}/users", headers={"X-Request-ID": given}, timeout=10)

    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])
    assert any(line.get("request_id") == response.headers["X-Request-ID"] for server in running.servers for line in server.lines())


@pytest.mark.parametrize("path", ["/api/v1/users?page=2", "/admin/", "/metrics", "/"])
def test_http_is_redirected_to_https(running: Production, path: str) -> None:
    response = requests.post(f"{running.nginx.plain_url}{path}", allow_redirects=False, timeout=10)

    assert (response.status_code, response.headers["Location"]) == (308, f"https://localhost{path}")
    assert response.headers["X-Request-ID"]


def test_the_redirect_leads_to_the_port_that_clients_reach(running: Production, tmp_path: Path) -> None:
    with proxied(tmp_path / "nginx", WEB_SERVERS=running.web_servers) as nginx:
        nginx.reload(HTTPS_PORT=str(nginx.https_port))
        response = nginx.session().get(f"{nginx.plain_url}/api/v1/users?page=2", timeout=10)

    assert [redirect.status_code for redirect in response.history] == [308]
    assert (response.status_code, response.url) == (200, f"{nginx.api}/users?page=2")


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health_is_told_without_tls(running: Production, path: str) -> None:
    response = requests.get(f"{running.nginx.plain_url}{path}", allow_redirects=False, timeout=10)

    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/metrics"])
def test_what_is_not_public_is_404(running: Production, session: requests.Session, path: str) -> None:
    response = session.get(f"{running.nginx.url}{path}", timeout=10)

    assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


def test_every_method_passes(running: Production, session: requests.Session, alice: Any) -> None:
    headers = bearer(running, session, "alice")
    posts = f"{running.nginx.api}/alice/post"
    post = session.post(posts, json={"title": "Hello", "text": "World"}, headers=headers, timeout=10).json()["id"]
    answers = {
        "HEAD": session.head(f"{posts}/{post}", timeout=10),
        "OPTIONS": session.options(f"{posts}/{post}", timeout=10),
        "PATCH": session.patch(f"{posts}/{post}", json={"title": "Hello again"}, headers=headers, timeout=10),
        "PUT": session.put(f"{posts}/{post}", json={}, headers=headers, timeout=10),
        "DELETE": session.delete(f"{posts}/{post}", headers=headers, timeout=10),
    }

    statuses = {method: answer.status_code for method, answer in answers.items()}

    assert statuses == {"HEAD": 200, "OPTIONS": 204, "PATCH": 200, "PUT": 405, "DELETE": 200}
    assert answers["HEAD"].content == b""
    assert {len(answer.raw.headers.getlist("X-Request-ID")) for answer in answers.values()} == {1}


def test_a_body_as_large_as_allowed_passes_and_the_application_refuses_a_larger_one(running: Production, session: requests.Session) -> None:
    login = {"username": "nobody", "password": "x"}
    padding = 1_048_576 - len(str(login).replace("'", '"'))
    # Many times: who closes a connection before all has arrived on it sometimes takes the answer along.
    answers = [
        session.post(f"{running.nginx.api}/login", data=str(login).replace("'", '"') + " " * spaces, headers=JSON, timeout=10)
        for spaces in (padding, *[padding + 1] * 100)
    ]

    assert [answer.status_code for answer in answers] == [401] + [413] * 100
    assert [running.nginx.line_of(answer)["upstream_status"] for answer in answers] == ["401"] + ["413"] * 100


JSON = {"Content-Type": "application/json"}


def test_json_is_compressed_and_not_sent_again_unchanged(running: Production, session: requests.Session, alice: Any) -> None:
    headers = bearer(running, session, "alice")
    text = {"title": "Long", "text": "word " * 1000}
    post = session.post(f"{running.nginx.api}/alice/post", json=text, headers=headers, timeout=10).json()["id"]
    url = f"{running.nginx.api}/alice/post/{post}"

    first = session.get(url, timeout=10)
    second = session.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)

    assert first.headers["Content-Encoding"] == "gzip"
    assert int(first.raw.tell()) < 1000 < len(first.content)
    assert {"Accept-Encoding", "Authorization"} <= {name.strip() for name in first.headers["Vary"].split(",")}
    assert (second.status_code, second.content) == (304, b"")


def test_the_admin_works_with_its_forms_and_static_files(running: Production, session: requests.Session, admin: Any) -> None:
    form = session.get(f"{running.nginx.url}/admin/login/", timeout=10)
    credentials = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    page = session.post(
        f"{running.nginx.url}/admin/login/?next=/admin/", credentials, headers={"Referer": f"{running.nginx.url}/admin/login/"}, timeout=10
    )

    assert page.status_code == 200
    assert "Log out" in page.text
    assert "Content-Encoding" not in page.headers
    assert {cookie.name: cookie.secure for cookie in session.cookies} == {"csrftoken": True, "sessionid": True}
    names = re.findall(r'(?:href|src)="(/static/[^"]+)"', form.text)
    assert names
    assert all(re.search(r"\.[0-9a-f]{12}\.\w+$", name) for name in names)


def test_static_files_are_kept_for_good_and_by_nginx_itself(running: Production, session: requests.Session) -> None:
    form = session.get(f"{running.nginx.url}/admin/login/", timeout=10)
    sheet = re.findall(r'href="(/static/[^"]+\.css)"', form.text)[0]

    answers = [session.get(f"{running.nginx.url}{sheet}", timeout=10) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["Content-Type"].startswith("text/css")
    assert "immutable" in answers[1].headers["Cache-Control"]
    assert int(re.findall(r"max-age=(\d+)", answers[1].headers["Cache-Control"])[0]) >= 31_536_000
    assert answers[0].headers["X-Request-ID"] != answers[1].headers["X-Request-ID"]
    assert running.nginx.line_of(answers[1])["cache"] == "HIT"


def test_http_2_is_spoken(running: Production) -> None:
    command = ["curl", "--silent", "--http2", "--write-out", "%{http_version} %{http_code}", "--output", "/dev/null"]
    version = subprocess.run(
        [*command, "--cacert", str(running.nginx.certificate), f"{running.nginx.api}/users"], capture_output=True, text=True, check=True
    )

    assert version.stdout == "2 200"


def test_connections_to_the_web_servers_are_kept(running: Production, tmp_path: Path) -> None:
    with (
        counted(f"redis://{running.servers[0].address}") as line,
        proxied(tmp_path / "nginx", WEB_SERVERS=f"127.0.0.1:{line.port}") as nginx,
    ):
        session = nginx.session()
        assert [session.get(f"{nginx.url}/health", timeout=10).status_code for _ in range(20)] == [200] * 20

    # One, and another after each second in which nothing was asked.
    assert 1 <= line.connections < 20
