"""
How this project connects to PostgreSQL, and how many connections all its processes may need together.
"""

import logging
from typing import Any

from psycopg import Error, connect
from psycopg.conninfo import conninfo_to_dict

from .capacity import worker_count
from .embedded import Addresses
from .env import Environment

logger = logging.getLogger(__name__)

# What libpq calls a part of a connection in the environment, where it is not `PG` and its name.
LIBPQ_NAMES = {"dbname": "PGDATABASE"}
# A task uses one connection for its work and one to renew its lease.
CONNECTIONS_OF_A_TASK_PROCESS = 2
# For migrations, backups, a shell and whoever looks after the database.
RESERVED_CONNECTIONS = 5
# What is left to one who is no superuser and no member of `pg_use_reserved_connections`, which PostgreSQL 16 brought.
GIVEN = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
"""


def database(env: Environment, embedded: Addresses) -> dict[str, Any]:
    """
    Return Django's settings for the database.
    """
    conninfo = connection_parameters(env, embedded)
    names = {key: conninfo.pop(name, "") for key, name in (("NAME", "dbname"), ("USER", "user"), ("PASSWORD", "password"))}
    pooled = env.database_transaction_pooling
    timeouts = {
        "statement_timeout": env.database_statement_timeout,
        "lock_timeout": env.database_lock_timeout,
        "idle_in_transaction_session_timeout": env.database_idle_transaction_timeout,
    }
    options = " ".join([conninfo.pop("options", ""), *(f"-c {name}={seconds}s" for name, seconds in timeouts.items())]).strip()
    return {
        "ENGINE": "common.postgresql",
        **names,
        "HOST": conninfo.pop("host", ""),
        "PORT": conninfo.pop("port", ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        # A cursor of the server lives longer than a transaction, as does a prepared statement; so do the parameters of a connection, which
        # PgBouncer refuses.
        "DISABLE_SERVER_SIDE_CURSORS": pooled,
        "OPTIONS": {"connect_timeout": 3, **conninfo, **({"prepare_threshold": None} if pooled else {"options": options})},
    }


def connection_parameters(env: Environment, embedded: Addresses) -> dict[str, Any]:
    """
    Return what libpq needs to connect to the server that is named, else to the embedded one.
    """
    return env.database_conninfo() if env.has_database_server else dict(conninfo_to_dict(embedded.database_url))


def libpq_variables(env: Environment, embedded: Addresses) -> dict[str, str]:
    """
    Return the environment by which PostgreSQL's programs find the server.
    """
    parameters = connection_parameters(env, embedded)
    return {LIBPQ_NAMES.get(name, f"PG{name.upper()}"): str(value) for name, value in parameters.items()}


def connections_needed(env: Environment, *, web_processes: int | None = None, task_processes: int = 0) -> dict[str, int]:
    """
    Return how many connections each kind of process may hold, at worst.

    Each web server runs `web_processes`; who does not know takes what a gunicorn would run on this machine. `task_processes` are those of
    this worker, which count where they are more than the variable says. A thread that serves keeps its connection. The scheduler has none.
    """
    processes = web_processes or env.web_concurrency or worker_count()
    return {
        "web": env.web_servers * processes * env.web_threads,
        "tasks": max(env.task_processes, task_processes) * CONNECTIONS_OF_A_TASK_PROCESS,
        "reserve": RESERVED_CONNECTIONS,
    }


def warn_of_too_few_connections(env: Environment, *, web_processes: int | None = None, task_processes: int = 0) -> None:
    """
    Log a warning if the processes of all servers may together need more connections than the database gives to one who is no superuser.

    It is no refusal: a server that starts because others are gone is better than none. Behind a pooler the pooler does this.
    """
    if env.database_transaction_pooling:
        return
    from django.conf import settings  # These settings are made here.

    try:
        with connect(**_plain(settings.DATABASES["default"])) as connection:
            row = connection.execute(GIVEN).fetchone()
    except Error as exc:
        logger.warning("Connections of the database not counted, it is away: %s", exc)
        return
    needed, given = connections_needed(env, web_processes=web_processes, task_processes=task_processes), row[0] if row else 0
    if sum(needed.values()) > given:
        logger.warning(
            "The database gives %s connections, %s may be needed (%s). Raise max_connections, lower WEB_CONCURRENCY, WEB_THREADS or "
            "TASK_PROCESSES, or put PgBouncer in between (DATABASE_TRANSACTION_POOLING).",
            given,
            sum(needed.values()),
            ", ".join(f"{name} {number}" for name, number in needed.items()),
        )


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return {**{name: settings[key] for name, key in names.items() if settings[key]}, **settings["OPTIONS"]}
