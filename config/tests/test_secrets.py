"""
What is secret appears neither in the log nor where any user of the machine sees it, in the list of processes.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from common.tests.servers import Server, child_environment, wait_until
from conftest import PASSWORD

from .processes import arguments

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SECRETS = {
    "SECRET_KEY": "signing-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ",
    "SECRET_KEY_FALLBACKS": "earlier-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ",
    "ADMIN_PASSWORD": "first-superuser-Passw0rd",
    "EMAIL_URL": "smtp://mailer:mail-passw0rd@127.0.0.1:1",
    # Nobody listens there, so that the outage is in the log.
    "REDIS_CACHE_URL": "redis://:cache-passw0rd@127.0.0.1:1/0",
}
WORDS = (
    "signing-0123",
    "earlier-0123",
    "first-superuser",
    "mail-passw0rd",
    "cache-passw0rd",
    "database-passw0rd",
    PASSWORD,
    "wrong-Passw0rd",
)
PRODUCTION = {"ENVIRONMENT": "production", "ALLOWED_HOSTS": "127.0.0.1", "TRUSTED_PROXY_COUNT": "1", "DEFAULT_FROM_EMAIL": "a@example.com"}
HTTPS = {"X-Forwarded-Proto": "https"}


def environment() -> dict[str, str]:
    parts = urlsplit(child_environment()["DATABASE_URL"])
    user = parts.username or "postgres"
    # The suite's own server trusts whoever can reach its socket.
    place = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{user}:database-passw0rd@{place}"))
    return {**PRODUCTION, **SECRETS, **({"DATABASE_URL": url} if not parts.password else {})}


def exercise(server: Server) -> list[str]:
    """
    Do what handles secrets, well and badly, and return the tokens that came of it.
    """
    wrong = {"username": "alice", "password": "wrong-Passw0rd"}
    assert requests.post(f"{server.api}/login", wrong, headers=HTTPS, timeout=10).status_code == 401
    login = requests.post(f"{server.api}/login", {"username": "alice", "password": PASSWORD}, headers=HTTPS, timeout=10)
    tokens = [login.json()["access_token"], login.cookies["refresh_token"]]
    bearer = {**HTTPS, "Authorization": f"Bearer {tokens[0]}"}
    assert requests.get(f"{server.api}/user/me/", headers=bearer, timeout=10).status_code == 200
    assert (
        requests.get(f"{server.api}/user/me/", headers={**bearer, "Authorization": f"Bearer {tokens[0]}x"}, timeout=10).status_code == 401
    )
    refresh = requests.post(f"{server.api}/refresh", headers=HTTPS, cookies={"refresh_token": tokens[1]}, timeout=10)
    assert refresh.status_code == 200
    assert requests.post(f"{server.api}/password/forgot", json={"email": "alice@example.com"}, headers=HTTPS, timeout=10).status_code == 202
    assert requests.post(f"{server.api}/user", json={"password": PASSWORD}, headers=HTTPS, timeout=10).status_code == 422
    return [*tokens, refresh.json()["access_token"]]


def test_no_secret_is_in_a_log_or_on_a_command_line(serve: Callable[..., Server], start_worker: Callable[..., Any], alice: Any) -> None:
    variables = environment()
    server, worker = serve(**variables), start_worker(beat=True, **variables)

    words = [*WORDS, *exercise(server)]
    said = (b"send_password_reset", b"failed")
    wait_until(lambda: any(word in worker.log.read_bytes() for word in said), seconds=60, what="the mail to fail")

    lines = arguments(server.process) + arguments(worker)
    log = server.log.read_text(encoding="utf-8") + worker.log.read_text(encoding="utf-8")
    assert "Request finished" in log
    assert [word for word in words if word in log] == []
    assert "gunicorn" in lines
    assert "celery" in lines
    assert [word for word in words if word in lines] == []
