"""
The cast, the processes that tests talk to, and what the suite does around each test.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import django
import pytest

from config.tests.environment import prepare_environment

BASE_DIR = Path(__file__).parent

prepare_environment()
django.setup()
# A process that runs tests for this one would load the settings by it, before its own environment stands.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.cache import caches
from django.db import connection
from django.test import TransactionTestCase
from rest_framework.test import APIClient

from common import cache_redis, throttling
from common.tests.rows import remove_rows
from tiers.models import Tier

User = get_user_model()
PASSWORD = "Str1ngst!"
TransactionTestCase._fixture_teardown = remove_rows  # type: ignore[attr-defined]
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
    from config.tests.pgbouncer import in_between  # It imports this module.

    with in_between(tmp_path_factory.mktemp("pgbouncer")) if os.environ.get("TEST_PGBOUNCER") else nullcontext():
        yield


@pytest.fixture(autouse=True)
def clean_redis() -> None:
    for outage in (cache_redis.outage, cache_redis.refusals, throttling.outage):
        outage.end()
    for alias in ("default", "throttle"):
        caches[alias].clear()


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


class Server:
    """
    A gunicorn in a process of its own, on the suite's database and Redis.
    """

    def __init__(self, url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.url = url
        self.api = f"{url}/api/v1"
        self.process = process
        self.log = log


def child_environment(**variables: str) -> dict[str, str]:
    """
    Return the environment of a child process that works on the test database.
    """
    settings = connection.settings_dict
    database_url = os.environ["DATABASE_URL"]
    parts = urlsplit(database_url)
    test_url = urlunsplit(parts._replace(path=f"/{settings['NAME']}"))
    return {**os.environ, "DATABASE_URL": test_url, "PYTHONUNBUFFERED": "1", **variables}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], *, seconds: float = 20, what: str = "the condition") -> Any:
    """
    Poll until the condition is true and return what it returned; fail after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    pytest.fail(f"Waited {seconds} s for {what}.")


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def serves(port: int) -> bool:
    """
    Say whether a process takes connections there: gunicorn listens before it has one that does, and on a socket that it closes again.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.shutdown(socket.SHUT_WR)
            return line.recv(1) == b""
    except OSError:
        return False


@contextmanager
def started(command: list[str], log: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """
    Run a child process; its whole process group is ended afterwards.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=BASE_DIR, env=child_environment(**variables), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def served(folder: Path, **variables: str) -> Iterator[Server]:
    """
    Run a gunicorn with the given environment on a free port.
    """
    port = free_port()
    log = folder / f"web-{port}.log"
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", "config.wsgi"]
    with started(command, log, **variables) as process:
        wait_until(lambda: serves(port), what="gunicorn")
        yield Server(f"http://127.0.0.1:{port}", process, log)


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
    """
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
