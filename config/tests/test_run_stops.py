"""
How `make run` ends, whatever it is doing and however it is told.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests

from common.tests.ports import free_port
from common.tests.servers import answers, wait_until

from .test_run import BARE_ENVIRONMENT, PATIENT, copied, processes_of

pytestmark = pytest.mark.slow
# A terminal with a command in it: SIGINT presses Ctrl-C, SIGKILL closes it. A suite run by nohup hands down signals that are ignored.
TERMINAL = r"""
import os, pty, signal, sys
pid, line = pty.fork()
if not pid:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGINT, lambda number, frame: os.write(line, b"\x03"))
try:
    while data := os.read(line, 4096):
        os.write(1, data)
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
SIGNALLED = """
import os, signal, sys, time
from config.manager import Manager, Process

class Late(Process):
    def run(self, *args):
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(0.5)
        super().run(*args)

manager = Manager()
manager._process_ctor = Late
manager.add_process("sleeper", "exec sleep 601")
manager.loop()
sys.exit(manager.returncode)
"""
TASKS = "from tasks.models import Task; print(Task.objects.latest('created_at').status)"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with copied(tmp_path_factory.mktemp("project") / "checkout") as folder:
        yield folder


@contextmanager
def background(command: list[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """
    Run a command in a group of its own, its output in `run.log`; end what it leaves behind.
    """
    # The suite may have been told to ignore what ends these.
    default = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=PATIENT,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=default,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for line in processes_of(folder):
            os.kill(int(line.split()[0]), signal.SIGKILL)


def output(folder: Path) -> str:
    return (folder / "run.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "closed"])
def test_a_terminal_takes_everything_along_and_no_task_fails(number: signal.Signals, checkout: Path) -> None:
    port = free_port()
    api = f"http://127.0.0.1:{port}/api/v1/tasks/task"
    with background([sys.executable, "-c", TERMINAL, "sh", "-c", f"make run PORT={port}; exit"], checkout) as terminal:
        wait_until(lambda: "/admin/" in output(checkout) or terminal.poll() is not None, seconds=120, what="make run")
        assert terminal.poll() is None, output(checkout)
        task = requests.post(api, json={"message": "hello"}, timeout=60).json()["id"]
        wait_until(lambda: requests.get(f"{api}/{task}", timeout=60).json()["status"] == "running", seconds=60, what="the task to run")

        terminal.send_signal(number)

        wait_until(lambda: not processes_of(checkout), seconds=60, what=lambda: f"the end of {processes_of(checkout)}")
        assert not answers(port)
    assert "SIGKILL" not in output(checkout)
    command = [".venv/bin/python", "manage.py", "shell", "-v0", "-c", TASKS]
    status = subprocess.run(command, cwd=checkout, env=BARE_ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    assert status.strip() in ("succeeded", "queued")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_may_be_told_to_stop_while_it_prepares_the_database(number: signal.Signals, checkout: Path) -> None:
    with background([".venv/bin/python", "-m", "config.run"], checkout) as process:
        wait_until(lambda: re.search(r"config\.run prepare", "\n".join(processes_of(checkout))), seconds=120, what="the preparation")

        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)

        assert process.wait(60) == 128 + number
        wait_until(lambda: not processes_of(checkout), seconds=60, what=lambda: f"the end of {processes_of(checkout)}")
    assert output(checkout) == ""


def test_what_has_not_started_yet_is_stopped_too(tmp_path: Path, checkout: Path) -> None:
    with background([".venv/bin/python", "-c", SIGNALLED], checkout) as process:
        assert process.wait(60) == 143, output(checkout)
    assert "Traceback" not in output(checkout)
