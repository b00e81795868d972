"""
What a deployment does to web servers and NGINX, under constant load.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from common.tests.servers import wait_until
from conftest import PASSWORD
from posts.models import Post

from .load import Load
from .production import Production, WebServer, hang_up, needs_nginx, production

pytestmark = [needs_nginx, pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("load")) as running:
        yield running


@pytest.fixture
def load(running: Production, alice: Any) -> Load:
    login = running.nginx.session().post(f"{running.nginx.api}/login", data={"username": "alice", "password": PASSWORD}, timeout=10)
    return Load(running.nginx, login.json()["access_token"])


def assert_nothing_lost(load: Load) -> None:
    print(f"{dict(load.sent)}, {len(load.acknowledged)} acknowledged, slowest {load.slowest:.2f} s, failed {load.failed}")
    assert load.failures("GET") == []
    assert load.sent["GET"] > 50
    assert len(load.acknowledged) > 50
    assert Post.objects.filter(pk__in=load.acknowledged).count() == len(load.acknowledged) == len(set(load.acknowledged))


def wait_until_asked(server: WebServer) -> None:
    """
    Wait until a server has its part of the load again: NGINX leaves one that failed alone for two seconds.
    """
    before = len(server.lines())
    wait_until(lambda: len(server.lines()) >= before + 10, seconds=60, what="NGINX to ask the server")


def test_gunicorn_reloads(running: Production, load: Load) -> None:
    with load:
        for server in running.servers:
            hang_up(server.process)
            load.go_on()

    assert_nothing_lost(load)
    assert load.failures("POST") == []


def test_nginx_reloads(running: Production, load: Load) -> None:
    with load:
        for _ in range(3):
            running.nginx.reload()
            load.go_on(0.5)

    assert_nothing_lost(load)
    assert load.failures("POST") == []


def test_a_web_server_is_killed_and_started_again(running: Production, load: Load) -> None:
    with load:
        running.servers[0].kill()
        load.go_on(2)
        running.servers[0].restart()
        wait_until_asked(running.servers[0])

    assert_nothing_lost(load)
    # What the server was busy with when it died may have happened or not, so nobody may send it again.
    assert len(load.failures("POST")) <= 3


def test_web_servers_are_replaced_one_by_one(running: Production, load: Load) -> None:
    with load:
        for server in running.servers:
            server.end()
            load.go_on()
            server.restart()
            wait_until_asked(server)

    assert_nothing_lost(load)
    assert load.failures("POST") == []


def test_new_web_servers_take_over_from_old_ones(running: Production, load: Load) -> None:
    old = running.web_servers
    with running.web_server() as new, load:
        new.wait_until_ready()
        running.nginx.reload(WEB_SERVERS=new.address)
        for server in running.servers:
            server.end()
        for server in running.servers:
            server.restart()
        running.nginx.reload(WEB_SERVERS=old)
        new.end()
        load.go_on()

    assert_nothing_lost(load)
    assert load.failures("POST") == []
