"""
The connection that each thread keeps.
"""

import os
import threading
from typing import Any

import pytest
from django.core.cache import caches
from redis import ConnectionPool, Redis
from redis.exceptions import ResponseError

from common.redis_client import ThreadRedis
from common.tests.servers import wait_until


@pytest.fixture
def other() -> Redis:
    """
    A client as redis-py makes it.
    """
    pool = caches["default"].client.get_client().connection_pool  # type: ignore[attr-defined]
    return Redis(connection_pool=ConnectionPool(pool.connection_class, **pool.connection_kwargs))


@pytest.fixture
def redis() -> ThreadRedis:
    client = caches["default"].client.get_client()  # type: ignore[attr-defined]
    assert isinstance(client, ThreadRedis)
    return ThreadRedis(connection_pool=client.connection_pool)


def in_a_thread(call: Any) -> Any:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    thread.join()
    return answers[0]


def test_a_thread_keeps_its_connection(redis: ThreadRedis) -> None:
    mine = redis.client_id()

    assert redis.client_id() == mine
    assert in_a_thread(redis.client_id) != mine


def test_the_connection_of_a_thread_that_ended_is_closed(redis: ThreadRedis, other: Redis) -> None:
    its = in_a_thread(redis.client_id)

    wait_until(lambda: its not in [int(client["id"]) for client in other.client_list()], what="the server to notice")


def test_one_that_the_server_closed_is_opened_anew(redis: ThreadRedis, other: Redis) -> None:
    first = redis.client_id()
    other.client_kill_filter(_id=str(first))

    assert redis.client_id() != first


def test_a_refused_command_leaves_it_open(redis: ThreadRedis) -> None:
    first = redis.client_id()

    with pytest.raises(ResponseError):
        redis.execute_command("NO SUCH COMMAND")

    assert redis.client_id() == first


def test_an_answer_that_nobody_waited_for_is_given_to_nobody(redis: ThreadRedis) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise Stop

    redis.set("redis-client", "one")
    redis.set_response_callback("ECHO", stop)
    with pytest.raises(Stop):
        redis.echo("two")

    assert redis.get("redis-client") == b"one"


def test_a_forked_process_has_a_connection_of_its_own(redis: ThreadRedis) -> None:
    mine = redis.client_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # What fails here must not go on as a second run of the tests.
        try:
            os.write(write, str(redis.client_id()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        its = int(answer.read())
    os.waitpid(child, 0)

    assert its != mine
    assert redis.client_id() == mine
