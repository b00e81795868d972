"""
Backing up and restoring, on databases of their own.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection

from accounts.tests.factories import make_session
from common.tests.servers import child_environment, wait_until
from config import embedded
from conftest import BASE_DIR, make_user
from posts.tests.factories import make_post
from tasks.tests.factories import make_task
from tiers.tests.factories import make_rate_limit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Every second psql is sent away, so that it ends before it has read anything. The tables keep pg_restore from writing before that.
TURN_AWAY = """
    DO $$ BEGIN FOR number IN 1..1000 LOOP EXECUTE format('CREATE TABLE many_%s (id int)', number); END LOOP; END $$;
    CREATE SEQUENCE logins;
    CREATE FUNCTION turn_away() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('application_name') = 'psql' AND nextval('public.logins') % 2 = 0 THEN RAISE 'not you'; END IF;
    END $$;
    CREATE EVENT TRIGGER turn_away ON login EXECUTE FUNCTION turn_away();
    ALTER EVENT TRIGGER turn_away ENABLE ALWAYS;
"""


@pytest.fixture
def database(transactional_db: None) -> Iterator[str]:
    """
    A database with all tables and something in them, to be lost.
    """
    author = make_user("alice")
    make_session(author)
    for number in range(50):
        make_post(author=author, title=f"Post {number}", text="Grüße, 世界 \\ \n ' \" $$")
    make_task(owner=author)
    make_rate_limit()
    connection.close()
    name = f"{connection.settings_dict['NAME']}_drill"
    with psycopg.connect(child_environment()["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        # A database is copied only while nobody else is connected to it.
        server.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        server.execute(f"CREATE DATABASE {name} TEMPLATE {connection.settings_dict['NAME']}")
    yield urlunsplit(urlsplit(child_environment()["DATABASE_URL"])._replace(path=f"/{name}"))
    with psycopg.connect(child_environment()["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(*command: str, database: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = child_environment(**{"DATABASE_URL": database, "BACKUPS_DIR": str(folder), **variables})
    return subprocess.run(
        [sys.executable, "-m", "config.backup", *command], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )


def backed_up(database: str, folder: Path, **variables: str) -> Path:
    done = run("backup", database=database, folder=folder, **variables)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def contents(database: str) -> dict[str, object]:
    """
    Return all that is in a database: each table's rows, the sequences, the constraints and the indexes.
    """
    with psycopg.connect(database) as reader:
        tables = [name for (name,) in reader.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
        rows = {name: sorted(map(repr, reader.execute(f'SELECT * FROM "{name}"'))) for name in tables}  # noqa: S608 - names of tables
        sequences = reader.execute("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1").fetchall()
        constraints = reader.execute(
            "SELECT conname, conrelid::regclass::text, contype FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
        ).fetchall()
        # The condition of a partial index reads otherwise once it has been written and read.
        indexes = reader.execute(
            "SELECT regexp_replace(indexdef, ' WHERE .*', ' WHERE'), indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2"
        ).fetchall()
    return {**rows, "sequences": sequences, "constraints": constraints, "indexes": indexes}


def lose_everything(database: str) -> None:
    with psycopg.connect(database) as server:
        server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def test_what_is_lost_comes_back(database: str, tmp_path: Path) -> None:
    before = contents(database)
    assert len(before["posts_post"]) == 50  # type: ignore[arg-type]
    path = backed_up(database, tmp_path)
    lose_everything(database)
    assert "posts_post" not in contents(database)

    done = run("restore", str(path), database=database, folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, f"{path} is restored.\n"), done.stderr
    assert contents(database) == before


def test_the_newest_is_restored_where_none_is_named(database: str, tmp_path: Path) -> None:
    backed_up(database, tmp_path)
    with psycopg.connect(database) as writer:
        writer.execute("UPDATE posts_post SET title = 'Later'")
    newest, before = backed_up(database, tmp_path), contents(database)
    lose_everything(database)

    assert run("restore", database=database, folder=tmp_path).stdout == f"{newest} is restored.\n"
    assert contents(database) == before


def test_a_database_that_is_not_empty_is_replaced_only_on_demand(database: str, tmp_path: Path) -> None:
    before, path = contents(database), backed_up(database, tmp_path)
    with psycopg.connect(database) as writer:
        writer.execute("CREATE TABLE public.later (id int); DELETE FROM posts_post")
    changed = contents(database)

    refused = run("restore", str(path), database=database, folder=tmp_path)

    assert refused.returncode == 1
    assert "is not empty. To lose what is in it, add --replace." in refused.stderr
    assert contents(database) == changed
    assert run("restore", str(path), "--replace", database=database, folder=tmp_path).returncode == 0
    assert contents(database) == before


class TestDamage:
    def test_a_file_that_changed_is_refused(self, database: str, tmp_path: Path) -> None:
        path, before = backed_up(database, tmp_path), contents(database)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

        refused = run("restore", str(path), "--replace", database=database, folder=tmp_path)

        assert (refused.returncode, "is damaged" in refused.stderr) == (1, True)
        assert contents(database) == before

    def test_a_file_without_its_checksum_is_refused(self, database: str, tmp_path: Path) -> None:
        path = backed_up(database, tmp_path)
        path.with_name(f"{path.name}.sha256").unlink()

        refused = run("restore", str(path), "--replace", database=database, folder=tmp_path)

        assert (refused.returncode, "cannot be checked" in refused.stderr) == (1, True)

    def test_one_that_breaks_off_half_way_leaves_the_database_as_it_was(self, database: str, tmp_path: Path) -> None:
        path, before = backed_up(database, tmp_path), contents(database)
        path.write_bytes(path.read_bytes()[:-2000])
        # As if it had been cut before it was checked.
        digest = subprocess.run(["sha256sum", path.name], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        path.with_name(f"{path.name}.sha256").write_text(digest, encoding="ascii")

        refused = run("restore", str(path), "--replace", database=database, folder=tmp_path)

        assert refused.returncode == 1
        assert contents(database) == before

    def test_a_database_that_turns_the_writer_away_is_told_in_one_sentence(self, database: str, tmp_path: Path) -> None:
        with psycopg.connect(database, autocommit=True) as server:
            server.execute(TURN_AWAY)
        path = backed_up(database, tmp_path)

        for _ in range(5):
            refused = run("restore", str(path), "--replace", database=database, folder=tmp_path)

            assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), refused.stderr
            assert refused.stderr.endswith(f"{path} was not restored; the database is as it was.\n")

    def test_where_there_is_none_it_says_so(self, database: str, tmp_path: Path) -> None:
        refused = run("restore", database=database, folder=tmp_path)

        assert (refused.returncode, refused.stderr) == (1, f"There is no backup in {tmp_path}.\n")


class TestFiles:
    def test_sha256sum_knows_the_checksum(self, database: str, tmp_path: Path) -> None:
        path = backed_up(database, tmp_path)

        checked = subprocess.run(["sha256sum", "--check", f"{path.name}.sha256"], cwd=tmp_path, capture_output=True, text=True, check=True)

        assert checked.stdout == f"{path.name}: OK\n"

    def test_the_oldest_go_first(self, database: str, tmp_path: Path) -> None:
        paths = [backed_up(database, tmp_path, BACKUPS_KEEP="2") for _ in range(3)]

        kept = sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock")
        assert kept == sorted(name for path in paths[1:] for name in (path.name, f"{path.name}.sha256"))

    def test_nobody_else_may_read_them(self, database: str, tmp_path: Path) -> None:
        path = backed_up(database, tmp_path / "new")

        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0

    def test_a_failure_leaves_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "app-1.dump.part").write_bytes(b"of one that was killed")

        failed = run("backup", database="postgresql://nobody@127.0.0.1:1/nothing", folder=tmp_path)

        assert (failed.returncode, "pg_dump failed" in failed.stderr) == (1, True)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


class TestBesideCompose:
    """
    A checkout with the settings of a Compose deployment in it.
    """

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Iterator[Path]:
        for package in ("common", "config"):
            shutil.copytree(BASE_DIR / package, tmp_path / package, ignore=shutil.ignore_patterns("tests", "__pycache__"))
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker/.env").write_text("ENVIRONMENT=production\n", encoding="utf-8")
        yield tmp_path
        embedded.stop(tmp_path / ".local", delete=True)

    def run(self, checkout: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **variables}
        return subprocess.run(
            [sys.executable, "-m", "config.backup", *command], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )

    @pytest.mark.parametrize("command", [["backup"], ["restore", "--replace"]])
    def test_the_embedded_database_is_not_taken_for_that_of_compose(self, checkout: Path, command: list[str]) -> None:
        refused = self.run(checkout, *command)

        assert (refused.returncode, refused.stdout) == (1, "")
        assert "docker compose -f docker/compose.yaml run --rm backup" in refused.stderr
        assert "ENVIRONMENT=local" in refused.stderr
        assert not (checkout / "backups").exists()
        assert not (checkout / ".local").exists()

    def test_the_embedded_database_is_backed_up_where_it_is_meant(self, checkout: Path) -> None:
        done = self.run(checkout, "backup", ENVIRONMENT="local")

        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).parent == checkout / "backups"

    def test_a_database_that_is_named_is_meant(self, checkout: Path) -> None:
        failed = self.run(checkout, "backup", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

        assert "pg_dump failed" in failed.stderr


def test_no_command_line_shows_the_password(database: str, tmp_path: Path) -> None:
    parts = urlsplit(database)
    marked = urlunsplit(parts._replace(netloc=f"postgres:backup-passw0rd@{parts.netloc.rpartition('@')[2]}"))
    if parts.password:
        pytest.skip("Only the suite's own PostgreSQL takes any password: unset TEST_DATABASE_URL.")
    shown: set[str] = set()
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - names are enough
                try:
                    shown.add(Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " "))
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(1) as pool, psycopg.connect(database) as holder:
            holder.execute("LOCK TABLE posts_post IN ACCESS EXCLUSIVE MODE")
            backup = pool.submit(backed_up, marked, tmp_path)
            # It waits for the lock, so that it is seen.
            wait_until(lambda: [line for line in shown.copy() if re.search(r"pg_dump.*--format", line)], seconds=60, what="pg_dump")
            holder.commit()
            path = backup.result()
        assert run("restore", str(path), "--replace", database=marked, folder=tmp_path).returncode == 0
    finally:
        stopped.set()
        watcher.join()

    assert [line for line in shown if "backup-passw0rd" in line] == []
