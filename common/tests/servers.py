"""
The processes that tests talk to, each of its own, on the suite's database and Redis.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from .ports import free_port


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


def wait_until(condition: Callable[[], Any], *, seconds: float = 20, what: str | Callable[[], str] = "the condition") -> Any:
    """
    Poll until the condition is true and return what it returned; fail after `seconds` with `what`, which is called then if it can be.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    pytest.fail(f"Waited {seconds} s for {what() if callable(what) else what}.")


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
            command, cwd=settings.BASE_DIR, env=child_environment(**variables), stdout=output, stderr=output, start_new_session=True
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
        wait_until(lambda: serves(port), seconds=60, what=lambda: f"gunicorn: {log.read_text()[-2000:]}")
        yield Server(f"http://127.0.0.1:{port}", process, log)
