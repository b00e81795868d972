"""
What a call costs in SQL statements and in round trips to Redis, counted by the servers themselves.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import requests
from redis import Redis

from .load import Request
from .servers import CACHE, Servers, Web

CALLS = 20
# How long the database may take to write what was said.
LOG_SECONDS = 60
STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
# What keeps the connection to Redis going, and what the counting itself asks.
OWN_COMMANDS = ("info", "config|resetstat")


class Counts(NamedTuple):
    """
    For one call: SQL statements, those that open and close transactions included, reads of a request by Redis, and its commands.
    """

    statements: float
    round_trips: int
    commands: str


class StatementLog:
    """
    Statements that the database was sent by anyone but this connection.
    """

    def __init__(self, servers: Servers) -> None:
        self.connection = servers.database()
        self.connection.execute("SET log_statement = 'none'")

    @contextmanager
    def all(self) -> Iterator[None]:
        self._log("all")
        try:
            yield
        finally:
            self._log("none")
            self.connection.close()

    def _log(self, what: str) -> None:
        self.connection.execute(f"ALTER SYSTEM SET log_statement = '{what}'")
        self.connection.execute("SELECT pg_reload_conf()")
        # The processes of the database take note one by one.
        time.sleep(0.3)

    def end(self) -> int:
        """
        Return the size of the log once everything up to now has been written.
        """
        marker = f"marker {time.monotonic_ns()}"
        self.connection.execute("SET log_statement = 'all'")
        self.connection.execute(f"SELECT '{marker}'")
        self.connection.execute("SET log_statement = 'none'")
        deadline = time.monotonic() + LOG_SECONDS
        while marker not in self.read(0):
            if time.monotonic() > deadline:
                raise SystemExit("The database does not log its statements.")
            time.sleep(0.02)
        return len(self.read(0))

    def read(self, start: int) -> str:
        row = self.connection.execute("SELECT pg_read_file(pg_current_logfile())").fetchone()
        return str(row[0] if row else "")[start:]

    def since(self, start: int) -> list[str]:
        end = self.end()
        return [found[1] for found in STATEMENT.finditer(self.read(start)[: end - start]) if "log_statement" not in found[1]]


def count(servers: Servers, web: Web, sent: Sequence[Request]) -> Counts:
    """
    Send calls one after another, over one connection that is warm, and return what each cost.
    """
    redis, log = servers.redis(CACHE), StatementLog(servers)
    with requests.Session() as session, log.all():
        for request in sent[:CALLS]:
            _send(session, web, request)
        later = [sent[number % len(sent)] for number in range(CALLS, 2 * CALLS)]
        start = log.end()
        redis.config_resetstat()
        # What is large may arrive in parts, each a read of its own: the least is what a call takes.
        reads = min(_reads(redis, partial(_send, session, web, request)) for request in later)
        commands = redis.info("commandstats")
        statements = [text for text in log.since(start) if "marker" not in text]
    calls = {name.removeprefix("cmdstat_"): values["calls"] / CALLS for name, values in commands.items()}
    told = ", ".join(f"{name} {number:g}" for name, number in sorted(calls.items()) if name not in OWN_COMMANDS)
    return Counts(len(statements) / CALLS, reads, told)


def _reads(redis: Redis, call: Callable[[], None]) -> int:
    before = int(redis.info("stats")["total_reads_processed"])
    call()
    # One read is the question itself.
    return int(redis.info("stats")["total_reads_processed"]) - before - 1


def _send(session: requests.Session, web: Web, request: Request) -> None:
    headers = {"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https"}
    headers |= {"Authorization": f"Bearer {request.token}"} if request.token else {}
    headers |= {"Content-Type": "application/json"} if request.body else {}
    response = session.request(request.method, f"{web.url}{request.path}", data=request.body, headers=headers, timeout=30)
    if response.status_code >= 400:
        raise SystemExit(f"{request.method} {request.path}: {response.status_code} {response.text[:500]}")
