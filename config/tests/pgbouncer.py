"""
A PgBouncer in transaction mode before the suite's database.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection
from psycopg.conninfo import conninfo_to_dict

from common.tests.ports import free_port
from common.tests.servers import answers, child_environment, started, wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
# Fewer connections than threads ask at once, so that they do change hands.
SERVER_CONNECTIONS = 3


@contextmanager
def pooled(folder: Path) -> Iterator[str]:
    """
    Run it, and yield the URL of the database behind it.
    """
    if PROGRAM is None:
        pytest.skip("PgBouncer is missing: install the Debian package pgbouncer.")
    port, name = free_port(), connection.settings_dict["NAME"]
    server = conninfo_to_dict(child_environment()["DATABASE_URL"])
    target = " ".join(f"{key}={value}" for key, value in server.items() if key in ("host", "port", "dbname", "user", "password"))
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": SERVER_CONNECTIONS,
        "server_idle_timeout": 60,
        # Nothing that a client says at the start is let through: a client that needs it is to notice.
        "ignore_startup_parameters": "",
    }
    lines = ["[databases]", f"{name} = {target}", "[pgbouncer]", *(f"{key} = {value}" for key, value in settings.items())]
    config = folder / "pgbouncer.ini"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [PROGRAM, str(config)]
    if os.geteuid() == 0:
        # It refuses root. The suite's own server is of this user too, which is the only one to reach its socket.
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        command[1:1] = ["-u", "nobody"]
    with started(command, folder / "pgbouncer.log"):
        wait_until(lambda: answers(port), what="pgbouncer")
        yield f"postgresql://{server.get('user', 'postgres')}@127.0.0.1:{port}/{name}"


@contextmanager
def in_between(folder: Path) -> Iterator[None]:
    """
    Have this process and those that it starts reach the database through PgBouncer.
    """
    server, url = connection.settings_dict, os.environ["DATABASE_URL"]
    direct = {name: server[name] for name in ("HOST", "PORT")}
    with pooled(folder) as through:
        connection.close()
        parts = urlsplit(through)
        server.update(HOST=parts.hostname, PORT=str(parts.port))
        os.environ["DATABASE_URL"] = through
        yield
        connection.close()
        assert "login attempt" in (folder / "pgbouncer.log").read_text(encoding="utf-8"), "No connection went through PgBouncer."
    server.update(direct)
    os.environ["DATABASE_URL"] = url


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import django; django.setup()\n{code}"]
