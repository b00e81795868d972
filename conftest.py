"""
The cast, the processes that tests talk to, and what the suite does around each test.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import django
import pytest
from celery import current_app

from config.tests.environment import prepare_environment

BASE_DIR = Path(__file__).parent

prepare_environment()
django.setup()
# A process that runs tests for this one would load the settings by it, before its own environment stands.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.cache import caches
from django.test import Client, TransactionTestCase
from rest_framework.test import APIClient

from accounts import guessing
from common import broker, cache_redis, replay, throttling
from common.tests.proxies import Proxy, proxied
from common.tests.rows import remove_rows
from common.tests.servers import Server, served, started, wait_until
from config.tests.pgbouncer import in_between
from tasks import services
from tiers.models import Tier

User = get_user_model()
PASSWORD = "Str1ngst!"
TransactionTestCase._fixture_teardown = remove_rows  # type: ignore[attr-defined]
# A machine that stalls is not a broker that is away, and most tests have no beat that would send later what was not sent.
broker.TIMEOUT_SECONDS = 5.0
SLOW = "run embedded database request_metrics every_ending races key_rotation browser pending_invalidations cache_protocol mails commands"
SLOW += " budgets faults consistency cache_faults cache_outage"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Begin with what takes longest, so that no process is left alone with it at the end.
    """
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in SLOW.split())


def pytest_collection_finish() -> None:
    """
    Spare the collector what stays to the end: it would look through all of it again and again.
    """
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Fail in CI what is skipped elsewhere: there, everything that a test needs is installed.
    """
    report = yield
    # A lone surrogate that a test had logged cannot be sent to the process that reports.
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    if report.skipped and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"Skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with in_between(tmp_path_factory.mktemp("pgbouncer")) if os.environ.get("TEST_PGBOUNCER") else nullcontext():
        yield


@pytest.fixture(autouse=True)
def clean_redis() -> None:
    for outage in (cache_redis.outage, cache_redis.refusals, throttling.outage, services.outage):
        outage.end()
    # One that goes on replaying for the last test would take this one's rows.
    while (thread := replay._replayer.thread) and thread.is_alive():
        thread.join()
    for alias in ("default", "throttle"):
        caches[alias].clear()
    for counted in (throttling._local.windows, guessing._local.names):
        counted.clear()


# Thousands of users share this password, and each hash takes tens of milliseconds.
_hashed = cache(make_password)


def make_user(username: str, *, password: str | None = PASSWORD, is_superuser: bool = False, **fields: Any) -> Any:
    rights = {"is_staff": True, "is_superuser": True, "is_email_verified": True} if is_superuser else {}
    values = {"name": username.title(), "email": f"{username}@example.com", **rights, **fields}
    user = User(username=username, password=_hashed(password), **values)
    user.save()
    return user


@pytest.fixture
def alice(db: None) -> Any:
    return make_user("alice")


@pytest.fixture
def bob(db: None) -> Any:
    return make_user("bob")


@pytest.fixture
def admin(db: None) -> Any:
    return make_user("admin", is_superuser=True)


@pytest.fixture
def free(db: None) -> Tier:
    return Tier.objects.create(name="free")


@pytest.fixture
def pro(db: None) -> Tier:
    return Tier.objects.create(name="pro")


@pytest.fixture
def client() -> APIClient:
    """
    An anonymous caller.
    """
    return APIClient()


@pytest.fixture
def client_for() -> Callable[[Any], APIClient]:
    """
    Log a user in over HTTP and return their client.
    """

    def log_in(user: Any) -> APIClient:
        client = APIClient()
        response = client.post("/api/v1/login", {"username": user.username, "password": PASSWORD})
        assert response.status_code == 200, response.content
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access_token']}")
        return client

    return log_in


@pytest.fixture
def alice_client(client_for: Callable[[Any], APIClient], alice: Any) -> APIClient:
    """
    Alice, logged in.
    """
    return client_for(alice)


@pytest.fixture
def browser(admin: Any) -> Client:
    """
    The superuser's, logged in to the admin.
    """
    from accounts.tests.factories import enter_admin  # It imports this module.

    return enter_admin()


@pytest.fixture
def post(alice: Any) -> Any:
    from posts.tests.factories import make_post  # It imports this module.

    return make_post(alice)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """
    The line to the cache's Redis, which a test may cut or hold up.
    """
    with proxied(os.environ["REDIS_CACHE_URL"]) as proxy:
        yield proxy


@pytest.fixture
def serve(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """
    Start a gunicorn with the given environment: `serve(WEB_CONCURRENCY="4")`.
    """
    with ExitStack() as stack:
        yield lambda **variables: stack.enter_context(served(tmp_path, **variables))


@pytest.fixture(scope="session")
def _shared_servers(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    folder = tmp_path_factory.mktemp("shared")
    with ExitStack() as stack:
        # By what makes them differ.
        running: dict[frozenset[tuple[str, str]], Server] = {}

        def share(**variables: str) -> Server:
            key = frozenset(variables.items())
            if key not in running:
                running[key] = stack.enter_context(served(folder, **variables))
            return running[key]

        yield share


@pytest.fixture
def share(transactional_db: None, _shared_servers: Callable[..., Server]) -> Callable[..., Server]:
    """
    Return a gunicorn with the given environment that other tests use too: `share(WEB_CONCURRENCY="1")`.

    It is for tests that only ask it; one that ends or breaks it, counts what it did or looks for what it has not logged starts its own.
    """
    return _shared_servers


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """
    Start a Celery worker, with `beat=True` one that also runs the schedule; `options` go to its command line.

    It finds nothing of what other tests have sent.
    """
    current_app.control.purge()
    with ExitStack() as stack:

        def start(*, beat: bool = False, options: Sequence[str] = (), **variables: str) -> Any:
            log = tmp_path / f"worker-{time.monotonic_ns()}.log"
            command = [sys.executable, "-m", "celery", "--app", "config", "worker", "--concurrency", "2", *options]
            if beat:
                command += ["--beat", "--schedule", str(tmp_path / f"schedule-{time.monotonic_ns()}")]
            process = stack.enter_context(started([*command, "--loglevel", "info"], log, **variables))
            wait_until(lambda: b" ready." in log.read_bytes(), seconds=60, what="the worker")
            process.log = log  # type: ignore[attr-defined]
            return process

        yield start
