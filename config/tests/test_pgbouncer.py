"""
The API through PgBouncer in transaction mode, where each transaction may run on another connection of the server.
"""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from accounts.models import User
from common.tests.servers import Server, child_environment, wait_until
from conftest import BASE_DIR, PASSWORD, make_user
from tasks.models import Status, Task

from .pgbouncer import pooled, python

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
# Nobody is sent away because others take long.
ALL_HASH = {"PASSWORD_HASH_CONCURRENCY": "8"}


@pytest.fixture
def pooler(transactional_db: None, tmp_path: Path) -> Iterator[dict[str, str]]:
    with pooled(tmp_path) as url:
        yield {"DATABASE_URL": url, "DATABASE_TRANSACTION_POOLING": "true"}


def test_a_user_does_all_that_a_user_does(serve: Callable[..., Server], pooler: dict[str, str]) -> None:
    server = serve(**pooler, **ALL_HASH)

    def live(number: int) -> None:
        name, session = f"user{number}", requests.Session()
        fields = {"name": "Someone", "username": name, "email": f"{name}@example.com", "password": PASSWORD}
        assert session.post(f"{server.api}/user", json=fields, timeout=30).status_code == 201
        login = session.post(f"{server.api}/login", {"username": name, "password": PASSWORD}, timeout=30)
        session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        # More often than psycopg waits before it prepares a statement.
        for turn in range(8):
            made = session.post(f"{server.api}/{name}/post", json={"title": f"Post {turn}", "text": "Text"}, timeout=30)
            post = f"{server.api}/{name}/post/{made.json()['id']}"
            assert session.patch(post, json={"title": "Changed"}, timeout=30).json() == {"message": "Post updated"}
            assert session.get(post, timeout=30).json()["title"] == "Changed"
        assert session.get(f"{server.api}/{name}/posts", timeout=30).json()["total_count"] == 8
        assert session.delete(post, timeout=30).status_code == 200
        assert session.post(f"{server.api}/refresh", timeout=30).status_code == 200
        assert session.delete(f"{server.api}/user/{name}", timeout=30).status_code == 200

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(live, range(6)))

    assert User.objects.filter(deleted_at__isnull=False).count() == 6


def test_one_of_two_that_register_at_once_is_refused(serve: Callable[..., Server], pooler: dict[str, str]) -> None:
    server = serve(**pooler, **ALL_HASH)
    fields = {"name": "Ada", "username": "ada", "email": "ada@example.com", "password": PASSWORD}

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.post(f"{server.api}/user", json=fields, timeout=30).status_code, range(8)))

    assert sorted(answers) == [201] + [422] * 7


def test_tasks_run_and_the_sweep_finds_what_was_not_sent(
    serve: Callable[..., Server], start_worker: Callable[..., Any], pooler: dict[str, str]
) -> None:
    server = serve(**pooler)
    start_worker(beat=True, **pooler)
    forgotten = Task.objects.create(function="sample_background_task", args=["forgotten"])

    sent = requests.post(f"{server.api}/tasks/task", params={"message": "sent"}, timeout=30).json()["id"]

    def are_done() -> bool:
        return Task.objects.filter(pk__in=[forgotten.pk, sent], status=Status.SUCCEEDED).count() == 2

    wait_until(are_done, seconds=60, what="both tasks")


def test_a_long_list_is_read_without_a_cursor_of_the_server(pooler: dict[str, str]) -> None:
    for number in range(30):
        make_user(f"user{number}")
    code = (
        "from accounts.models import User\nfor user in User.objects.iterator(chunk_size=2): print(User.objects.filter(pk=user.pk).count())"
    )

    done = subprocess.run(python(code), cwd=BASE_DIR, env=_environment(pooler), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.split()) == (0, ["1"] * 30), done.stderr


def test_without_the_setting_pgbouncer_refuses(serve: Callable[..., Server], pooler: dict[str, str]) -> None:
    server = serve(DATABASE_URL=pooler["DATABASE_URL"])

    assert requests.get(f"{server.url}/health/ready", timeout=30).json()["database"] == "down"
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        psycopg.connect(pooler["DATABASE_URL"], options="-c statement_timeout=30s").close()


def _environment(pooler: dict[str, str]) -> dict[str, str]:
    return {**child_environment(**pooler), "DJANGO_SETTINGS_MODULE": "config.settings"}
