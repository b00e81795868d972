"""
What each of gunicorn's workers has to itself: a listening socket, and a number under which it counts.

With one socket for all, whichever worker wakes first takes a burst of connections whole, and the others idle. So there is one socket for
each worker, among which the kernel spreads connections (`SO_REUSEPORT`). They belong to the first process, not to the workers as with
gunicorn's own `reuse_port`: a worker that ends takes no waiting connection with it, its successor answers it. And each worker looks after
the others' sockets too, for connections that wait there because their worker is being replaced or does not get on.
"""

import itertools
import select
import socket
import sys
import threading
import time
from typing import Any

from gunicorn import sock, systemd
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

LOOK_SECONDS = 0.05

_number = 0


def number() -> int:
    """
    Return this process' number: 0 before the fork, then the lowest from 1 on that no living worker has.
    """
    return _number


def open_sockets(server: Arbiter) -> None:
    """
    Open a socket for each worker; does nothing where gunicorn was handed sockets, by systemd or by a predecessor.

    On other systems than Linux, which do not spread connections, and on Unix sockets the workers share one.
    """
    if server.master_pid or systemd.listen_fds(unset_environment=False):
        return
    addresses = server.cfg.address
    if sys.platform != "linux" or server.cfg.reuse_port or not all(isinstance(address, tuple) for address in addresses):
        server.LISTENERS = sock.create_sockets(server.cfg, server.log)
        return
    try:
        names = [_name_of_free(*address) for address in addresses]
    except OSError:
        # gunicorn says so, waits a while and ends where it stays so; `SO_REUSEPORT` would share an address that is taken.
        plain = sock.create_sockets(server.cfg, server.log)
        names = [listener.getsockname()[:2] for listener in plain]
        sock.close_sockets(plain)
    server.cfg.set("bind", [_written(*name) for name in names])
    server.cfg.set("reuse_port", True)
    server.LISTENERS = [listener for _ in range(server.num_workers) for listener in sock.create_sockets(server.cfg, server.log)]
    # The workers would open some of their own.
    server.cfg.set("reuse_port", False)


def take_place(server: Arbiter, worker: Worker) -> None:
    """
    Give a worker that is about to be forked its number and, of each address, its sockets.
    """
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = next(place for place in itertools.count(1) if place not in taken)
    worker.sockets = []
    for _, listeners in itertools.groupby(sorted(server.LISTENERS, key=_address), _address):
        same = list(listeners)
        # All of them are shared out, also where a reload has changed the number of workers.
        share = same[(worker.place - 1) % server.num_workers :: server.num_workers]
        worker.sockets += share or [same[worker.place % len(same)]]


def start_counting(worker: Worker) -> None:
    global _number
    _number = worker.place


def look_after(worker: Worker, listeners: list[Any]) -> None:
    """
    Answer in this worker, from now on, what waits at any of the sockets for longer than its own worker should take.
    """
    worker.inherited = tuple(listeners)
    threading.Thread(target=_look, args=(worker, listeners), daemon=True, name="listeners").start()


def _look(worker: Worker, listeners: list[Any]) -> None:
    by_descriptor = {listener.fileno(): listener for listener in listeners}
    others = select.poll()
    for descriptor, listener in by_descriptor.items():
        if listener not in worker.sockets:
            others.register(descriptor, select.POLLIN)

    while worker.alive:
        time.sleep(LOOK_SECONDS)
        for descriptor, event in others.poll(0):
            if event == select.POLLIN:
                # In the worker's own thread; where another worker was faster there is nothing left to accept.
                worker.method_queue.defer(worker.accept, by_descriptor[descriptor])


def _name_of_free(host: str, port: int) -> tuple[str, int]:
    """
    Return the address as it will be bound, or raise `OSError` where it is taken. It never listens: who connected would be reset.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        name: tuple[str, int] = probe.getsockname()[:2]
        return name


def _address(listener: Any) -> str:
    return str(listener.getsockname())


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
