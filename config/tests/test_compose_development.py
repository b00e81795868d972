"""
The commands of docker/compose.dev.yaml, run as they stand on the suite's servers.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.tests.ports import free_port
from common.tests.servers import child_environment, started, wait_until
from conftest import BASE_DIR

from . import compose

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SERVICES = compose.services(compose.DEVELOPMENT, {})
# Where the suite's servers are, instead of containers; and no place of the developer's to write to.
SERVERS = ("DATABASE_URL", "REDIS_CACHE_URL", "REDIS_RATE_LIMIT_URL", "REDIS_QUEUE_URL")


def variables_of(name: str, **variables: str) -> dict[str, str]:
    own = {key: value for key, value in SERVICES[name]["environment"].items() if key not in SERVERS}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**own, "ENV_FILE": "", "PATH": path, **variables}


@contextmanager
def running(name: str, folder: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [word.replace("/tmp/", f"{folder}/") for word in SERVICES[name]["command"]]  # noqa: S108 - a container's own
    with started(command, folder / f"{name}.log", **variables_of(name, **variables)) as process:
        yield process


def test_the_web_server_passes_its_probe_and_ends_on_sigterm(tmp_path: Path) -> None:
    port = str(free_port())
    environment = child_environment(**variables_of("web", PORT=port))

    with running("web", tmp_path, PORT=port) as process:
        probe = compose.probe(SERVICES["web"])
        wait_until(
            lambda: subprocess.run(probe, cwd=BASE_DIR, env=environment, capture_output=True, check=False).returncode == 0, seconds=60
        )
        process.terminate()

        assert process.wait(45) == 0


def test_the_worker_is_its_own_beat(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"

    with running("worker", tmp_path) as process:
        wait_until(lambda: b" ready." in log.read_bytes() and list(tmp_path.glob("celerybeat-schedule*")), seconds=60, what="the worker")
        process.terminate()

        assert process.wait(60) == 0


@pytest.mark.parametrize("name", ["migrate", "create_first_superuser", "create_first_tier"])
def test_what_runs_once_succeeds(name: str) -> None:
    environment = child_environment(**variables_of(name))

    result = subprocess.run(SERVICES[name]["command"], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
