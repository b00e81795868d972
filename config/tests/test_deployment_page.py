"""
The commands of docs/deployment.md for several machines, run as they stand there.
"""

import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from common.tests.ports import free_port
from common.tests.servers import child_environment, serves, started, wait_until
from conftest import BASE_DIR

from .checkouts import copy_checkout
from .production import Production

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PAGE = (BASE_DIR / "docs/deployment.md").read_text(encoding="utf-8")
PYTHON = ".venv/bin/python"
HEADERS = {"Host": "localhost", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}


def commands_of(section: str) -> dict[str, list[str]]:
    """
    Return a section's commands that run on this project's Python, by the program or the management command that each one runs.
    """
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    found = [[sys.executable, *words[1:]] for words in lines if words[:1] == [PYTHON]]
    names = ("migrate", "collectstatic", "gunicorn", "worker", "beat")
    return {name: words for words in found for name in names if name in words}


def test_the_commands_for_several_machines_make_a_deployment(tmp_path: Path) -> None:
    commands = commands_of("Several web servers")
    assert list(commands) == ["migrate", "collectstatic", "gunicorn", "worker", "beat"]
    port = free_port()
    variables = {**Production(tmp_path).variables, "PORT": str(port)}
    # Web servers of other tests read the static files of this one.
    checkout = str(copy_checkout(tmp_path / "checkout"))
    with ExitStack() as stack:
        for name, command in commands.items():
            words = [word.replace("/var/tmp/", f"{tmp_path}/") for word in command]  # noqa: S108 - the page's own
            if name in ("migrate", "collectstatic"):
                done = subprocess.run(words, cwd=checkout, env=child_environment(**variables), capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
            else:
                stack.enter_context(started(["env", f"--chdir={checkout}", *words], tmp_path / f"{name}.log", **variables))
        wait_until(lambda: serves(port), seconds=60, what="gunicorn")
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            return bool(requests.get(f"{url}/health/ready", headers=HEADERS, timeout=10).json()["queue"] == "ok")

        wait_until(ready, seconds=60, what="the worker")
        wait_until(lambda: list(tmp_path.glob("celerybeat-schedule*")), what="beat")
        assert requests.get(f"{url}/admin/login/", headers=HEADERS, timeout=10).status_code == 200
