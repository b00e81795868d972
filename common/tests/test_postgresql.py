"""
A kept connection is looked at before it is used again, and the database is not asked for that.
"""

from collections.abc import Callable, Iterator

import psycopg
import pytest
import requests
from django.db import connection

from common.tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator["psycopg.Connection[tuple[str]]"]:
    """
    Another connection to the same database.
    """
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        yield other
    # A test may have had it ended.
    connection.close()


def last_statement(other: "psycopg.Connection[tuple[str]]") -> str:
    row = other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [connection.connection.info.backend_pid]).fetchone()
    assert row
    return row[0]


def test_an_idle_connection_is_usable_and_the_database_is_not_asked(other: "psycopg.Connection[tuple[str]]") -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'the last one'")

    assert connection.is_usable()
    assert last_statement(other) == "SELECT 'the last one'"


def test_the_database_is_asked_after_an_error(other: "psycopg.Connection[tuple[str]]") -> None:
    connection.errors_occurred = True

    assert connection.is_usable()
    assert last_statement(other) == "SELECT 1"


def test_a_connection_that_the_server_ended_is_not_usable(other: "psycopg.Connection[tuple[str]]") -> None:
    other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])

    assert not connection.is_usable()


def test_the_next_request_gets_another_connection(serve: Callable[..., Server], other: "psycopg.Connection[tuple[str]]") -> None:
    server = serve(WEB_CONCURRENCY="1", PGAPPNAME="ended")
    url = f"{server.api}/users"
    assert requests.get(url, timeout=10).status_code == 200

    ended = other.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'ended'").rowcount

    assert ended >= 1
    assert [requests.get(url, timeout=10).status_code for _ in range(10)] == [200] * 10
