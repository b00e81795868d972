"""
What holds of every cached read, whatever it shows: it is right after each write, and a hit costs one round trip.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from .redis_commands import commands_of


def set_fields(row: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def in_admin(site: Client, path: str, data: dict[str, Any]) -> None:
    """
    Send a form of the admin, and fail where it is shown again.
    """
    response = site.post(f"/admin/{path}", data)
    assert response.status_code == 302, response.content.decode()


def assert_the_next_read_is_right(client: APIClient, urls: Sequence[str], write: Callable[[], object]) -> None:
    """
    Read all, cached, before a write that changes some of it; then, as with an empty cache, after it.
    """

    def answers() -> list[tuple[int, Any]]:
        responses = [client.get(url) for url in urls]
        return [(response.status_code, response.json()) for response in responses]

    before = answers()
    assert answers() == before

    write()

    after = answers()
    caches["default"].clear()
    assert after == answers()
    assert after != before


def assert_a_hit_is_one_round_trip_and_no_sql(client: APIClient, url: str) -> None:
    first = client.get(url)

    with CaptureQueriesContext(connection) as captured, commands_of("default") as commands:
        second = client.get(url)

    assert (first["X-Cache"], second["X-Cache"], commands, len(captured)) == ("miss", "hit", ["MGET"], 0)
    assert second.content == first.content
