"""
The gunicorn worker that loses nothing when it stops.
"""

import time
from typing import Any

from django.conf import settings
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

DRAIN_SECONDS = 5.0
# NGINX lets bodies pass that are 64 KiB larger than what the application takes, so that this says its refusal itself.
PASSED_BYTES = 128 * 1024


class _Buffer(bytearray):
    sendall = bytearray.extend


class WholeResponse(wsgi.Response):
    """
    Send the head of a response together with the beginning of its body.

    gunicorn sends them one after the other. Killed in between, it leaves a proxy with a head and no body, which cannot be taken back;
    killed before, with nothing, so that the request may go to the next server.
    """

    sock: Any

    def write(self, arg: bytes) -> None:
        if self.headers_sent:
            super().write(arg)
            return
        connection, self.sock = self.sock, _Buffer()
        try:
            super().write(arg)
        finally:
            whole, self.sock = self.sock, connection
            connection.sendall(whole)


# What gunicorn makes responses of, unless a protocol brings its own.
wsgi.Response = WholeResponse


class WebWorker(ThreadWorker):
    """
    Serve in threads, and on stopping take what has connected already before the listening sockets close.

    gunicorn's own worker stops accepting at once but keeps its sockets until its last connection is done. What connects meanwhile waits in
    the kernel and is reset in the end, and a POST that was reset must not be sent again. Here the queue is emptied and the sockets are
    closed at once: who comes later is refused, so that a proxy asks the next server, or meets the worker that takes over.
    """

    sockets: list[Any]
    # Those of other workers that this process was forked with: while one process has a socket open, the kernel lets clients connect to it.
    inherited: tuple[Any, ...] = ()
    has_left = False

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # gunicorn reads 64 KiB of a body that the application refused unread, and closes the connection on what is left of it: the answer
        # may be lost then. Here all is read that a proxy passes on which holds to the same limit.
        conn.parser.finish_body(deadline=time.monotonic() + DRAIN_SECONDS, max_bytes=settings.MAX_BODY_BYTES + PASSED_BYTES)
        return bool(super()._keepalive_after(conn, keepalive))

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            self._leave()

    def accept(self, listener: Any) -> None:
        if not self.has_left:
            super().accept(listener)

    def _leave(self) -> None:
        for listener in {*self.sockets, *self.inherited}:
            connections = -1
            while connections < self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)
            listener.close()
        self.has_left = True
        self.sockets = []
