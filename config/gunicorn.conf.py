"""
How gunicorn serves `config.wsgi`.
"""

import json
import os
import shutil
import socket
import tempfile
import uuid

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from config.env import load

_env = load()


def _write_error(sock: socket.socket, status: int, reason: str, _message: str) -> None:
    """
    Refuse as the API does what gunicorn cannot hand on, such as a request line that is too long: its own page is HTML.
    """
    body = json.dumps({"detail": f"{reason}."})
    head = (
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/json",
        "Cache-Control: private, no-store",
        f"X-Request-ID: {uuid.uuid4().hex}",
        f"Content-Length: {len(body)}",
    )
    util.write_nonblock(sock, ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1"))


util.write_error = _write_error

bind = f"0.0.0.0:{_env.port}"
workers = _env.web_concurrency
worker_class = "config.web_worker.WebWorker"
# Up to 16 requests of a process wait for a password to be hashed, see accounts/hashers.py; a storm of logins leaves the rest to others.
threads = _env.password_hash_concurrency + 22
timeout = 30
graceful_timeout = 30
keepalive = 5
# The request's own log line says more than gunicorn's access log.
accesslog = None
loglevel = "warning"
control_socket_disable = True

# Where the processes keep their counters, so that each can answer for all; it has to be named before a worker counts anything.
_metrics = tempfile.mkdtemp(prefix="metrics-")
os.environ.update(PROMETHEUS_MULTIPROC_DIR=_metrics)


def child_exit(_server: Arbiter, worker: Worker) -> None:
    from prometheus_client import multiprocess  # It looks at the variable above when it is first imported.

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Arbiter) -> None:
    shutil.rmtree(_metrics, ignore_errors=True)
