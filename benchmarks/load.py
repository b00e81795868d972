"""
Load from `wrk`, which takes a small part of a core where the server takes the rest.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("wrk.lua")


class Request(NamedTuple):
    method: str
    path: str
    token: str = ""
    body: str = ""


class Load(NamedTuple):
    """
    What `wrk` saw: calls that were answered below 400, in all and a second, milliseconds, and calls that were refused or broke.
    """

    calls: int
    rate: float
    p50: float
    p99: float
    failed: int


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk.")


@contextmanager
def loading(url: str, requests: Sequence[Request], *, connections: int, seconds: int) -> Iterator["subprocess.Popen[str]"]:
    """
    Send the requests in turn, over and over, while the body of the `with` runs and until the time is over.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        file.writelines("\t".join(request) + "\n" for request in requests)
        file.flush()
        timing = ("-d", f"{seconds}s", "--timeout", "30s")
        command = ("wrk", "-t", "1", "-c", str(connections), *timing, "-s", str(SCRIPT), url, "--", file.name)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            yield process


def result(process: "subprocess.Popen[str]") -> Load:
    output, _ = process.communicate()
    last = output.strip().rpartition("\n")[2]
    if process.returncode or not last.startswith("{"):
        raise SystemExit(f"wrk failed: {output}")
    found = json.loads(last)
    good = found["requests"] - found["refused"]
    return Load(good, good / found["seconds"], found["p50"], found["p99"], found["refused"] + found["broken"])


def load(url: str, requests: Sequence[Request], *, connections: int, seconds: int) -> Load:
    with loading(url, requests, connections=connections, seconds=seconds) as process:
        return result(process)
