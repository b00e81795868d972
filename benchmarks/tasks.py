"""
Measure what the record of a task costs: `python -m benchmarks.tasks`.

It starts a PostgreSQL, a Valkey and one worker with 4 processes of its own. 1,000 tasks that do nothing are queued and finished, through
`enqueue()` with a record, and as bare Celery tasks without one. It prints the rates and their ratio, of the best of three rounds each.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TASKS, PROCESSES, ROUNDS = 1000, 4, 3


def main() -> None:
    """
    Start the servers, then this program anew with an environment that names them.
    """
    from config import embedded

    with tempfile.TemporaryDirectory() as directory:
        servers = embedded.ensure(Path(directory), durable=True)
        redis = {f"REDIS_{name}_URL": servers.redis_url(number) for number, name in enumerate(("CACHE", "RATE_LIMIT", "QUEUE"))}
        names = {
            "ENV_FILE": "",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        environment = {**os.environ, "DATABASE_URL": servers.database_url, **redis, **names}
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=environment, check=True)
        command = ["-m", "celery", "-A", "config", "worker", "--include", "benchmarks.tasks_worker", "--concurrency", str(PROCESSES)]
        worker = subprocess.Popen([sys.executable, *command, "--loglevel", "warning"], env=environment)
        try:
            subprocess.run([sys.executable, "-m", "benchmarks.tasks", "measure"], env=environment, check=True)
        finally:
            worker.terminate()
            worker.wait()
            embedded.stop(Path(directory), delete=True)


def measure() -> None:
    import django

    django.setup()
    from common import broker
    from tasks.models import Status, Task
    from tasks.services import enqueue

    from .tasks_worker import COUNTER, bare, nothing

    def finish(done: Callable[[], int], goal: int) -> None:
        while done() < goal:
            time.sleep(0.005)

    def recorded() -> int:
        return Task.objects.filter(status=Status.SUCCEEDED).count()

    def counted() -> int:
        return int(broker.connection().get(COUNTER) or 0)

    rates: dict[str, float] = {}
    rounds: list[tuple[str, Callable[[], object], Callable[[], int]]] = [
        ("with a record", lambda: enqueue(nothing), recorded),
        ("bare Celery", bare.delay, counted),
    ]
    for number in range(ROUNDS + 1):
        for name, start, done in rounds:
            goal, began = done() + TASKS, time.monotonic()
            for _ in range(TASKS):
                start()
            finish(done, goal)
            # The first round warms up.
            if number:
                rates[name] = max(rates.get(name, 0), TASKS / (time.monotonic() - began))
    for name, rate in rates.items():
        print(f"{name:14} {rate:7.0f} tasks/s")
    print(f"ratio          {rates['with a record'] / rates['bare Celery']:7.2f}")


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
