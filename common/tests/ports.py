"""
Ports of 127.0.0.1 for the servers of tests.

Asking the system for a free one and letting it go is not enough: until the server listens there, others are told the same, and gunicorn
would share it with another gunicorn and say nothing.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import count, cycle, islice
from pathlib import Path

import pytest

# Below those that Linux and macOS give to outgoing connections.
FIRST, LAST = 10_000, 32_000
EACH = 500


def free_port() -> int:
    """
    Return a port that nobody uses, and that no other process on this machine that runs tests is given.
    """
    for port in islice(_own_ports(), EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.exit(f"All {EACH} ports of this process are in use.", 2)


@cache
def _own_ports() -> Iterator[int]:
    # One after another, so that none comes again soon.
    number = take_first(Path(tempfile.gettempdir(), f"django-boilerplate-ports-{number}.lock") for number in range((LAST - FIRST) // EACH))
    if number is None:
        pytest.exit("Too many runs of the suite are under way on this machine.", 2)
    return cycle(range(FIRST + number * EACH, FIRST + (number + 1) * EACH))


def take_first(paths: Iterable[Path]) -> int | None:
    """
    Lock the first of these files that no other process has locked, until this one ends, and return its place; None if there is none.
    """
    for place, path in zip(count(), paths, strict=False):
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError:
            continue  # Another user's.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return place
    return None
