"""
The harness of `make bench` measures, counts and compares.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from benchmarks.arguments import parse
from conftest import BASE_DIR

pytestmark = [pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (apt-get install wrk)"), pytest.mark.slow]

LINE = re.compile(r"^make bench ARGS=.*$", re.MULTILINE)


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
    assert "| p99 ms, 2 connections |" in done.stdout
    assert all(sample["few_p99"] > 0 for sample in figures["samples"]["cached_post/default"])


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        (["--rows", "cached_pots"], "there is no row cached_pots"),
        (["--set", "FOO"], "'FOO' is no NAME=VALUE"),
        (["--set", "=1"], "'=1' is no NAME=VALUE"),
        (["--workers", "many"], "invalid positive value: 'many'"),
        (["--rounds", "0"], "invalid positive value: '0'"),
        (["--sizes", "1000,many"], "invalid sizes value: '1000,many'"),
        (["--sizes", "20"], "less than 400 have too few pages"),
        (["--growth", "--rows", "cached_pots"], "there is no row cached_pots"),
        (["--growth", "--rounds", "2"], "--growth has no --rounds"),
        (["--profile", "--rows", "last_users"], "there is no row last_users"),
        (["--profile", "--workers", "2", "--seconds", "1"], "--profile has no --seconds, --workers"),
        (["--profile", "--growth"], "not allowed with argument"),
        (["--publish", "--rows", "login"], "--publish replaces whole tables, so it goes with no --rows"),
        (["--publish", "--workers", "4", "--set", "WEB_THREADS=4"], "so it goes with no --workers, --set"),
        (["--publish", "--gunicorn=--reuse-port"], "so it goes with no --gunicorn"),
        (["--publish", "--rounds", "2"], "so it goes with no --rounds below 3"),
        (["--growth", "--publish", "--seconds", "1"], "so it goes with no --seconds below 2"),
    ],
)
def test_what_cannot_be_is_refused_and_not_passed_over(arguments: list[str], mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments)

    assert mistake in capsys.readouterr().err


def test_logins_are_compared_under_both_choices_of_settings() -> None:
    done = bench("--rows", "login", "--rounds", "1", "--seconds", "1", "--set", "PASSWORD_HASH_CONCURRENCY=1")

    assert done.returncode == 0, done.stderr
    assert "Changed: `PASSWORD_HASH_CONCURRENCY=1`." in done.stdout
    assert "| what | default | changed | goal |" in done.stdout
    assert "| request | share | changed |" not in done.stdout, "a table without lines"
    figures = json.loads((BASE_DIR / ".local" / "bench" / "rows.json").read_text())
    assert {choice: len(samples) for choice, samples in figures["logins"].items()} == {"default": 1, "changed": 1}


@pytest.mark.parametrize("table", ["--growth", "--profile"])
def test_settings_reach_what_is_measured(table: str) -> None:
    done = bench(table, "--rows", "cached_post", "--set", "WEB_THREADS=0", *(["--sizes", "400"] if table == "--growth" else []))

    assert done.returncode == 1
    assert "gunicorn did not start" in done.stderr
    assert "WEB_THREADS" in done.stderr


def test_growth_is_measured_as_it_was_asked_for() -> None:
    rows = ("--rows", "cached_post,first_users,login")
    done = bench("--growth", *rows, "--sizes", "400,500", "--seconds", "1", "--connections", "2", "--gunicorn=--backlog 64")

    assert done.returncode == 0, done.stderr
    assert "1 s for each number of connections, medians. Under `--backlog 64`." in done.stdout
    header, _, *lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert header == "| p50 ms at 400 → 500 | 1 connections | 2 connections |"
    assert [line.split(" | ")[0] for line in lines] == [
        "| cached post",
        "| first pages of users, nothing cached",
        "| log in, one after another",
    ]


def test_one_command_prints_both_tables() -> None:
    assert [list(parse(arguments).tables) for arguments in ([], ["--publish"], ["--seconds", "1"])] == [
        ["rows", "growth"],
        ["rows", "growth"],
        ["rows"],
    ]
    done = bench("--rows", "cached_post", "--rounds", "1", "--seconds", "1", "--connections", "2", "--sizes", "400")

    assert done.returncode == 0, done.stderr
    assert "| request | calls/s | share |" in done.stdout
    assert "| p50 ms at 400 | 2 connections |" in done.stdout
    assert done.stdout.count("| cached post |") == 2


def test_each_command_of_the_page_is_accepted() -> None:
    page = (BASE_DIR / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    # Make hands on what the shell has unquoted once, and the shell that it starts does so again.
    commands = [shlex.split(shlex.split(line, comments=True)[2].removeprefix("ARGS=")) for line in LINE.findall(page)]

    assert len(commands) >= 5
    for arguments in commands:
        assert parse(arguments).tables


def test_the_profile_shows_where_a_login_spends_its_time() -> None:
    done = bench("--profile", "--rows", "login")

    assert done.returncode == 0, done.stderr
    header, _, line = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    found = dict(zip(header, line, strict=True))
    assert found["request"] == "log in"
    assert int(found["password hash"].removesuffix("%")) >= 50
    # 19 MiB of pages of 4 KiB, or a few large ones where the system makes such.
    assert int(found["page faults"]) >= 1
