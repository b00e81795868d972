"""
The shape in which production runs, by hand: NGINX with the templates of `nginx/` before gunicorn servers with production settings.
"""

import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.ports import free_port
from common.tests.servers import answers, started, wait_until
from conftest import BASE_DIR

from .checkouts import collect_static

# As the official image has it, but for the paths.
NGINX_CONF = """
{user}
worker_processes 2;
error_log stderr notice;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    include {mime_types};
    default_type application/octet-stream;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    access_log off;
    sendfile on;
    keepalive_timeout 65;
    include conf.d/*.conf;
}}
"""
needs_nginx = pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="Needs the packages nginx and openssl.")


class Nginx:
    """
    An NGINX on ports of its own; `variables` are those of `nginx/15-settings.envsh`.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.log = folder / "nginx.log"
        self.http_port, self.https_port = free_port(), free_port()
        self.url = f"https://localhost:{self.https_port}"
        self.plain_url = f"http://localhost:{self.http_port}"
        self.api = f"{self.url}/api/v1"
        self.certificate = folder / "fullchain.pem"
        self.variables = {
            "PATH": os.environ["PATH"],
            "HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "HTTPS_LISTEN": f"127.0.0.1:{self.https_port}",
            "TLS_CERTIFICATE": str(self.certificate),
            "TLS_CERTIFICATE_KEY": str(folder / "privkey.pem"),
            "CACHE_DIRECTORY": str(folder),
            **variables,
        }
        self.process: subprocess.Popen[bytes]

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    def session(self) -> requests.Session:
        session = requests.Session()
        # The environment may name other certificates, and they would win.
        session.trust_env = False
        session.verify = str(self.certificate)
        return session

    def render(self, **variables: str) -> None:
        self.variables |= variables
        command = [str(BASE_DIR / "nginx" / "render"), str(self.folder / "conf.d")]
        subprocess.run(command, env=self.variables, check=True, capture_output=True, text=True)

    def reload(self, **variables: str) -> None:
        """
        Take over other variables, and wait until no process works with the earlier ones.
        """
        assert self.process is not None
        self.render(**variables)
        hang_up(self.process)

    def lines(self) -> list[dict[str, Any]]:
        return json_lines(self.log)

    def line_of(self, response: requests.Response) -> dict[str, Any]:
        """
        Return what the log says of an answer; NGINX writes it once it has answered.
        """
        request_id = response.headers["X-Request-ID"]
        (line,) = wait_until(lambda: [line for line in self.lines() if line["request_id"] == request_id], what="NGINX's line")
        return dict(line)


def make_certificate(folder: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(folder / "privkey.pem")]
    command = ["openssl", "req", "-x509", *key, "-out", str(folder / "fullchain.pem"), "-days", "2", *subject]
    subprocess.run(command, check=True, capture_output=True)


def hang_up(process: "subprocess.Popen[bytes]") -> None:
    """
    Have a server reload, and wait until none of its earlier workers is left.
    """
    before = wait_until(lambda: _children(process), what="the workers")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & _children(process), seconds=60, what="the workers to be replaced")


def _children(process: "subprocess.Popen[bytes]") -> set[str]:
    command = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    return set(subprocess.run(command, capture_output=True, text=True, check=False).stdout.split())


def json_lines(log: Path) -> list[dict[str, Any]]:
    # What follows the last line break is still being written.
    return [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1] if line.startswith(b"{")]


@contextmanager
def proxied(folder: Path, **variables: str) -> Iterator[Nginx]:
    """
    Run an NGINX with the given variables.
    """
    nginx = Nginx(folder, **variables)
    (folder / "conf.d").mkdir(parents=True)
    mime_types = next(path for path in (Path("/etc/nginx/mime.types"), Path("/usr/local/nginx/conf/mime.types")) if path.exists())
    # Its processes would otherwise give up root, and with it the way to this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX_CONF.format(user=user, mime_types=mime_types), encoding="utf-8")
    make_certificate(folder)
    nginx.render()
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with started(command, nginx.log) as process:
        nginx.process = process
        wait_until(lambda: answers(nginx.http_port) or process.poll() is not None, what="NGINX")
        assert process.poll() is None, nginx.log.read_text(encoding="utf-8")
        yield nginx


class WebServer:
    """
    A gunicorn with production settings that can be ended and started again on its port.
    """

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.port = free_port()
        self.log = folder / f"web-{self.port}.log"
        self.variables = variables
        self.stack = ExitStack()
        self.process: subprocess.Popen[bytes] = self.begin()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def begin(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "--bind", self.address, "config.wsgi"]
        self.process = self.stack.enter_context(started(command, self.log, **self.variables))
        return self.process

    def wait_until_ready(self) -> None:
        told = ""

        def ready() -> bool:
            nonlocal told
            try:
                answer = requests.get(f"http://{self.address}/health/ready", headers={"Host": "localhost"}, timeout=5)
            except requests.RequestException as exc:
                told = str(exc)
                return False
            told = f"{answer.status_code} {answer.text}"
            return answer.ok

        def said() -> str:
            return f"gunicorn, which says {told}: {self.log.read_text(encoding='utf-8')[-2000:]}"

        wait_until(lambda: ready() or self.process.poll() is not None, seconds=120, what=said)
        assert self.process.poll() is None, said()

    def restart(self) -> None:
        self.begin()
        self.wait_until_ready()

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def lines(self) -> list[dict[str, Any]]:
        return json_lines(self.log)


class Production:
    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {
            "ENVIRONMENT": "production",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "localhost",
            "TRUSTED_PROXY_COUNT": "1",
            "WEB_CONCURRENCY": "2",
            **variables,
        }
        self.servers: list[WebServer] = []
        self.nginx: Nginx

    @property
    def web_servers(self) -> str:
        return " ".join(server.address for server in self.servers)

    @contextmanager
    def web_server(self) -> Iterator[WebServer]:
        """
        Run one more web server, which NGINX does not know yet.
        """
        server = WebServer(self.folder, self.variables)
        with server.stack:
            yield server


@contextmanager
def production(folder: Path, *, servers: int = 2, edge: dict[str, str] | None = None, **variables: str) -> Iterator[Production]:
    """
    Run NGINX, configured by `edge`, before gunicorn servers with production settings and the given variables.

    They work on the suite's database and Redis.
    """
    collect_static()
    running = Production(folder, **variables)
    with ExitStack() as stack:
        running.servers = [stack.enter_context(running.web_server()) for _ in range(servers)]
        for server in running.servers:
            server.wait_until_ready()
        running.nginx = stack.enter_context(proxied(folder / "nginx", WEB_SERVERS=running.web_servers, **(edge or {})))
        yield running


@contextmanager
def background(running: Production) -> Iterator[list[Path]]:
    """
    Run a worker and beat beside it, as the deployment does, and return their logs.
    """
    commands = {
        "worker": ["worker", "--queues", "default,slow,mail", "--concurrency", "2", "--loglevel", "info"],
        "beat": ["beat", "--schedule", str(running.folder / "schedule"), "--pidfile=", "--loglevel", "info"],
    }
    with ExitStack() as stack:
        logs = []
        for name, arguments in commands.items():
            log = running.folder / f"{name}.log"
            stack.enter_context(started([sys.executable, "-m", "celery", "--app", "config", *arguments], log, **running.variables))
            logs.append(log)
        wait_until(lambda: b" ready." in logs[0].read_bytes(), seconds=60, what="the worker")
        yield logs
