"""
Where the time of a call goes: the rows' calls in one process under Python's profiler, by the library whose code runs.

Each row has a process of its own, `python -m benchmarks.profiles cached_post`, which `measure()` starts. The profiler makes what consists
of many small calls look slower than it is, so shares say where to look and no more.
"""

import cProfile
import io
import itertools
import json
import os
import pstats
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from config import memory
from config.env import BASE_DIR

from . import report, seeds
from .load import Request
from .rounds import Options
from .rows import LOGIN, ROWS, Row
from .servers import CACHE, Servers, gunicorn

WARM_CALLS, CALLS = 200, 600
# A hash takes as long as twenty other calls.
LOGIN_WARM_CALLS, LOGIN_CALLS = 20, 100
SOCKETS, PROJECT, PYTHON = "sockets", "this project", "Python"
LIBRARIES = {
    "Django": ("django", "corsheaders", "whitenoise", "asgiref"),
    "REST framework": ("rest_framework",),
    "Redis client": ("redis", "django_redis", "hiredis"),
    "database client": ("psycopg", "psycopg_binary"),
    "log": ("structlog", "logging"),
    "counters": ("prometheus_client",),
    "Celery": ("celery", "kombu", "billiard"),
    "password hash": ("argon2", "_argon2_cffi_bindings"),
}
PARTS = (PROJECT, *LIBRARIES, PYTHON, SOCKETS)
OF_SOCKETS = ("_socket.socket", "select.poll")
# It waits in code that no profiler sees.
DATABASE_WAIT = (("psycopg", "connection.py"), "wait")
Function = tuple[str, int, str]


def measure(servers: Servers, options: Options, say: Callable[[str], None]) -> str:
    """
    Return a table of the wanted rows: microseconds of processor time of a call without the profiler, the share of it that the system
    takes, and how often a call touches a page of memory that it has to be given first; and the share of each part under the profiler.
    """
    with gunicorn(servers, "config.wsgi", variables=options.variables) as web:
        tokens = [seeds.log_in(web.url, number) for number in range(1, seeds.CALLERS + 1)]
    lines = []
    for row in (row for row in (*ROWS, LOGIN) if not row.is_yardstick and options.wants(row.name)):
        say(f"profiling {row.name}")
        variables = {**options.variables, "BENCH_TOKENS": json.dumps(tokens)} | ({"CACHE_ENABLED": "false"} if row.is_uncached else {})
        command = (sys.executable, "-m", "benchmarks.profiles", row.name)
        servers.redis(CACHE).flushdb()
        done = subprocess.run(
            command, cwd=BASE_DIR, env={**servers.environment, **variables}, stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout)
        total = sum(found["parts"].values())
        shares = [found["parts"].get(part, 0) / total for part in PARTS]
        cells = (f"{found['microseconds']:.0f}", f"{found['system']:.0%}", f"{found['page_faults']:.0f}")
        lines.append([row.title, *cells, *(f"{share:.0%}" for share in shares)])
    return report.markdown(("request", "CPU µs", "of it the system", "page faults", *PARTS), lines)


def main(name: str) -> None:
    """
    Print the figures of a row as JSON, in an environment that names its servers.
    """
    output, sys.stdout = sys.stdout, Path(os.devnull).open("w")  # noqa: SIM115 - the log goes there to the end
    from config.wsgi import application

    # As gunicorn has it done.
    memory.give_large_blocks_back()
    row = next(row for row in (*ROWS, LOGIN) if row.name == name)
    warm, times = (LOGIN_WARM_CALLS, LOGIN_CALLS) if row is LOGIN else (WARM_CALLS, CALLS)
    calls = _calls(row, json.loads(os.environ["BENCH_TOKENS"]), application)
    _repeat(calls, warm)
    figures = _taken(lambda: _repeat(calls, times), times)
    profile = cProfile.Profile()
    profile.runcall(_repeat, calls, times)
    output.write(json.dumps({**figures, "parts": _parts(pstats.Stats(profile))}))


def _taken(work: Callable[[], None], times: int) -> dict[str, float]:
    """
    Return what the work takes, without the profiler.
    """
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return {
        "microseconds": (user + system) / times * 1e6,
        "system": system / (user + system),
        "page_faults": (after.ru_minflt - before.ru_minflt) / times,
    }


def _calls(row: Row, tokens: Sequence[str], application: Callable[..., Any]) -> Iterator[None]:
    for request in itertools.cycle(row.requests(tokens)):
        status: list[str] = []
        response = application(_environ(request), lambda *arguments, status=status: status.append(arguments[0]))
        b"".join(response)
        response.close()
        if status[0] > "3":
            raise SystemExit(f"{request.method} {request.path}: {status[0]}")
        yield


def _repeat(calls: Iterator[None], times: int) -> None:
    for _ in range(times):
        next(calls)


def _environ(request: Request) -> dict[str, Any]:
    path, _, query = request.path.partition("?")
    body = request.body.encode()
    headers = {"HTTP_AUTHORIZATION": f"Bearer {request.token}"} if request.token else {}
    headers |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))} if body else {}
    return headers | {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "203.0.113.1",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
    }


def _parts(stats: pstats.Stats) -> dict[str, float]:
    """
    Add up the time in each part's own code; what is written in C counts for whoever calls it.
    """
    parts: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if function[0] != "~":
            parts[_part(function)] += own
        elif any(name in function[2] for name in OF_SOCKETS):
            parts[SOCKETS] += own
        else:
            for caller, (_, _, by_caller, _) in callers.items():
                parts[_part(caller)] += by_caller
    return dict(parts)


def _part(function: Function) -> str:
    path = function[0]
    names = Path(path).parts
    if (names[-2:], function[2]) == DATABASE_WAIT:
        return SOCKETS
    if "site-packages" in names:
        library = names[names.index("site-packages") + 1]
        return next((part for part, libraries in LIBRARIES.items() if library in libraries), PYTHON)
    if "logging" in names:
        return "log"
    return PROJECT if path.startswith(f"{BASE_DIR}{os.sep}") else PYTHON


if __name__ == "__main__":
    main(sys.argv[1])
