"""
The harness of `make bench` measures, counts and compares.
"""

import json
import shutil
import subprocess
import sys

import pytest

from conftest import BASE_DIR

pytestmark = [pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (apt-get install wrk)"), pytest.mark.slow]


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=BASE_DIR, capture_output=True, text=True, check=False)


def test_a_run_counts_what_a_call_costs_and_compares_settings() -> None:
    done = bench("--rows", "cached_post", "--rounds", "1", "--seconds", "1", "--threads", "4")

    assert done.returncode == 0, done.stderr
    assert "| cached post |" in done.stdout
    assert "| changed |" in done.stdout
    figures = json.loads((BASE_DIR / ".local" / "bench" / "rows.json").read_text())
    assert figures["counts"]["cached_post"]["statements"] == 0
    assert figures["counts"]["cached_post"]["round_trips"] == 1
    assert [sample["failed"] for sample in figures["samples"]["cached_post/changed"]] == [0]


def test_a_row_that_there_is_not_is_refused() -> None:
    done = bench("--rows", "cached_pots")

    assert done.returncode == 2
    assert "there is no row cached_pots" in done.stderr
