"""
Measure whether a login tells by its time who exists: `python -m benchmarks.login_timing`.

It starts a PostgreSQL, a Valkey and a gunicorn of its own, on loopback, sends 200 wrong passwords for each kind of name in turn over one
connection, prints the medians, and exits with 1 if one is further than 10 % from that of a wrong password.
"""

import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from config import embedded

TRIES, TOLERANCE = 200, 0.1
USERS = """
from accounts.models import User
for name in ("alice", "inactive", "deleted"):
    User.objects.create_user(name, f"{name}@example.com", "Str1ngst!", name=name)
User.objects.create_user("unusable", "unusable@example.com", None, name="unusable")
User.objects.filter(username="inactive").update(is_active=False)
User.objects.get(username="deleted").soft_delete()
"""
NAMES = {
    "wrong password": "alice",
    "wrong password, by e-mail": "alice@example.com",
    "unknown username": "nobody",
    "unknown e-mail": "nobody@example.com",
    "inactive": "inactive",
    "deleted": "deleted",
    "without a password": "unusable",
}


@contextmanager
def server() -> Iterator[str]:
    """
    Run a gunicorn without guards, on servers of its own, and yield its URL.
    """
    with tempfile.TemporaryDirectory() as directory, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        servers = embedded.ensure(Path(directory), durable=False)
        redis = {f"REDIS_{name}_URL": servers.redis_url(number) for number, name in enumerate(("CACHE", "RATE_LIMIT", "QUEUE"))}
        guards = {"LOGIN_RATE_LIMIT": "0", "LOGIN_FAILURE_LIMIT": "0", "ENV_FILE": "", "SECRET_KEY": secrets.token_urlsafe(50)}
        environment = {**os.environ, "DATABASE_URL": servers.database_url, **redis, **guards, "WEB_CONCURRENCY": "1", "LOG_LEVEL": "ERROR"}
        for command in (["migrate", "--verbosity", "0"], ["shell", "--verbosity", "0", "--command", USERS]):
            subprocess.run([sys.executable, "manage.py", *command], env=environment, check=True)
        command = ["-m", "gunicorn", "--config", "config/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", "config.wsgi"]
        process = subprocess.Popen([sys.executable, *command], env=environment)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(15)
            embedded.stop(Path(directory), delete=True)


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            requests.get(f"{url}/health", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("gunicorn did not start.")


def measure(url: str) -> dict[str, list[float]]:
    """
    Return the milliseconds of every try. The kinds take turns, so that whatever else the machine does meets all of them.
    """
    found: dict[str, list[float]] = {kind: [] for kind in NAMES}
    with requests.Session() as session:
        for number in range(TRIES + 5):
            for kind, name in NAMES.items():
                started = time.perf_counter()
                response = session.post(f"{url}/api/v1/login", json={"username": name, "password": "Wr0ngest!"}, timeout=30)
                elapsed = (time.perf_counter() - started) * 1000
                if response.status_code != 401:
                    raise SystemExit(f"{kind}: {response.status_code} {response.text}")
                # The first ones open connections and fill caches.
                if number >= 5:
                    found[kind].append(elapsed)
    return found


def main() -> int:
    with server() as url:
        wait_for(url)
        found = measure(url)
    medians = {kind: statistics.median(times) for kind, times in found.items()}
    base = medians["wrong password"]
    for kind, median in medians.items():
        low, _, high = statistics.quantiles(found[kind], n=4)
        print(f"{kind:26} median {median:6.2f} ms  quartiles {low:6.2f} - {high:6.2f}  {(median / base - 1) * 100:+5.1f} %")
    return int(any(abs(median / base - 1) > TOLERANCE for median in medians.values()))


if __name__ == "__main__":
    sys.exit(main())
