"""
`make backup` and `make restore`: the whole database in one file, its checksum in another beside it.

A backup is there whole or not at all: it is written under another name, checked, and renamed last. Passwords reach PostgreSQL's programs in
their environment, where no list of processes shows them.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from . import embedded
from .database import libpq_variables
from .env import BASE_DIR, LOCAL_DIR, Environment, load
from .run import start_embedded_servers

COMPOSE_SETTINGS = BASE_DIR / "docker/.env"
COMPOSE_COMMAND = "docker compose -f docker/compose.yaml run --rm backup"
SUFFIX = ".dump"
REPLACE = "--replace"
# Nothing of what is restored counts on what it finds.
EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"
COUNT_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"


class BackupError(SystemExit):
    """
    Raised when a backup cannot be made or restored; its text says why. It ends the command with status 1.
    """


def backup(env: Environment) -> Path:
    """
    Write a backup, remove those beyond `BACKUPS_KEEP`, and return its path.
    """
    folder = backups_folder(env)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        for leftover in folder.glob(f"*{SUFFIX}.part"):
            leftover.unlink()
        name = f"{variables(env)['PGDATABASE']}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{SUFFIX}"
        path, part = folder / name, folder / f"{name}.part"
        try:
            _run(env, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={part}")
            _run(env, "pg_restore", "--list", part)
            _write(_checksum_file(path), f"{_checksum(part)}  {name}\n")
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        _sync(folder)
        for old in backups(folder)[: -env.backups_keep]:
            old.unlink()
            _checksum_file(old).unlink(missing_ok=True)
    return path


def restore(env: Environment, path: Path, *, replace: bool = False) -> None:
    """
    Bring the database back to what the backup holds, in one transaction: where it fails, the database stays as it was.

    Refuses a file that is not what was written, and, without `replace`, a database in which there are tables.
    """
    require_whole(path)
    _run(env, "pg_restore", "--list", path)
    if int(_run(env, "psql", "-XAtqc", COUNT_TABLES) or 0) and not replace:
        raise BackupError(f"The database {variables(env)['PGDATABASE']!r} is not empty. To lose what is in it, add {REPLACE}.")
    reader = [_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(path)]
    writer = [_program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-o", os.devnull]
    with subprocess.Popen(reader, stdout=subprocess.PIPE) as read, _writing(env, writer) as write:
        assert read.stdout is not None  # noqa: S101 - tells the type checker
        assert write.stdin is not None  # noqa: S101 - the same
        try:
            write.stdin.write(f"BEGIN;\n{EMPTY}".encode())
            shutil.copyfileobj(read.stdout, write.stdin)
            # Only now is it known that all of it was read; without this line everything is rolled back.
            if read.wait() == 0:
                write.stdin.write(b"\nCOMMIT;\n")
            write.stdin.close()
        except BrokenPipeError:
            read.kill()
            # What is still in the buffer is written once more on closing, and leaving the block would do that.
            with suppress(BrokenPipeError):
                write.stdin.close()
        failed = write.wait() or read.wait()
    if failed:
        raise BackupError(f"{path} was not restored; the database is as it was.")


def require_meant_database(env: Environment) -> None:
    """
    Raise `BackupError` where the embedded database would be taken and that of docker/compose.yaml may be meant.
    """
    if "postgres" in env.embedded_services and "environment" not in env.model_fields_set and COMPOSE_SETTINGS.exists():
        raise BackupError(
            f"Two databases are here: local mode's embedded one, and that of docker/compose.yaml, since {COMPOSE_SETTINGS} exists.\n"
            f"For that of Compose: {COMPOSE_COMMAND} (docs/deployment.md says how to restore).\n"
            "For the embedded one: the same command as before with ENVIRONMENT=local in its environment."
        )


def require_whole(path: Path) -> None:
    """
    Raise `BackupError` unless the file is what its checksum says.
    """
    try:
        said = _checksum_file(path).read_text(encoding="ascii").split()[0]
        found = _checksum(path)
    except (OSError, ValueError, IndexError) as exc:
        raise BackupError(f"{path} cannot be checked: {exc}. It needs {_checksum_file(path).name} beside it.") from None
    if said != found:
        raise BackupError(f"{path} is damaged: its SHA-256 is {found}, not {said}. Nothing was restored.")


def backups(folder: Path) -> list[Path]:
    """
    Return the folder's backups, oldest first.
    """
    return sorted(folder.glob(f"*{SUFFIX}"))


def backups_folder(env: Environment) -> Path:
    return BASE_DIR / env.backups_dir


def variables(env: Environment) -> dict[str, str]:
    return libpq_variables(env, embedded.addresses(LOCAL_DIR))


def _program(name: str) -> str:
    # The wheel's are the newest, and a dump needs programs that are not older than the server.
    try:
        return str(embedded.binary(name))
    except embedded.EmbeddedError:
        return name


def _environment(env: Environment) -> dict[str, str]:
    # A restore may take longer than any statement of the site.
    return {**os.environ, **variables(env), "PGOPTIONS": "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"}


def _run(env: Environment, program: str, *arguments: str | Path) -> str:
    try:
        done = subprocess.run([_program(program), *arguments], env=_environment(env), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BackupError(f"{program} is not installed. Install PostgreSQL's client programs, of the server's version or newer.") from None
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _writing(env: Environment, command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=_environment(env), stdin=subprocess.PIPE)


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.backup")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("backup", help="write a backup")
    restoring = commands.add_parser("restore", help="restore a backup, the newest if none is named")
    restoring.add_argument("file", nargs="?", type=Path)
    restoring.add_argument(REPLACE, action="store_true", help="lose what is in the database")
    arguments = parser.parse_args()
    os.umask(0o077)
    env = load()
    require_meant_database(env)
    start_embedded_servers(env)
    if arguments.command == "backup":
        sys.stdout.write(f"{backup(env)}\n")
        return
    path = arguments.file or next(reversed(backups(backups_folder(env))), None)
    if path is None:
        raise BackupError(f"There is no backup in {backups_folder(env)}.")
    restore(env, path, replace=arguments.replace)
    sys.stdout.write(f"{path} is restored.\n")


if __name__ == "__main__":
    main()
