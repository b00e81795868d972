"""
What a request costs: commands to Redis and SQL queries.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import caches


@contextmanager
def commands_of(alias: str) -> Iterator[list[str]]:
    """
    Collect the names of the commands that the alias' Redis database is sent meanwhile.
    """
    redis = caches[alias].client.get_client()  # type: ignore[attr-defined]
    database = redis.connection_pool.connection_kwargs["db"]
    found: list[str] = []
    with redis.monitor() as monitor:
        yield found
        redis.echo("the end")
        for command in monitor.listen():
            if command["db"] != database:
                continue
            if command["command"] == "ECHO the end":
                break
            name = command["command"].split()[0]
            # What a script sends itself is no round trip, and a connection is opened once, not per request.
            if command["client_type"] != "lua" and name not in ("HELLO", "CLIENT", "SELECT"):
                found.append(name)
