"""
Messages are Celery's own, whoever sends them: a thread, many threads or a process that was forked.
"""

import base64
import json
import os
import signal
from typing import Any, cast

import pytest
from celery import current_app

from common import broker
from common.tests.concurrency import at_once

from .. import messages
from ..models import Task

# As kombu's Redis transport names it.
LIST = f"default\x06\x16{broker.TASK_PRIORITY}"


@pytest.fixture(autouse=True)
def empty_broker() -> None:
    current_app.control.purge()


def make() -> Task:
    return Task(function="sample_background_task")


def sent() -> list[dict[str, Any]]:
    return [json.loads(message) for message in broker.connection().lrange(LIST, 0, -1)]


def task_ids() -> list[str]:
    return [json.loads(base64.b64decode(message["body"]))[0][0] for message in sent()]


def client_ids() -> set[int]:
    """
    Return the numbers that Redis has given to the connections that messages are sent on.
    """
    return {cast("Any", producer.channel).client.client_id() for producer in messages._idle}


def test_a_message_is_what_celery_itself_would_send() -> None:
    task = make()
    options: dict[str, Any] = {"queue": "default", "priority": broker.TASK_PRIORITY, "time_limit": 345, "ignore_result": True}

    messages.publish(task)
    current_app.send_task("tasks.run", [str(task.pk)], **options)

    theirs, ours = sent()
    assert ours["body"] == theirs["body"]
    for name in ("id", "root_id", "argsrepr"):
        ours["headers"].pop(name), theirs["headers"].pop(name)
    assert ours["headers"] == theirs["headers"]
    for name in ("correlation_id", "delivery_tag", "reply_to"):
        ours["properties"].pop(name), theirs["properties"].pop(name)
    assert ours["properties"] == theirs["properties"]


def test_two_messages_of_a_task_have_ids_of_their_own() -> None:
    task = make()

    messages.publish(task)
    messages.publish(task)

    assert len({message["headers"]["id"] for message in sent()}) == 2


def test_threads_do_not_get_into_each_others_way() -> None:
    tasks = [make() for _ in range(40)]

    at_once(*[lambda task=task: messages.publish(task) for task in tasks])

    assert sorted(task_ids()) == sorted(str(task.pk) for task in tasks)


def test_a_forked_process_sends_on_connections_of_its_own() -> None:
    messages.publish(make())
    inherited = client_ids()

    child = os.fork()
    if not child:
        # Whoever waits for it does not wait for ever.
        signal.alarm(60)
        try:
            is_clean = not messages._idle
            for _ in range(20):
                messages.publish(make())
            os._exit(0 if is_clean else 1)
        finally:
            os._exit(2)
    for _ in range(20):
        messages.publish(make())

    assert os.waitpid(child, 0)[1] == 0
    assert len({*task_ids()}) == 41
    # What the parent had open is open still: a client that connects anew has another id.
    assert inherited == client_ids() != set()


def test_a_connection_that_failed_is_not_used_again() -> None:
    messages._idle.clear()
    conf: Any = current_app.conf
    known = conf.broker_write_url
    conf.broker_write_url = "redis://127.0.0.1:1/0"
    try:
        with pytest.raises(Exception, match="refused"):
            messages.publish(make())
    finally:
        conf.broker_write_url = known
    assert not messages._idle

    messages.publish(make())

    assert len(sent()) == 1
