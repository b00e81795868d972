"""
The gunicorn worker that loses nothing when it stops, and that nobody holds up by sending slowly.
"""

import errno
import select
import time
from typing import Any

from django.conf import settings
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

# From its first byte on, a request has to be here within this time: each of them holds a thread. NGINX hands on whole requests.
READ_SECONDS = 30.0
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

    req: Any
    sock: Any

    def write(self, arg: bytes) -> None:
        if self.headers_sent:
            super().write(arg)
            return
        self.req.is_answered = True
        connection, self.sock = self.sock, _Buffer()
        try:
            super().write(arg)
        finally:
            whole, self.sock = self.sock, connection
            connection.sendall(whole)


# What gunicorn makes responses of, unless a protocol brings its own.
wsgi.Response = WholeResponse


class TooSlowError(TimeoutError):
    """
    Raised where a request is read that is not here in time; the views' answer to it is 408.
    """

    def __init__(self) -> None:
        # gunicorn passes over connections that break off.
        super().__init__(errno.ECONNRESET, "The request was sent too slowly")


class _Unreader(SocketUnreader):
    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection.sock)
        self.connection = connection
        self.readable = select.poll()
        self.readable.register(self.sock, select.POLLIN)

    def chunk(self, size_hint: int | None = None) -> bytes:
        left = max(0.0, self.connection.read_until - time.monotonic())
        # What gunicorn itself sets where it takes the rest of a body in.
        own: float | None = self.sock.gettimeout()
        if not self.readable.poll(1000 * (left if own is None else min(own, left))):
            self.connection.is_late = True
            raise TooSlowError
        chunk: bytes = super().chunk(size_hint)
        return chunk


class Connection(gthread.TConn):
    """
    A client's connection, from which a request is read for `READ_SECONDS` at most.
    """

    read_until = 0.0
    is_late = False
    request: Any = None

    def init(self) -> None:
        # Called before each request.
        self.read_until = time.monotonic() + READ_SECONDS
        self.is_late, self.request = False, None
        if not self.initialized:
            super().init()
            # TLS and HTTP/2, which are off here and NGINX's matter, have buffers of their own.
            if not self.cfg.is_ssl and not self.is_http2:
                self.parser.unreader = _Unreader(self)


gthread.TConn = Connection


class WebWorker(gthread.ThreadWorker):
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

    def handle(self, conn: Connection) -> Any:
        result = super().handle(conn)
        if conn.is_late and not getattr(conn.request, "is_answered", False):
            util.write_error(conn.sock, 408, "Request Timeout", "")
        return result

    def handle_request(self, req: Any, conn: Connection) -> Any:
        conn.request = req
        return super().handle_request(req, conn)

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
