"""
A worker and a beat that start on a PostgreSQL with few connections.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common.tests.servers import started, wait_until
from config import embedded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Four threads that serve and two processes that run tasks: 4 + 4 and the reserve, which is 5.
SMALL = {"WEB_CONCURRENCY": "1", "WEB_THREADS": "4", "TASK_PROCESSES": "2"}
TOLD = "The database gives 15 connections, 27 may be needed (web 4, tasks 18, reserve 5). Raise max_connections, lower WEB_CONCURRENCY"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """
    A PostgreSQL with 20 connections, of which it keeps five for superusers and other chosen roles.
    """
    folder = tmp_path_factory.mktemp("few")
    try:
        url = embedded.ensure(folder, ["postgres"]).database_url
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("ALTER SYSTEM SET max_connections = 20")
            server.execute("ALTER SYSTEM SET reserved_connections = 2")
        embedded.stop(folder)
        embedded.ensure(folder, ["postgres"])
        yield {**SMALL, "DATABASE_URL": url}
    finally:
        embedded.stop(folder, delete=True)


def test_a_worker_says_that_its_processes_are_too_many(few: dict[str, str], start_worker: Callable[..., Any]) -> None:
    worker = start_worker(options=["--concurrency", "9"], **few)

    log = worker.log.read_text(encoding="utf-8")
    assert log.count("Raise max_connections") == 1
    assert TOLD in log


def test_a_beat_says_that_the_processes_of_all_workers_are_too_many(few: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "beat.log"
    command = [sys.executable, "-m", "celery", "--app", "config", "beat", "--schedule", str(tmp_path / "schedule"), "--pidfile="]

    with started(command, log, **{**few, "TASK_PROCESSES": "9"}):
        wait_until(lambda: b"max_connections" in log.read_bytes(), seconds=60, what="the warning")

    assert TOLD in log.read_text(encoding="utf-8")


def test_enough_are_not_mentioned(few: dict[str, str], start_worker: Callable[..., Any]) -> None:
    worker = start_worker(**few)

    assert b"max_connections" not in worker.log.read_bytes()


def test_a_database_that_is_away_keeps_no_worker_from_starting(few: dict[str, str], start_worker: Callable[..., Any]) -> None:
    worker = start_worker(**{**few, "DATABASE_URL": "postgresql://nobody:a-passw0rd@127.0.0.1:1/nothing"})

    log = worker.log.read_text(encoding="utf-8")
    assert "Connections of the database not counted, it is away" in log
    assert "a-passw0rd" not in log
