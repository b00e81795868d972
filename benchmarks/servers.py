"""
The production shape on loopback: a PostgreSQL, a Valkey and any number of gunicorns of its own, and a Celery worker where one is needed.
"""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from redis import Redis

from config import embedded
from config.env import BASE_DIR, Environment

from . import processes

CACHE, LIMITS, QUEUE = range(3)
# More connections than the default: more threads than the default are to be tried too. The log is what statements are counted in.
POSTGRES = {"max_connections": "400", "shared_buffers": "512MB", "logging_collector": "on", "log_rotation_size": "0"}


@dataclass(frozen=True)
class Servers:
    directory: Path
    addresses: embedded.Addresses
    environment: Mapping[str, str]

    def database(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.addresses.database_url, autocommit=True)

    def redis(self, database: int) -> Redis:
        client: Redis = Redis.from_url(self.addresses.redis_url(database))
        return client

    def postgres_pids(self) -> list[int]:
        with self.database() as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        return processes.children(int(str(row[0] if row else "").split()[0]))

    def valkey_pids(self) -> list[int]:
        return [int(self.redis(CACHE).info("server")["process_id"])]


@dataclass(frozen=True)
class Web:
    """
    A gunicorn: where it answers, its arbiter, and how many seconds passed from its start to its first answer.
    """

    url: str
    pid: int
    start_seconds: float

    def pids(self) -> list[int]:
        return processes.children(self.pid)


@contextmanager
def servers() -> Iterator[Servers]:
    """
    Run a PostgreSQL that keeps what it commits and a Valkey, and yield them with the environment of production.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        try:
            addresses = embedded.ensure(directory)
            with psycopg.connect(addresses.database_url, autocommit=True) as connection:
                for option, value in POSTGRES.items():
                    connection.execute(f"ALTER SYSTEM SET {option} = '{value}'")
            embedded.stop(directory)
            embedded.ensure(directory)
            yield Servers(directory, addresses, _environment(addresses))
        finally:
            embedded.stop(directory, delete=True)


def _environment(addresses: embedded.Addresses) -> dict[str, str]:
    known = {variable for name in Environment.model_fields for variable in (name.upper(), f"{name.upper()}_FILE", name)}
    # Whoever counts on a machine that stalls gives the cache more time.
    known.remove("CACHE_TIMEOUT_MS")
    redis = {f"REDIS_{name}_URL": addresses.redis_url(number) for number, name in enumerate(("CACHE", "RATE_LIMIT", "QUEUE"))}
    return {name: value for name, value in os.environ.items() if name not in known} | {
        "ENV_FILE": "",
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXY_COUNT": "1",
        "DATABASE_URL": addresses.database_url,
        **redis,
        "BENCH_REDIS_URL": redis["REDIS_CACHE_URL"],
        # Counted as in production, and never reached.
        "DEFAULT_RATE_LIMIT_LIMIT": "2147483647",
        "LOGIN_RATE_LIMIT": "1000000/60",
        "LOGIN_FAILURE_LIMIT": "1000",
    }


@contextmanager
def gunicorn(
    servers: Servers, application: str, *, arguments: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[Web]:
    """
    Run a gunicorn as `config/gunicorn.conf.py` says, with further arguments and variables, its log in a file.

    Its workers are not replaced after so many requests: the bare application would meet that every few seconds, and the API seldom.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (
        "gunicorn",
        "--config",
        "config/gunicorn.conf.py",
        "--bind",
        f"127.0.0.1:{port}",
        "--max-requests",
        "0",
        *arguments,
        application,
    )
    began = time.perf_counter()
    with background(servers, command, f"web-{port}", variables or {}) as process:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() > began + 60:
                raise SystemExit(f"gunicorn did not start: {(servers.directory / f'web-{port}.log').read_text()}")
            time.sleep(0.01)
        yield Web(f"http://127.0.0.1:{port}", process.pid, time.perf_counter() - began)


def _answers(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        client.request("GET", "/health")
        return client.getresponse().status == 200
    return False


@contextmanager
def celery_worker(servers: Servers) -> Iterator[None]:
    """
    Run a worker, and afterwards forget the tasks that it has not come to.
    """
    command = (
        "celery",
        "--app",
        "config",
        "--quiet",
        "worker",
        "--queues",
        "default,slow,mail",
        "--concurrency",
        "2",
        "--loglevel",
        "info",
    )
    log = servers.directory / "worker.log"
    log.write_text("")
    with background(servers, command, "worker", {}) as process:
        deadline = time.monotonic() + 60
        while " ready." not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The worker did not start: {log.read_text()}")
            time.sleep(0.05)
        yield
        # What it holds takes seconds, and nobody waits for it.
        os.killpg(process.pid, signal.SIGKILL)
    servers.redis(QUEUE).flushdb()
    with servers.database() as connection:
        connection.execute("TRUNCATE tasks_task, tasks_idempotencykey")


@contextmanager
def background(servers: Servers, command: Sequence[str], name: str, variables: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with (servers.directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", *command),
            cwd=BASE_DIR,
            env={**servers.environment, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
