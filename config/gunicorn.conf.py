"""
How gunicorn serves `config.wsgi`.
"""

import json
import logging
import socket
import sys
import uuid

import structlog
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from common.headers import SECURITY_HEADERS
from config import listeners, memory, process_metrics
from config.capacity import worker_count
from config.env import load

_env = load()


def _write_error(sock: socket.socket, status: int, reason: str, _message: str) -> None:
    """
    Refuse as the API does what gunicorn cannot hand on, such as a request line that is too long: its own page is HTML.
    """
    request_id = uuid.uuid4().hex
    structlog.stdlib.get_logger("request").warning("Request refused", request_id=request_id, status=status, reason=reason)
    body = json.dumps({"detail": f"{reason}."})
    head = (
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/json",
        "Cache-Control: private, no-store",
        f"X-Request-ID: {request_id}",
        *(f"{name}: {value}" for name, value in SECURITY_HEADERS.items()),
        f"Content-Length: {len(body)}",
    )
    util.write_nonblock(sock, ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1"))


util.write_error = _write_error


class ProjectLogger(Logger):
    """
    Have gunicorn's own messages look like all others.
    """

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.filters = [_is_harmless]
        self.error_log.propagate = True


def _is_harmless(record: logging.LogRecord) -> bool:
    # It repeats what was sent, which may be a header with a token in it; `_write_error` has a line of its own.
    return not record.getMessage().startswith("Invalid request from ")


bind = f"0.0.0.0:{_env.port}"
workers = _env.web_concurrency or worker_count()
worker_class = "config.web_worker.WebWorker"
threads = _env.web_threads
# What is loaded is shared by all workers, and a new one starts in no time. Code that is to be loaded anew must not be loaded before.
preload_app = "--reload" not in sys.argv
# A worker is replaced now and then, each at another time, so that what a library leaks does not add up.
max_requests = 20_000
max_requests_jitter = 4_000
# Seconds after which a worker that does not get on is killed; a slow request alone is none.
timeout = 30
# Seconds in which a worker that is told to stop finishes what it serves.
graceful_timeout = 30
# Longer than a proxy keeps an idle connection (60 s), so that it never sends a request into one that is being closed here.
keepalive = 75
# Who may say that a request came by TLS. `common.wsgi` holds X-Forwarded-For to the same networks.
forwarded_allow_ips = ",".join(_env.trusted_proxy_networks)
# The one header by which they say it. gunicorn refuses a request in which others, as a client may send them, contradict it.
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
# By default they may also say which path was asked for, in headers that proxies hand on as clients send them. Without a name in it gunicorn
# drops every header that has an underscore.
forwarder_headers = ""
# The request's own log line says more than gunicorn's access log.
accesslog = None
loglevel = "warning"
logger_class = ProjectLogger
control_socket_disable = True
on_starting = listeners.open_sockets
pre_fork = listeners.take_place

process_metrics.begin()
memory.give_large_blocks_back()
memory.begin()


def when_ready(_server: Arbiter) -> None:
    memory.is_loaded()


def post_fork(server: Arbiter, worker: Worker) -> None:
    listeners.start_counting(worker)
    listeners.look_after(worker, server.LISTENERS)


def post_worker_init(worker: Worker) -> None:
    from config.database import warn_of_too_few_connections  # Django is loaded by now, and only here.

    if worker.place == 1:
        warn_of_too_few_connections(_env, web_processes=workers)


def child_exit(_server: Arbiter, worker: Worker) -> None:
    process_metrics.forget(worker.place)


def on_exit(_server: Arbiter) -> None:
    process_metrics.end()
