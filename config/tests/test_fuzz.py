"""
The running server against its own description: no 5xx, no status and no answer that the description does not know.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.servers import Server
from conftest import PASSWORD
from posts.tests.factories import make_post
from tiers.tests.factories import make_rate_limit

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db(transaction=True)]

NO_LIMITS = {"LOGIN_RATE_LIMIT": "0", "LOGIN_FAILURE_LIMIT": "0", "REGISTRATION_RATE_LIMIT": "0", "DEFAULT_RATE_LIMIT_LIMIT": "2147483647"}


@pytest.mark.parametrize("caller", ["anonymous", "alice", "admin"])
def test_every_answer_is_described(serve: Callable[..., Server], caller: str, alice: Any, admin: Any, free: Any, tmp_path: Path) -> None:
    make_post(author=alice)
    make_rate_limit(tier=free)
    server = serve(**NO_LIMITS, LOG_LEVEL="WARNING")
    headers: list[str] = []
    if caller != "anonymous":
        token = requests.post(f"{server.api}/login", json={"username": caller, "password": PASSWORD}, timeout=10).json()["access_token"]
        headers = ["--header", f"Authorization: Bearer {token}"]
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
        "run",
        f"{server.url}/openapi.json",
        *headers,
        "--max-examples=30",
        "--seed=1",
        "--workers=2",
        "--request-timeout=30",
        "--no-color",
        "--continue-on-failure",
        "--suppress-health-check=all",
        # A caller who ends their own session, or removes their own account, is a stranger to every call after it.
        "--exclude-operation-id-regex=^(logout|logoutAll|refreshToken|deleteUser|deleteUserFromDatabase|deleteSession)$",
    ]

    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)

    if result.returncode:
        pytest.fail(result.stdout[-30_000:], pytrace=False)
