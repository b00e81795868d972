import os
import subprocess
import sys

import pytest

from config.audit import report
from conftest import BASE_DIR


def library(name: str, *faults: str) -> dict[str, object]:
    return {"name": name, "version": "1.0", "vulns": [{"id": fault, "fix_versions": ["1.1"]} for fault in faults]}


def test_a_known_fault_fails() -> None:
    assert report([library("good"), library("bad", "PYSEC-1", "PYSEC-2")]) == 1


def test_what_nobody_knows_of_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    status = report([library("good"), {"name": "new", "skip_reason": "not found"}])

    assert status == 0
    assert capsys.readouterr().out == "1 of 2 libraries audited, 0 known faults.\nThe service knows nothing of: new\n"


def test_a_service_that_is_away_fails_nothing_and_is_told() -> None:
    # Where nobody listens.
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:1")
    environment = {**os.environ, **proxies, "NO_PROXY": "", "no_proxy": "", "XDG_CACHE_HOME": "/nonexistent"}
    command = [sys.executable, "-m", "config.audit"]

    done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0
    assert done.stdout.startswith("Not audited, the service that knows of faults cannot be reached:\n")
