"""
The environment of the suite: nothing of the developer's is read, neither `.env` nor the servers that it names.

`TEST_DATABASE_URL` and `TEST_REDIS_URL` name other servers than the suite's own. With `TEST_PGBOUNCER` every connection to the test
database goes through a PgBouncer in transaction mode.
"""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from common.tests.ports import take_first
from config import embedded
from config.env import Environment

# Seconds: a machine that stalls is not a Redis that is away.
PATIENCE = 10
PATIENT_QUERY = f"socket_timeout={PATIENCE}&socket_connect_timeout={PATIENCE}"
TEST_DIR = Path(__file__).resolve().parents[2] / ".local" / "test"


def prepare_environment() -> None:
    if "config.settings" in sys.modules:
        pytest.exit("The suite has settings of its own; unset DJANGO_SETTINGS_MODULE and run it again.", 2)
    for name in Environment.model_fields:
        for variable in (name.upper(), f"{name.upper()}_FILE", name):
            os.environ.pop(variable, None)
    os.environ["ENV_FILE"] = ""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["SECRET_KEY"] = "the-suite-has-a-key-of-its-own-that-is-0123456789-long-enough"
    os.environ["CACHE_TIMEOUT_MS"] = f"{PATIENCE * 1000}"
    if os.environ.get("TEST_PGBOUNCER"):
        os.environ["DATABASE_TRANSACTION_POOLING"] = "true"
    slot = _take_slot()
    database_url, redis_url = os.environ.get("TEST_DATABASE_URL", ""), os.environ.get("TEST_REDIS_URL", "")
    services = [name for name, url in (("postgres", database_url), ("valkey", redis_url)) if not url]
    if services:
        own = embedded.ensure(TEST_DIR, services, durable=False)
        database_url, redis_url = database_url or own.database_url, redis_url or own.redis_url(0)
    # pytest-django puts `test_` before the name.
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(database_url)._replace(path=f"/{urlsplit(database_url).path[1:]}_{slot}"))
    for number, service in enumerate(("CACHE", "RATE_LIMIT", "QUEUE")):
        os.environ[f"REDIS_{service}_URL"] = _redis_database(redis_url, slot * 3 + number)
    # Its timeout is no setting. What a URL says comes first.
    limits = os.environ["REDIS_RATE_LIMIT_URL"]
    os.environ["REDIS_RATE_LIMIT_URL"] = f"{limits}{'&' if '?' in limits else '?'}{PATIENT_QUERY}"


def _take_slot() -> int:
    """
    Return the number of a database and of three Redis databases that no other run of the suite uses.
    """
    TEST_DIR.mkdir(parents=True, exist_ok=True)
    # A server of the suite's own has 48 Redis databases, another one usually 16.
    slot = take_first(TEST_DIR / f"slot-{number}.lock" for number in range(5 if os.environ.get("TEST_REDIS_URL") else 16))
    if slot is None:
        pytest.exit("Too many runs of the suite are under way already.", 2)
    return slot


def _redis_database(url: str, number: int) -> str:
    base = url.partition("?")[0]
    return f"{base}?db={number}" if base.startswith("unix:") else urlunsplit(urlsplit(base)._replace(path=f"/{number}"))
