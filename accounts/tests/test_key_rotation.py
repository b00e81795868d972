"""
Keys as an operator gives and rotates them: by the environment of real processes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.servers import Server
from config.tests.interpreters import python
from config.tests.test_env import PRODUCTION, SECRET, refusal
from conftest import PASSWORD, make_user

from .test_keys import LAST_KEY, NEXT_KEY, PEMS, header_of, public_pem

Serve = Callable[..., Server]


def log_in(server: Server) -> requests.Session:
    browser = requests.Session()
    token = browser.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=30).json()["access_token"]
    browser.headers["Authorization"] = f"Bearer {token}"
    return browser


def read(server: Server, browser: requests.Session) -> int:
    return browser.get(f"{server.api}/user/me/", timeout=30).status_code


def refresh(server: Server, browser: requests.Session) -> int:
    response = browser.post(f"{server.api}/refresh", timeout=30)
    if response.status_code == 200:
        browser.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
    return response.status_code


def kid(browser: requests.Session) -> Any:
    return header_of(str(browser.headers["Authorization"]).removeprefix("Bearer "))["kid"]


@pytest.fixture
def start(share: Serve, alice_there: None) -> Serve:
    return lambda **variables: share(WEB_CONCURRENCY="1", **variables)


@pytest.fixture
def alice_there(transactional_db: None) -> None:
    make_user("alice")


def test_rotation_logs_nobody_out_while_old_and_new_processes_run(start: Serve) -> None:
    old = start(SECRET_KEY=LAST_KEY, SECRET_KEY_FALLBACKS=NEXT_KEY)
    new = start(SECRET_KEY=NEXT_KEY, SECRET_KEY_FALLBACKS=LAST_KEY)
    browser = log_in(old)
    before = kid(browser)

    found = [
        read(new, browser),
        refresh(new, browser),
        read(old, browser),
        refresh(old, browser),
        read(new, browser),
        refresh(new, browser),
    ]

    assert found == [200] * 6
    assert kid(browser) != before


def test_key_that_is_gone_logs_everybody_out(start: Serve) -> None:
    browser = log_in(start(SECRET_KEY=LAST_KEY))
    other = start(SECRET_KEY=NEXT_KEY)

    assert (read(other, browser), refresh(other, browser)) == (401, 401)


def test_admin_session_outlives_the_rotation(start: Serve) -> None:
    make_user("admin", is_superuser=True)
    old, new = start(SECRET_KEY=LAST_KEY), start(SECRET_KEY=NEXT_KEY, SECRET_KEY_FALLBACKS=LAST_KEY)
    browser = requests.Session()
    browser.get(f"{old.url}/admin/login/", timeout=30)
    form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    browser.post(f"{old.url}/admin/login/", form, timeout=30)

    assert browser.get(f"{new.url}/admin/", timeout=30, allow_redirects=False).status_code == 200


def test_change_to_a_key_file_logs_nobody_out(start: Serve, tmp_path: Path) -> None:
    (tmp_path / "jwt.pem").write_text(PEMS["EdDSA"], encoding="utf-8")
    browser = log_in(start(SECRET_KEY=LAST_KEY))
    files = start(SECRET_KEY=LAST_KEY, SECRET_KEY_FALLBACKS=LAST_KEY, ALGORITHM="EdDSA", JWT_PRIVATE_KEY_FILE=str(tmp_path / "jwt.pem"))
    back = start(SECRET_KEY=LAST_KEY, JWT_PREVIOUS_PUBLIC_KEYS=public_pem(PEMS["EdDSA"]))

    found = [read(files, browser), refresh(files, browser), read(back, browser), refresh(back, browser)]

    assert found == [200] * 4


class TestEnvironment:
    @pytest.mark.parametrize(
        ("variables", "text"),
        [
            ({"ALGORITHM": "ES256"}, "ALGORITHM: Input should be 'HS256', 'HS384', 'HS512', 'RS256' or 'EdDSA'"),
            ({"ALGORITHM": "none"}, "ALGORITHM: Input should be"),
            ({"ALGORITHM": "RS256"}, "JWT_PRIVATE_KEY: is not set; ALGORITHM=RS256 signs with it. Make one with: openssl"),
            ({"ALGORITHM": "EdDSA", "JWT_PRIVATE_KEY": "x"}, "JWT_PRIVATE_KEY: cannot be read as the PEM of a private key"),
            ({"ALGORITHM": "EdDSA", "JWT_PRIVATE_KEY": PEMS["RS256"]}, "JWT_PRIVATE_KEY: is a key for RS256, not for EdDSA"),
            ({"JWT_PREVIOUS_PUBLIC_KEYS": "x"}, "JWT_PREVIOUS_PUBLIC_KEYS: holds something that is no PEM"),
            ({"JWT_PRIVATE_KEY_FILE": "/nowhere/jwt.pem"}, "JWT_PRIVATE_KEY_FILE: cannot be read"),
        ],
    )
    def test_what_cannot_sign_is_refused_in_local_mode_too(self, variables: dict[str, str], text: str) -> None:
        message = refusal(**variables)

        assert f"  {text}" in message
        assert "PRIVATE KEY-----" not in message

    def test_weak_fallback_is_refused_in_production_without_being_told(self) -> None:
        message = refusal(**PRODUCTION, SECRET_KEY_FALLBACKS=f"{SECRET},changethis")

        assert "  SECRET_KEY_FALLBACKS: holds a key (number 2) that is too short" in message
        assert "changethis" not in message

    def test_key_files_start_in_production(self) -> None:
        code = "import config.settings as s; print(s.SIMPLE_JWT['ALGORITHM'], s.SECRET_KEY_FALLBACKS == ['" + NEXT_KEY + "'])"

        result = python(code, **PRODUCTION, ALGORITHM="RS256", JWT_PRIVATE_KEY=PEMS["RS256"], SECRET_KEY_FALLBACKS=NEXT_KEY)

        assert result.stdout.strip() == "RS256 True", result.stderr
