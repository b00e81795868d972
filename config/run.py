"""
`make run`: the whole project on this machine, started and stopped together.
"""

import errno
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any, NoReturn

import django
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from . import embedded
from .database import libpq_variables
from .env import BASE_DIR, LOCAL_DIR, Environment, load

# What the manager reports when Ctrl-C or SIGTERM ended it.
STOPPED = (130, 143)
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMANDS = (("migrate", "--no-input", "--verbosity=0"), ("create_first_superuser",), ("create_first_tier",))


def start_embedded_servers(env: Environment | None = None) -> None:
    """
    Start the servers that local mode has to bring along, and keep them up while this process lives. Does nothing where others are named.
    """
    services = (env or load()).embedded_services
    if services:
        try:
            embedded.ensure(LOCAL_DIR, services)
        except embedded.EmbeddedError as exc:
            sys.exit(str(exc))


def main() -> None:
    for number in STOPS:
        # Whoever has one ignored wants that, as nohup does.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    env = load()
    require_free_port(env.port)
    start_embedded_servers(env)
    status = _prepared()
    # From here a signal waits until the manager listens. What is raised in the midst of an import may be lost, so it is asked for as well.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    if status or _told:
        sys.exit(status or 128 + _told[0])

    from .manager import Manager  # Only here: manage.py imports this module where honcho is not installed.

    manager = Manager()
    for name, command in processes(env).items():
        manager.add_process(name, command, cwd=str(BASE_DIR), env={**os.environ, "PYTHONUNBUFFERED": "1"})
    threading.Thread(target=announce, args=(env,), daemon=True).start()
    manager.loop()
    # Each process was told to stop; only one that stopped by itself before is a failure.
    sys.exit(0 if manager.returncode in STOPPED else manager.returncode)


_told: list[int] = []


def _end(number: int, _frame: Any) -> NoReturn:
    _told.append(number)
    # A terminal that is closed tells it more than once.
    for each in STOPS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _prepared() -> int:
    """
    Run `prepare()` in a process of its own, so that this one stays small, and forks; return its status.
    """
    # In a session of its own: a signal reaches it from here only, and nothing is printed twice.
    with subprocess.Popen([sys.executable, "-m", "config.run", "prepare"], cwd=BASE_DIR, start_new_session=True) as process:
        try:
            return process.wait()
        except SystemExit:
            process.terminate()
            raise


def processes(env: Environment) -> dict[str, str]:
    """
    Return the command of each process by its name in the log.
    """
    python = f"exec {shlex.quote(sys.executable)} -m"
    commands = {"web": f"{python} gunicorn --config config/gunicorn.conf.py --bind 127.0.0.1:{env.port} --reload config.wsgi"}
    if env.queue_enabled:
        commands["worker"] = f"{python} celery --app config --quiet worker --concurrency 2 --loglevel warning"
        commands["beat"] = f"{python} celery --app config --quiet beat --loglevel warning --pidfile="
    return commands


def require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                sys.exit(f"Port {port} is taken. Stop what listens there, or choose another: make run PORT={port + 1}")
            sys.exit(f"Port {port} cannot be used: {exc.strerror}. Choose another: make run PORT=8000")


def announce(env: Environment) -> None:
    """
    Wait until the API answers, then say where everything is.
    """
    base = f"http://127.0.0.1:{env.port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{base}/health", timeout=1).close()  # noqa: S310 - the URL is http://127.0.0.1
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    else:
        return
    lines = (
        "",
        f"  API    {base}/api/v1/",
        f"  Docs   {base}/docs",
        f"  Admin  {base}/admin/   log in as a superuser",
        "         forgotten the password? .venv/bin/python manage.py changepassword USERNAME",
        "  Stop   Ctrl-C",
        "",
    )
    print("\n".join(lines), flush=True)


def prepare() -> None:
    """
    Bring the database up to date, with its first superuser and tier.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    for command in COMMANDS:
        try:
            call_command(*command)
        except (CommandError, DatabaseError) as exc:
            sys.exit(f"{command[0]}: {exc}")


def psql() -> None:
    """
    Become psql, connected to the database.
    """
    env = load()
    start_embedded_servers(env)
    lock = embedded.held_lock()
    if lock is not None:
        # psql is the user of the embedded servers from here on.
        os.set_inheritable(lock, True)
    # Not on the command line, which would show the password.
    variables = libpq_variables(env, embedded.addresses(LOCAL_DIR))
    try:
        program = embedded.binary("psql")
    except embedded.EmbeddedError as exc:
        sys.exit(str(exc))
    os.execve(program, ["psql"], {**os.environ, **variables})  # noqa: S606 - there is no shell in between


def reset() -> None:
    """
    Delete the embedded servers with their data.
    """
    try:
        embedded.stop(LOCAL_DIR, delete=True)
    except embedded.EmbeddedError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    {"": main, "prepare": prepare, "psql": psql, "reset": reset}["".join(sys.argv[1:])]()
