"""
A worker whose line to the broker fails consumes again, and no task is lost or has its effect twice.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from django.contrib.admin.models import LogEntry

from common.tests.proxies import Proxy, proxied
from common.tests.servers import Server, wait_until

from ..consumption import PROOF_SECONDS, REPLACE_AFTER_SECONDS
from ..models import Status
from .broker import Broker, own_broker
from .functions import INCLUDE
from .test_broker_faults import UNLIMITED, Caller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class Scene(NamedTuple):
    """
    A broker, the line that one worker reaches it by, and a caller whose API reaches it without.
    """

    broker: Broker
    line: Proxy
    worker: Any
    caller: Caller


@pytest.fixture
def scene(serve: Callable[..., Server], start_worker: Callable[..., Any], alice: Any) -> Iterator[Scene]:
    with ExitStack() as stack:
        broker = stack.enter_context(own_broker())
        line = stack.enter_context(proxied(broker.url))
        caller = Caller(serve(REDIS_QUEUE_URL=broker.url, WEB_CONCURRENCY="1", **UNLIMITED), alice)
        worker = start_worker(beat=True, options=INCLUDE, REDIS_QUEUE_URL=line.url)
        caller.start_one("before")
        wait_until(lambda: caller.all_are(Status.SUCCEEDED), seconds=60, what="the first task")
        yield Scene(broker, line, worker, caller)


def assert_each_had_its_effect_once(caller: Caller) -> None:
    wait_until(lambda: caller.all_are(Status.SUCCEEDED), seconds=180, what="every task")
    assert sorted(LogEntry.objects.values_list("object_repr", flat=True)) == sorted(caller.taken.values())


def kill_connections(scene: Scene) -> None:
    scene.broker.client.client_kill_filter(_type="normal", skipme=True)


def restart_broker(scene: Scene) -> None:
    scene.broker.stop()
    time.sleep(2)
    scene.broker.start()


def cut_line(scene: Scene) -> None:
    scene.line.cut()
    time.sleep(3)
    scene.line.mend()


def silence_line(scene: Scene) -> None:
    scene.line.hold()
    time.sleep(8)
    scene.line.release()


@pytest.mark.parametrize("fault", [kill_connections, restart_broker, cut_line, silence_line])
def test_tasks_are_consumed_again_after_a_fault(scene: Scene, fault: Callable[[Scene], None]) -> None:
    for number in range(4):
        scene.caller.start_one(f"while it fails {number}", 3)

    for number in range(3):
        fault(scene)
        scene.caller.start_one(f"after fault {number}")

    assert_each_had_its_effect_once(scene.caller)
    assert scene.worker.poll() is None


def test_a_worker_whose_consumer_is_never_answered_replaces_itself(scene: Scene) -> None:
    scene.line.strand_at(b"BRPOP")
    wait_until(lambda: scene.line.stranded, what="the consumer to ask")
    silent_since = time.monotonic()
    scene.line.release()

    for number in range(5):
        scene.caller.start_one(f"unheard {number}")
    wait_until(lambda: b"it replaces itself" in scene.worker.log.read_bytes(), seconds=120, what="the worker to notice")

    # It last consumed up to two proofs before.
    assert time.monotonic() - silent_since > REPLACE_AFTER_SECONDS - 2 * PROOF_SECONDS
    assert_each_had_its_effect_once(scene.caller)
    assert scene.worker.poll() is None
