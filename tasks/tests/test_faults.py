"""
A 201 means that the task will run, whatever dies right after: real processes, killed for real.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from common.outages import PAUSE_SECONDS
from common.tests.servers import Server, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
# Nothing listens there.
BROKER_AWAY = "redis://127.0.0.1:1/0"
HELLO = {"message": "hello"}


def result_of(server: Server, task_id: str) -> Any:
    record = requests.get(f"{server.api}/tasks/task/{task_id}", timeout=10).json()
    return record["result"] if record["status"] == "succeeded" else None


def test_a_task_runs_to_its_result(serve: Callable[..., Server], start_worker: Callable[..., Any]) -> None:
    server = serve()
    start_worker(beat=True)

    created = requests.post(f"{server.api}/tasks/task", params=HELLO, timeout=10)

    assert created.status_code == 201
    assert wait_until(lambda: result_of(server, created.json()["id"]), seconds=40, what="the result") == "Task hello is complete!"


def test_a_broker_that_is_away_delays_the_task_and_not_the_answer(serve: Callable[..., Server], start_worker: Callable[..., Any]) -> None:
    cut_off = serve(REDIS_QUEUE_URL=BROKER_AWAY, WEB_CONCURRENCY="1")
    requests.post(f"{cut_off.api}/tasks/task", params=HELLO, timeout=60)
    # The first one imports the code; this one asks the broker anew.
    time.sleep(PAUSE_SECONDS)
    started = time.monotonic()
    created = requests.post(f"{cut_off.api}/tasks/task", params=HELLO, timeout=10)
    assert created.status_code == 201
    assert time.monotonic() - started < 5

    start_worker(beat=True)

    assert wait_until(lambda: result_of(cut_off, created.json()["id"]), seconds=40, what="the sweep") == "Task hello is complete!"


def test_a_task_survives_the_api_process_that_answered(serve: Callable[..., Server], start_worker: Callable[..., Any]) -> None:
    cut_off = serve(REDIS_QUEUE_URL=BROKER_AWAY)
    created = requests.post(f"{cut_off.api}/tasks/task", params=HELLO, timeout=10)
    os.killpg(cut_off.process.pid, signal.SIGKILL)
    server = serve()

    start_worker(beat=True)

    assert wait_until(lambda: result_of(server, created.json()["id"]), seconds=40, what="the sweep") == "Task hello is complete!"


def test_the_workers_lines_carry_the_id_of_the_request(serve: Callable[..., Server], start_worker: Callable[..., Any]) -> None:
    server = serve()
    worker = start_worker(beat=True)

    created = requests.post(f"{server.api}/tasks/task", params=HELLO, headers={"X-Request-ID": "find-me-again"}, timeout=10)
    wait_until(lambda: result_of(server, created.json()["id"]), seconds=40, what="the result")

    assert "find-me-again" in server.log.read_text(encoding="utf-8")
    wait_until(lambda: "find-me-again" in worker.log.read_text(encoding="utf-8"), what="the worker's line")
