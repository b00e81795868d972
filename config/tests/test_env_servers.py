"""
What may be said of servers and of the pages that are trusted, outside local mode too.
"""

import subprocess
import sys

import pytest

from conftest import BASE_DIR

from .interpreters import bare_environment, python
from .test_env import PRODUCTION, refusal, show


@pytest.mark.parametrize("service", ["CACHE", "RATE_LIMIT", "QUEUE"])
def test_sample_host_of_a_redis_is_refused_by_name(service: str) -> None:
    names = {f"REDIS_{service}_URL": "", f"REDIS_{service}_HOST": "your_host"}

    assert f"  REDIS_{service}_HOST: is a sample value." in refusal(**{**PRODUCTION, **names})


def test_sample_host_of_a_redis_that_is_off_does_not_matter() -> None:
    off = {"CACHE_ENABLED": "false", "REDIS_CACHE_URL": "", "REDIS_CACHE_HOST": "your_host"}

    assert python("import config.settings", **{**PRODUCTION, **off}).returncode == 0


@pytest.mark.parametrize("url", ["smtp://mailer:your_password@mail.example.com", "smtp://your_host"])
def test_sample_mail_server_is_refused(url: str) -> None:
    assert "  EMAIL_URL: holds a sample " in refusal(**PRODUCTION, EMAIL_URL=url, DEFAULT_FROM_EMAIL="no-reply@example.com")


def test_all_that_is_a_sample_is_told_at_once_and_not_repeated() -> None:
    message = refusal(**{**PRODUCTION, "DATABASE_URL": "postgresql://your_postgres_user:your_password@your_server/your_db"})

    assert "  DATABASE_URL: holds a sample host, user, password, name." in message
    assert "your_" not in message


def test_host_and_redis_are_reported_without_what_may_be_a_password() -> None:
    assert "tops3cret" not in refusal(REDIS_CACHE_URL="redis://:tops3cret/x@redis:6379/0")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db/app",
        "postgresql://app@/app?host=%2Fvar%2Frun%2Fpostgresql",
        "postgresql://app@db/app?sslcert=client.pem&sslkey=client.key",
        "postgresql://app:a@db:5432,other:5433/app",
    ],
)
def test_url_of_a_database_may_have_no_password_and_several_hosts(url: str) -> None:
    result = python("import config.settings", **{**PRODUCTION, "DATABASE_URL": url})

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("url", ["redis://redis", "rediss://:secret@redis:6380/1", "unix:///run/valkey.sock?db=1", "redis://[::1]:6379/0"])
def test_redis_may_be_named_in_each_way(url: str) -> None:
    assert show("env.redis_server('cache')", REDIS_CACHE_URL=url) == url


def test_trusted_origins_may_have_a_wildcard_and_pass_djangos_check() -> None:
    origins = "https://*.example.com,https://app.example.org:8443"
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    result = subprocess.run(
        command,
        cwd=BASE_DIR,
        env=bare_environment(**PRODUCTION, CSRF_TRUSTED_ORIGINS=origins),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr


def test_trusted_origins_may_be_plain_http_in_local_mode() -> None:
    assert show("env.csrf_trusted_origins", CSRF_TRUSTED_ORIGINS="http://localhost:3000") == "['http://localhost:3000']"
