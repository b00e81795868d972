"""
Processes that use the embedded servers, and what is seen of the servers from outside.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import redis

from common.tests.servers import wait_until
from config import embedded

# Uses the servers until its standard input ends, and asks for them again with each line that it reads. A suite that is run in the
# background or by nohup hands down signals that are ignored: here they end the process, as at a terminal.
USER = """
import os, signal, sys
from pathlib import Path
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
sys.path.append(sys.argv[1])
import embedded
while True:
    try:
        found = embedded.ensure(Path(sys.argv[2]), sys.argv[3].split(), durable=False)
    except embedded.EmbeddedError as error:
        sys.exit(f"EmbeddedError: {error}")
    print(found.postgres, found.valkey, sep="|", flush=True)
    word = sys.stdin.readline()
    if word == "exec\\n":
        os.set_inheritable(embedded.held_lock(), True)
        os.execv("/bin/cat", ["cat"])
    if not word:
        break
"""


class User:
    def __init__(self, directory: Path, services: str = "postgres valkey", *python: str, **how: Any) -> None:
        self.directory = directory
        command = [*(python or [sys.executable]), "-c", USER, str(Path(embedded.__file__).parent), str(directory), services]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process: subprocess.Popen[str] = subprocess.Popen(command, text=True, start_new_session=True, **pipes, **how)

    def ready(self) -> embedded.Addresses:
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], 60)[0], "no answer in a minute"
        line = self.process.stdout.readline()
        assert line, self.process.communicate(timeout=60)[1]
        return embedded.Addresses(*map(Path, line.strip().split("|")))

    def tell(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def again(self) -> embedded.Addresses:
        self.tell("again")
        return self.ready()

    def refusal(self) -> str:
        error = self.process.communicate(timeout=60)[1]
        assert error.startswith("EmbeddedError: ")
        return error

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


def commands() -> dict[int, str]:
    listing = subprocess.run(["ps", "-Aww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return {int(pid): command for pid, state, command in rows if not state.startswith("Z")}


def places(directory: Path) -> set[Path]:
    return {directory.resolve(), embedded.addresses(directory).postgres.parent}


def servers(directory: Path) -> list[int]:
    found = embedded.addresses(directory)
    marks = (f"bin/postgres -D data -h  -k {found.postgres}", f"valkey-server unixsocket:{found.valkey}")
    return [pid for pid, command in commands().items() if any(mark in command for mark in marks)]


def keepers(directory: Path) -> list[int]:
    return [pid for pid, command in commands().items() if command.endswith(f"--keeper {directory.resolve()}")]


def unused(directory: Path) -> bool:
    return not servers(directory) and not keepers(directory)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in commands())


def query(found: embedded.Addresses, statement: str) -> Any:
    with psycopg.connect(found.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return (cursor.fetchone() or [None])[0] if cursor.description else None


def valkey_info(found: embedded.Addresses) -> dict[str, Any]:
    with redis.Redis.from_url(found.redis_url(0)) as client:
        return dict(client.info("server"))


def identity(found: embedded.Addresses) -> tuple[Any, Any]:
    return query(found, "SELECT pg_postmaster_start_time()"), valkey_info(found)["run_id"]
