"""
A line between this project and a Redis that a test can cut, hold up and slow down.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.connection import parse_url

from .ports import free_port


class Proxy:
    """
    A TCP proxy on loopback in front of the Redis at `url`; `url` of the proxy itself is what a process is told.

    `connections` counts those that were taken, `commands` what was sent to Redis, a pipeline as one.
    """

    def __init__(self, url: str) -> None:
        self.target: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        self.delay = 0.0
        self.connections = self.commands = 0
        # Set while a chunk for Redis waits in a line that is held.
        self.is_holding = threading.Event()
        self._flows = threading.Event()
        self._flows.set()
        self._held_at = self._stranded_at = b""
        # One for each connection that was stranded.
        self.stranded: list[threading.Event] = []
        self._sockets: set[socket.socket] = set()
        # What a test does to the line happens between two steps of the threads that serve it.
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.mend()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/{self.target.get('db', 0)}"

    def cut(self) -> None:
        """
        End every connection and refuse new ones.
        """
        with self._lock:
            ends = (self._listener, *self._sockets)
            self._listener, self._sockets = None, set()
        for end in ends:
            _close(end)

    def mend(self) -> None:
        """
        Take connections.
        """
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def hold(self) -> None:
        """
        Forward nothing, in either direction; what arrives is kept, also when its sender has given up.
        """
        self._flows.clear()

    def hold_at(self, text: bytes) -> None:
        """
        Hold the line as soon as something that holds `text` is sent to Redis, and that first of all.
        """
        self._held_at = text

    def strand_at(self, text: bytes) -> None:
        """
        Let each connection on which something that holds `text` is sent go silent for good: it is neither answered nor closed.
        """
        self._stranded_at = text

    def release(self) -> None:
        """
        End what `hold()`, `hold_at()` and `strand_at()` began; connections that were stranded stay so.
        """
        with self._lock:
            self._held_at = self._stranded_at = b""
            self.is_holding.clear()
            self._flows.set()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    redis = self._connect()
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    if self._listener is not listener:
                        # It was cut meanwhile.
                        _close(client)
                        _close(redis)
                        return
                    self._sockets |= {client, redis}
                line = threading.Event()
                line.set()
                threading.Thread(target=self._pump, args=(client, redis, line, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(redis, client, line, False), daemon=True).start()

    def _connect(self) -> socket.socket:
        if path := self.target.get("path"):
            redis = socket.socket(socket.AF_UNIX)
            redis.connect(path)
            return redis
        redis = socket.create_connection((self.target.get("host", "localhost"), self.target.get("port", 6379)))
        redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return redis

    def _pump(self, source: socket.socket, sink: socket.socket, line: threading.Event, to_redis: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if to_redis:
                    self._note(chunk, line)
                time.sleep(self.delay)
                self._flows.wait()
                line.wait()
                sink.sendall(chunk)
        # Only this direction has ended: what Redis has not read yet still reaches it.
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _note(self, chunk: bytes, line: threading.Event) -> None:
        with self._lock:
            self.commands += 1
            if self._held_at and self._held_at in chunk:
                self._flows.clear()
            if self._stranded_at and self._stranded_at in chunk:
                line.clear()
                self.stranded.append(line)
            if not self._flows.is_set():
                self.is_holding.set()


def _close(end: socket.socket | None) -> None:
    if end is not None:
        # Shut down first: a thread that waits in `recv()` or `accept()` is not woken by a close.
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.release()
        proxy.cut()
        for line in proxy.stranded:
            line.set()
