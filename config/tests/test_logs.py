"""
What stands in the log: one line a request, and nothing that lets anybody in.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.servers import Server, wait_until
from conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

STAGING = {"ENVIRONMENT": "staging", "ALLOWED_HOSTS": "127.0.0.1", "TRUSTED_PROXY_COUNT": "1"}
BY_TLS = {"X-Forwarded-Proto": "https"}


def lines_of(log: Path, *, count: int) -> list[dict[str, Any]]:
    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == "Request finished"]

    wait_until(lambda: len(lines()) >= count, what="the log lines")
    return lines()


def test_a_request_is_one_line_of_json(serve: Callable[..., Server], alice: Any) -> None:
    server = serve(**STAGING)
    token = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, headers=BY_TLS, timeout=10).json()[
        "access_token"
    ]
    headers = {**BY_TLS, "Authorization": f"Bearer {token}", "X-Request-ID": "abc-123", "X-Forwarded-For": "203.0.113.9"}

    requests.get(f"{server.api}/user/alice", headers=headers, timeout=10)

    line = lines_of(server.log, count=2)[1]
    assert line["request_id"] == "abc-123"
    assert (line["method"], line["route"], line["status"]) == ("GET", "api/v1/user/<str:username>", 200)
    assert (line["user_id"], line["address"]) == (alice.pk, "203.0.113.9")
    assert line["duration_ms"] > 0


def test_no_token_cookie_password_or_address_of_a_mail_is_in_the_log(serve: Callable[..., Server], alice: Any) -> None:
    server = serve(**STAGING, LOG_LEVEL="DEBUG")
    session = requests.Session()
    login = session.post(f"{server.api}/login", data={"username": alice.email, "password": PASSWORD}, headers=BY_TLS, timeout=10)
    token, cookie = login.json()["access_token"], login.cookies["refresh_token"]
    headers = {**BY_TLS, "Authorization": f"Bearer {token}"}
    session.patch(f"{server.api}/user/alice", json={"email": "new@example.com"}, headers=headers, timeout=10)
    for _ in range(2):
        requests.post(f"{server.api}/refresh", cookies={"refresh_token": cookie}, headers=BY_TLS, timeout=10)
    requests.post(f"{server.api}/login", json={"username": "alice", "password": "a-wrong-password"}, headers=BY_TLS, timeout=10)

    lines_of(server.log, count=5)

    log = server.log.read_text(encoding="utf-8")
    secrets = (token, cookie, token.split(".")[2], PASSWORD, "a-wrong-password", alice.email, "new@example.com")
    assert [secret for secret in secrets if secret in log] == []


def test_the_log_goes_to_a_file_as_well_where_one_is_named(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(LOG_FILE=str(tmp_path / "app.log"))

    requests.get(f"{server.url}/health", headers={"X-Request-ID": "in-the-file"}, timeout=10)

    file = tmp_path / "app.log"
    wait_until(lambda: file.exists() and "in-the-file" in file.read_text(encoding="utf-8"), what="the line")
    assert "in-the-file" in server.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("sent", ["", "with blank", "x" * 65, "semi;colon", "é"])
def test_a_request_id_that_is_not_sane_is_replaced(share: Callable[..., Server], sent: str) -> None:
    server = share()

    answered = requests.get(f"{server.url}/health", headers={"X-Request-ID": sent.encode()}, timeout=10).headers["X-Request-ID"]

    assert answered != sent
    assert len(answered) == 32
