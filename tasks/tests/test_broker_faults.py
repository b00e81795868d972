"""
Tasks that were answered with 201 have their effect exactly once, while workers, the API and the broker die.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import pytest
import requests
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction

from common.broker import hazards
from common.outages import PAUSE_SECONDS
from common.tests.concurrency import in_background, waiting
from common.tests.proxies import proxied
from common.tests.servers import Server, wait_until

from ..models import Status, Task
from .broker import Broker, own_broker
from .functions import INCLUDE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ServeAPI = Callable[..., Server]
StartWorker = Callable[..., Any]
DROPS_MESSAGES = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
MAY_DROP = "The broker's Redis may drop messages: its maxmemory-policy is allkeys-lru and has to be noeviction."
UNLIMITED = {"DEFAULT_RATE_LIMIT_LIMIT": "100000"}


class Caller:
    """
    Whoever starts tasks that write one row each, by retrying cancelled ones, and remembers what was answered.
    """

    def __init__(self, server: Server, user: Any) -> None:
        self.server = server
        self.user = user
        self.taken: dict[str, str] = {}
        # Seconds that each call took.
        self.costs: list[float] = []

    def start_one(self, name: str, seconds: float = 0, *, function: str = "write_row") -> None:
        template = Task.objects.create(function=function, args=[self.user.pk, name, seconds], status=Status.CANCELLED)
        began = time.monotonic()
        answer = requests.post(f"{self.server.api}/tasks/task/{template.pk.hex}/retry", timeout=60)
        self.costs.append(time.monotonic() - began)
        assert answer.status_code == 201, answer.text
        self.taken[answer.json()["id"]] = name

    def statuses(self) -> list[str]:
        return list(Task.objects.filter(pk__in=list(self.taken)).values_list("status", flat=True))

    def all_are(self, status: Status) -> bool:
        return set(self.statuses()) == {status}


def load(caller: Caller, broker: Broker) -> None:
    """
    Start a task every 0.2 s, while the broker is stopped for ten seconds, started empty, and flushed.
    """

    def disturb() -> None:
        time.sleep(1)
        broker.stop()
        time.sleep(10)
        broker.start()
        time.sleep(1.5)
        broker.client.flushall()

    disturbance = threading.Thread(target=disturb)
    disturbance.start()
    number = 0
    while disturbance.is_alive():
        caller.start_one(f"under load {number}")
        number += 1
        time.sleep(0.2)
    disturbance.join()


def test_every_task_has_its_effect_exactly_once(serve: ServeAPI, start_worker: StartWorker, alice: Any) -> None:
    with own_broker() as broker:
        queue = {"REDIS_QUEUE_URL": broker.url}
        caller = Caller(serve(**queue, **UNLIMITED, WEB_CONCURRENCY="1"), alice)
        victim = start_worker(beat=True, options=[*INCLUDE, "--concurrency", "20"], **queue)
        for number in range(20):
            caller.start_one(f"killed in the middle {number}", 600, function="write_row_and_stay_at_first")
        wait_until(lambda: caller.all_are(Status.RUNNING), seconds=60, what="20 tasks to run")
        os.killpg(victim.pid, signal.SIGKILL)
        caller.costs.clear()

        for _ in range(2):
            start_worker(beat=True, options=[*INCLUDE, "--concurrency", "6"], **queue)
        load(caller, broker)
        wait_until(lambda: caller.all_are(Status.SUCCEEDED), seconds=180, what="every task")

        assert sorted(LogEntry.objects.values_list("object_repr", flat=True)) == sorted(caller.taken.values())
        assert not Task.objects.unfinished().exists()
        assert median(caller.costs) < 1


def test_what_was_committed_when_the_api_was_killed_is_sent_by_the_sweep(serve: ServeAPI, start_worker: StartWorker, alice: Any) -> None:
    with own_broker() as broker, ThreadPoolExecutor(1) as pool:
        queue = {"REDIS_QUEUE_URL": broker.url}
        server = serve(**queue, **UNLIMITED)
        template = Task.objects.create(function="write_row", args=[alice.pk, "row"], status=Status.CANCELLED)
        with transaction.atomic(), connection.cursor() as cursor:
            # The API stands still while its statement waits; the database goes on with that, and commits it.
            cursor.execute("LOCK TABLE tasks_task IN SHARE MODE")
            call = pool.submit(requests.post, f"{server.api}/tasks/task/{template.pk.hex}/retry", timeout=60)
            wait_until(waiting, what="the statement to meet the lock")
            os.killpg(server.process.pid, signal.SIGSTOP)
        wait_until(lambda: Task.objects.filter(status=Status.QUEUED).exists(), what="the commit")
        os.killpg(server.process.pid, signal.SIGKILL)
        assert isinstance(call.exception(20), requests.ConnectionError)

        task = Task.objects.get(status=Status.QUEUED)
        assert task.sent_at is None
        start_worker(beat=True, options=INCLUDE, **queue)
        wait_until(lambda: Task.objects.get(pk=task.pk).status == Status.SUCCEEDED, seconds=60, what="the sweep")
        assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("away", ["closed", "frozen"])
def test_a_broker_that_is_away_costs_less_than_a_second(serve: ServeAPI, alice: Any, away: str) -> None:
    with own_broker() as broker:
        caller = Caller(serve(REDIS_QUEUE_URL=broker.url, WEB_CONCURRENCY="1", **UNLIMITED), alice)
        caller.start_one("the first one, which imports the code")
        caller.costs.clear()
        broker.stop() if away == "closed" else broker.freeze()

        for number in range(5):
            caller.start_one(f"while it is away {number}")
            # So that the next one asks the broker too.
            time.sleep(PAUSE_SECONDS)

        assert median(caller.costs) < 1


@pytest.mark.parametrize(
    ("policy", "is_named"), [("allkeys-lru", True), ("allkeys-lfu", True), ("allkeys-random", True), ("noeviction", False)]
)
def test_a_policy_that_takes_any_key_is_a_hazard(settings: Any, policy: str, is_named: bool) -> None:
    with own_broker("--maxmemory", "100mb") as broker:
        settings.CELERY_BROKER_URL = broker.url
        broker.client.config_set("maxmemory-policy", policy)

        assert [policy in sentence for sentence in hazards()] == [True] * is_named


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_a_policy_that_takes_keys_with_an_expiry_is_none(settings: Any, policy: str) -> None:
    with own_broker("--maxmemory", "100mb") as broker:
        settings.CELERY_BROKER_URL = broker.url
        broker.client.config_set("maxmemory-policy", policy)

        assert hazards() == []


def test_no_key_that_a_task_needs_expires(serve: ServeAPI, start_worker: StartWorker, alice: Any) -> None:
    with own_broker() as broker:
        caller = Caller(serve(REDIS_QUEUE_URL=broker.url, **UNLIMITED), alice)
        start_worker(options=[*INCLUDE, "--concurrency", "1"], REDIS_QUEUE_URL=broker.url, beat=True)
        for number in range(4):
            caller.start_one(f"waiting {number}", 4)
        wait_until(lambda: Status.RUNNING in caller.statuses(), seconds=60, what="a task to run")
        expiring: set[str] = set()
        lasting: set[str] = set()
        for _ in range(100):
            for key in broker.client.scan_iter():
                (expiring if broker.client.ttl(key) >= 0 else lasting).add(key.decode())
            time.sleep(0.05)

        # Proofs that a worker consumes, and who may look for messages of workers that died.
        assert {key for key in expiring if not key.startswith("proof") and key != "unacked_mutex"} == set()
        assert {"default\x06\x163", "unacked", "unacked_index", "_kombu.binding.default", "consumers:default"} <= lasting


def test_a_broker_that_may_drop_messages_is_named(serve: ServeAPI, start_worker: StartWorker) -> None:
    with own_broker(*DROPS_MESSAGES) as broker:
        server = serve(REDIS_QUEUE_URL=broker.url)
        worker = start_worker(REDIS_QUEUE_URL=broker.url)

        def ready() -> Any:
            answer = requests.get(f"{server.url}/health/ready", timeout=10).json()
            return answer["queue"], answer.get("details")

        wait_until(lambda: ready() == ("ok", [MAY_DROP]), seconds=60, what="the worker to consume")
        wait_until(lambda: MAY_DROP in worker.log.read_text(encoding="utf-8"), what="the worker's line")


def test_a_worker_that_was_not_told_at_once_asks_again(start_worker: StartWorker) -> None:
    with own_broker(*DROPS_MESSAGES) as broker, proxied(broker.url) as line:

        def answer_late() -> None:
            line.is_holding.wait(60)
            # Longer than it waits for the answer.
            time.sleep(1)
            line.release()

        line.hold_at(b"memory")
        with in_background(answer_late):
            worker = start_worker(REDIS_QUEUE_URL=line.url)

        wait_until(lambda: MAY_DROP in worker.log.read_text(encoding="utf-8"), what="the worker's line")
