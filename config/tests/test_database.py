"""
What the database ends by itself, and whether it has connections for all.
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from common.tests.concurrency import backends
from common.tests.servers import Server, child_environment, wait_until
from config.database import connections_needed
from config.env import Environment
from conftest import BASE_DIR

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
SHOW = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in NAMES)
PRINT = f"""
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("{SHOW}")
    print(*cursor.fetchone())
"""


def run(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**child_environment(**variables), "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)


class TestTimeouts:
    def test_every_connection_has_them(self) -> None:
        assert run(PRINT).stdout.split() == ["30s", "10s", "1min"]

    def test_they_can_be_set_and_switched_off(self) -> None:
        timeouts = {"DATABASE_STATEMENT_TIMEOUT": "2", "DATABASE_LOCK_TIMEOUT": "1", "DATABASE_IDLE_TRANSACTION_TIMEOUT": "0"}

        assert run(PRINT, **timeouts).stdout.split() == ["2s", "1s", "0"]

    def test_options_of_the_url_stay(self) -> None:
        url = child_environment()["DATABASE_URL"]
        url += ("&" if "?" in url else "?") + "options=-c%20work_mem%3D5MB"

        shown = run(PRINT.replace("lock_timeout", "work_mem"), DATABASE_URL=url).stdout.split()

        assert shown == ["30s", "5MB", "1min"]

    def test_a_statement_that_takes_too_long_is_ended(self) -> None:
        done = run("from django.db import connection\nconnection.cursor().execute('SELECT pg_sleep(30)')", DATABASE_STATEMENT_TIMEOUT="1")

        assert "canceling statement due to statement timeout" in done.stderr

    def test_migrations_are_not_ended_but_do_not_wait_for_a_lock_for_ever(self, tmp_path: Path) -> None:
        (tmp_path / "slow/migrations").mkdir(parents=True)
        (tmp_path / "slow/__init__.py").touch()
        (tmp_path / "slow/migrations/__init__.py").touch()
        (tmp_path / "slow/migrations/0001_initial.py").write_text(
            "from django.db import migrations\nclass Migration(migrations.Migration):\n"
            f"    operations = [migrations.RunSQL('SELECT pg_sleep(2)'), migrations.RunSQL(\"CREATE TABLE slow_shown AS {SHOW}\")]\n",
            encoding="utf-8",
        )
        (tmp_path / "slow_settings.py").write_text("from config.settings import *\nINSTALLED_APPS += ['slow']\n", encoding="utf-8")
        environment = {**child_environment(DATABASE_STATEMENT_TIMEOUT="1"), "PYTHONPATH": f"{tmp_path}:{BASE_DIR}"}
        command = [sys.executable, "-m", "django", "migrate", "slow", "--settings", "slow_settings", "-v0"]

        done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM slow_shown")
            assert cursor.fetchone() == ("0", "10s", "0")
            cursor.execute("DROP TABLE slow_shown")
            cursor.execute("DELETE FROM django_migrations WHERE app = 'slow'")

    def test_after_migrating_the_process_has_them_again(self) -> None:
        call_command("migrate", verbosity=0)

        with connection.cursor() as cursor:
            cursor.execute(SHOW)
            assert cursor.fetchone() == ("30s", "10s", "1min")


class TestConnections:
    def test_those_of_all_processes_are_added_up(self) -> None:
        env = Environment(web_servers=3, web_threads=10, task_processes=4, _env_file=None)

        assert connections_needed(env, web_processes=2) == {"web": 60, "tasks": 8, "reserve": 5}

    def test_too_few_are_told_when_gunicorn_starts(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_SERVERS="100", WEB_CONCURRENCY="2")

        wait_until(lambda: b"connections" in server.log.read_bytes(), what="the warning")
        log = server.log.read_text(encoding="utf-8")
        assert log.count("Raise max_connections") == 1
        assert "4809 may be needed (web 4800, tasks 4, reserve 5)" in log
        assert requests.get(f"{server.url}/health", timeout=10).status_code == 200

    def test_enough_are_not_mentioned(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_CONCURRENCY="1", WEB_THREADS="4")
        requests.get(f"{server.url}/health/ready", timeout=10)

        assert b"max_connections" not in server.log.read_bytes()

    def test_a_database_that_is_away_does_not_keep_gunicorn_from_starting(self, serve: Callable[..., Server]) -> None:
        server = serve(DATABASE_URL="postgresql://nobody:a-passw0rd@127.0.0.1:1/nothing")

        wait_until(lambda: b"not counted" in server.log.read_bytes(), what="the warning")
        assert requests.get(f"{server.url}/health", timeout=10).status_code == 200
        assert b"a-passw0rd" not in server.log.read_bytes()

    def test_a_process_never_has_more_than_its_threads(self, serve: Callable[..., Server]) -> None:
        server = serve(WEB_CONCURRENCY="1", WEB_THREADS="3", PGAPPNAME="three threads")
        urls = [f"{server.api}/users"] * 40

        with ThreadPoolExecutor(10) as pool:
            assert {answer.status_code for answer in pool.map(lambda url: requests.get(url, timeout=20), urls)} == {200}

        assert 1 <= len(backends("three threads")) <= 3
