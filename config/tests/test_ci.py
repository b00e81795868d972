"""
What `.ci/run` reports without failing.
"""

import subprocess

import pytest

from conftest import BASE_DIR


@pytest.mark.parametrize("status", [0, 1, 124])
def test_the_last_step_reports_the_shares_and_fails_nothing(status: int) -> None:
    last = (BASE_DIR / ".ci" / "run").read_text().strip().splitlines()[-1]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'step() {{ echo "step: $*"; return {status}; }}\n{last}'],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "make bench" in done.stdout
    assert (f"ended with {status}" in done.stdout) == bool(status)
