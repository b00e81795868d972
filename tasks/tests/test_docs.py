"""
The examples of `docs/tasks.md`, as written there.
"""

import http.server
import re
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from conftest import BASE_DIR

from ..functions import FUNCTIONS
from ..models import Status, Task
from ..running import run
from ..services import enqueue

# Whoever looks after a function that takes a while sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (BASE_DIR / "docs" / "tasks.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    match = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """
    A module that the examples are written into.
    """
    module = types.ModuleType("example_of_the_docs")
    sys.modules[module.__name__] = module
    known = dict(FUNCTIONS)
    yield module
    del sys.modules[module.__name__]
    FUNCTIONS.clear()
    FUNCTIONS.update(known)


def execute(module: types.ModuleType, name: str) -> None:
    exec(example(name), module.__dict__)  # noqa: S102 - the project's own page


def test_what_is_written_in_the_database_comes_with_the_end(module: types.ModuleType, alice: Any) -> None:
    module.user = alice  # type: ignore[attr-defined]
    execute(module, "digest")
    execute(module, "start")

    run(str(module.task.pk))

    task = Task.objects.get()
    assert (task.status, task.result, task.owner, task.queue_name) == (Status.SUCCEEDED, {"lines": 2}, alice, "default")
    assert LogEntry.objects.count() == 2


def test_a_call_of_another_service_is_made_again_when_that_was_away(module: types.ModuleType) -> None:
    calls: list[str | None] = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(self.headers["Idempotency-Key"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    execute(module, "call")
    # It has its port, and refuses whoever calls.
    server = http.server.HTTPServer(("127.0.0.1", 0), Service, bind_and_activate=False)
    server.server_bind()
    address = f"http://127.0.0.1:{server.server_port}/"

    run(str(enqueue(module.notify, address, "event-1").pk))
    assert Task.objects.values_list("status", "retries", "queue_name").get() == (Status.QUEUED, 1, "slow")

    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Task.objects.update(run_after=timezone.now())
    run(str(Task.objects.get().pk))
    server.shutdown()
    server.server_close()

    assert Task.objects.values_list("status", "result").get() == (Status.SUCCEEDED, 204)
    assert calls == ["event-1"]


def test_every_option_stands_in_the_table() -> None:
    from dataclasses import fields

    from ..functions import Options

    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE))))
    assert {field.name for field in fields(Options)} <= described
