"""
Clients that are generated from the API's own description compile, and run the README's tour.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.servers import Server
from conftest import BASE_DIR

pytestmark = [pytest.mark.clients, pytest.mark.django_db(transaction=True)]

TOUR = ["user ada", "post Hello miss", "post Hello hit", "refused string_too_short", "task Task hello is complete!"]


def run(*command: str, cwd: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if result.returncode:
        pytest.fail(f"{' '.join(command)}\n{result.stdout}\n{result.stderr}", pytrace=False)
    return result.stdout


@pytest.fixture
def server(serve: Callable[..., Server], start_worker: Callable[..., Any]) -> Server:
    start_worker()
    return serve()


def copied(language: str, server: Server, folder: Path) -> Path:
    shutil.copytree(BASE_DIR / ".ci" / "clients" / language, folder / language, ignore=shutil.ignore_patterns("node_modules"))
    (folder / language / "schema.json").write_text(requests.get(f"{server.url}/openapi.json", timeout=30).text, encoding="utf-8")
    return folder / language


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed: install Node.js 20 or newer")
def test_a_typescript_client_compiles_and_runs_the_tour(server: Server, tmp_path: Path) -> None:
    folder = copied("typescript", server, tmp_path)
    run("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    run("npm", "run", "generate", cwd=folder)
    run("npm", "run", "compile", cwd=folder)

    printed = run("node", "built/tour.js", server.url, cwd=folder)

    assert printed.splitlines() == TOUR


def test_a_python_client_compiles_and_runs_the_tour(server: Server, tmp_path: Path) -> None:
    folder = copied("python", server, tmp_path)
    generate = (
        "openapi-python-client",
        "generate",
        "--path",
        "schema.json",
        "--output-path",
        "client",
        "--meta",
        "none",
        "--config",
        "generator.yaml",
    )
    run(*generate, cwd=folder)
    run("mypy", "--config-file=", "--strict", "--follow-imports=silent", "tour.py", cwd=folder)

    printed = run(sys.executable, "tour.py", server.url, cwd=folder)

    assert printed.splitlines() == TOUR
