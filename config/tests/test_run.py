"""
`make run` in a checkout of its own, with an empty environment, as a newcomer has it.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from common.tests.ports import free_port
from common.tests.servers import answers, wait_until
from config import embedded
from conftest import BASE_DIR

from .checkouts import copy_checkout
from .environment import PATIENCE

README = (BASE_DIR / "README.md").read_text(encoding="utf-8")
BARE_ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
# A cache that has 50 ms to answer is passed by where the machine stalls.
PATIENT = {**BARE_ENVIRONMENT, "CACHE_TIMEOUT_MS": f"{PATIENCE * 1000}"}


class Running:
    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "run.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "run", f"PORT={port}"], cwd=folder, env=PATIENT, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_until_ready(self) -> None:
        wait_until(lambda: "/admin/" in self.output or self.process.poll() is not None, seconds=90, what="make run")
        assert self.process.poll() is None, self.output


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    copy_checkout(folder)
    (folder / ".venv").symlink_to(sys.prefix)
    yield folder
    embedded.stop(folder / ".local", delete=True)


@contextmanager
def run(folder: Path) -> Iterator[Running]:
    running = Running(folder, free_port())
    try:
        running.wait_until_ready()
        yield running
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGTERM)
        running.process.wait(60)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    with copied(tmp_path / "checkout") as folder:
        yield folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    The first `make run` of a checkout.
    """
    with copied(tmp_path_factory.mktemp("project") / "checkout") as folder, run(folder) as running:
        yield running


def processes_of(folder: Path) -> list[str]:
    found = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in found if str(folder) in line and "ps -ww" not in line]


def test_the_tour_works_as_written(running: Running) -> None:
    match = re.search(r"<!-- tour -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert match is not None
    script = match[1].replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")

    tour = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert '"username":"ada"' in tour.stdout
    assert re.findall(r"X-Cache: (\w+)", tour.stdout) == ["miss", "hit"]
    assert '"result":"Task hello is complete!"' in tour.stdout


def test_the_printed_admin_password_opens_the_admin(running: Running) -> None:
    password = re.search(r"shown this once: (\S+)", running.output)
    assert password is not None
    session = requests.Session()
    session.get(f"{running.url}/admin/login/", timeout=10)

    page = session.post(
        f"{running.url}/admin/login/?next=/admin/tasks/task/",
        {"username": "admin", "password": password[1], "csrfmiddlewaretoken": session.cookies["csrftoken"]},
        timeout=10,
    )

    assert page.status_code == 200
    assert "Select task to view" in page.text


def test_commands_work_beside_it(running: Running) -> None:
    result = subprocess.run(
        [".venv/bin/python", "manage.py", "check"], cwd=running.folder, env=BARE_ENVIRONMENT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert running.process.poll() is None


def test_a_signal_stops_everything_and_the_next_start_goes_on(checkout: Path) -> None:
    is_new = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with run(checkout) as started:
            is_new.append("shown this once" in started.output)
            os.killpg(started.process.pid, number)
            started.process.wait(60)
            wait_until(lambda: not processes_of(checkout), seconds=60, what="every process to end")
        assert not answers(started.port)

    assert is_new == [True, False]


def test_each_line_of_the_log_names_its_process(running: Running) -> None:
    requests.post(f"{running.url}/api/v1/password/forgot", json={"email": "admin@example.com"}, timeout=10)

    wait_until(lambda: re.search(r"web +\| .*Request finished", running.output), what="the request's line")
    wait_until(lambda: re.search(r"worker +\| To: admin@example\.com", running.output), seconds=60, what="the mail")


def test_a_taken_port_is_a_clear_message(checkout: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = subprocess.run(
            ["make", "run", f"PORT={port}"], cwd=checkout, env=BARE_ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
        )

    assert result.returncode != 0
    assert f"Port {port} is taken." in result.stderr
    assert "Traceback" not in result.stderr


def test_make_help_lists_the_commands(checkout: Path) -> None:
    listed = subprocess.run(["make", "help"], cwd=checkout, env=BARE_ENVIRONMENT, capture_output=True, text=True, check=True).stdout

    assert {"run", "test", "reset", "psql", "lint", "format", "types"} <= {line.split()[1] for line in listed.splitlines()}
