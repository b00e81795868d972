"""
Child interpreters with an environment of their own, each a fork of one that has loaded the libraries and nothing of the project.

Loading them takes most of the time that the settings take, and there are a hundred environments to try.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from conftest import BASE_DIR

SECONDS = 60
NURSERY = """
import gc, json, os, sys
import celery, cryptography.hazmat.primitives.serialization, django.conf, django.db.backends.postgresql.psycopg_any, django_stubs_ext
import kombu, pydantic_settings, structlog
gc.freeze()
print(flush=True)
for line in sys.stdin:
    case = json.loads(line)
    pid = os.fork()
    if not pid:
        os.environ.clear()
        os.environ.update(case["environment"])
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(os.path.join(case["folder"], name), os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
        exec(case["code"], {"__name__": "__main__"})
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def bare_environment(**variables: str) -> dict[str, str]:
    """
    Return an environment in which nothing of the developer's or the suite's stands.
    """
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.environ["PATH"], "ENV_FILE": "", **measured, **variables}


def python(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """
    Run the code in an interpreter with these variables.
    """
    nursery = _nursery()
    assert nursery.stdin is not None
    with tempfile.TemporaryDirectory() as folder:
        case = {"code": code, "environment": bare_environment(**variables), "folder": folder}
        nursery.stdin.write(f"{json.dumps(case)}\n")
        nursery.stdin.flush()
        status = int(_line(nursery))
        out, err = (Path(folder, name).read_text(encoding="utf-8") for name in ("out", "err"))
    return subprocess.CompletedProcess([sys.executable, "-c", code], status, out, err)


@cache
def _nursery() -> "subprocess.Popen[str]":
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY], cwd=BASE_DIR, env=bare_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(_end, nursery)
    _line(nursery)
    return nursery


def _end(nursery: "subprocess.Popen[str]") -> None:
    # So late that what it has measured of itself, which is nothing of the project, would be left over.
    nursery.kill()
    nursery.communicate()


def _line(nursery: "subprocess.Popen[str]") -> str:
    assert nursery.stdout is not None
    assert select.select([nursery.stdout], [], [], SECONDS)[0], f"no answer in {SECONDS} s"
    return str(nursery.stdout.readline())
