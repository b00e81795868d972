"""
What `nginx/render` makes of its variables; `nginx/15-settings.envsh` works them out.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from common.tests.ports import free_port
from conftest import BASE_DIR

from . import compose
from .production import make_certificate, needs_nginx

TEMPLATES = BASE_DIR / "nginx" / "templates"


def render(folder: Path, **variables: str) -> dict[str, str]:
    run(folder, **variables).check_returncode()
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def run(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "NGINX_VERSION": "1.22.1", **variables}
    return subprocess.run([str(BASE_DIR / "nginx" / "render"), str(folder)], env=environment, capture_output=True, text=True, check=False)


def test_every_variable_of_the_templates_is_filled_in(tmp_path: Path) -> None:
    names = {name for path in TEMPLATES.iterdir() for name in re.findall(r"\$\{([^}]*)\}", path.read_text(encoding="utf-8"))}

    rendered = render(tmp_path)

    assert names
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Z0-9_]+", name)] == []
    assert not [text for text in rendered.values() if re.search(r"\$\{[A-Z]", text)]
    assert "server web:8000 max_fails=1 fail_timeout=2s;" in rendered["default.conf"]


@pytest.mark.parametrize("servers", ["web1:8000 web2:8000", "web1:8000,web2:8000", " web1:8000, web2:8000 "])
def test_a_list_of_web_servers_is_an_upstream(tmp_path: Path, servers: str) -> None:
    rendered = render(tmp_path, WEB_SERVERS=servers)

    assert re.findall(r"server (\S+) max_fails", rendered["default.conf"]) == ["web1:8000", "web2:8000"]


RESOLVER = "127.0.0.11 valid=5s"


@pytest.mark.parametrize(
    ("version", "resolver", "lines"),
    [
        ("1.30.5", RESOLVER, [f"resolver {RESOLVER};", "server web:8000 resolve max_fails=1 fail_timeout=2s;"]),
        ("1.27.3", RESOLVER, [f"resolver {RESOLVER};", "server web:8000 resolve max_fails=1 fail_timeout=2s;"]),
        ("1.27.2", RESOLVER, ["server web:8000 max_fails=1 fail_timeout=2s;"]),
        ("1.30.5", "", ["server web:8000 max_fails=1 fail_timeout=2s;"]),
    ],
)
def test_names_are_looked_up_again_where_nginx_can(tmp_path: Path, version: str, resolver: str, lines: list[str]) -> None:
    rendered = render(tmp_path, NGINX_VERSION=version, WEB_RESOLVER=resolver)

    assert re.findall(r"^\s*((?:server|resolver) .*;)$", rendered["default.conf"], re.MULTILINE) == lines


def test_addresses_are_not_looked_up(tmp_path: Path) -> None:
    servers = ["10.0.0.11:8000", "[::1]:8000", "3f2a41b7c9d0:8000", "web.example.com:8000"]

    rendered = render(tmp_path, NGINX_VERSION="1.27.3", WEB_RESOLVER=RESOLVER, WEB_SERVERS=" ".join(servers))

    assert re.findall(r"server (\S+)( resolve|) max_fails", rendered["default.conf"]) == list(
        zip(servers, ["", "", " resolve", " resolve"], strict=True)
    )


@pytest.mark.parametrize(
    ("version", "listen", "line", "waits"),
    [
        ("1.22.1", "listen 443 ssl http2;", "", ""),
        ("1.25.0", "listen 443 ssl http2;", "", ""),
        ("1.25.1", "listen 443 ssl;", "http2 on;", ""),
        ("1.27.4", "listen 443 ssl;", "http2 on;", "keepalive_min_timeout 3s;"),
        ("1.30.0", "listen 443 ssl;", "http2 on;", "keepalive_min_timeout 3s;"),
    ],
)
def test_the_syntax_is_that_of_the_version(tmp_path: Path, version: str, listen: str, line: str, waits: str) -> None:
    rendered = render(tmp_path, NGINX_VERSION=version, HTTPS_LISTEN="443")

    assert listen in rendered["tls-on.inc"]
    assert re.findall(r"http2 on;", rendered["tls-on.inc"]) == ([line] if line else [])
    assert re.findall(r"keepalive_min_timeout .*", rendered["common.inc"]) == ([waits] if waits else [])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TLS": "perhaps"}, "TLS is neither on nor off."),
        ({"TLS": "off"}, "TLS=off needs CDN_NETWORKS"),
        ({"MAX_BODY_BYTES": "1m"}, "MAX_BODY_BYTES is no number."),
        ({"HTTPS_PORT": "https"}, "HTTPS_PORT is no port."),
        ({"HTTPS_PORT": "127.0.0.1:"}, "HTTPS_PORT is no port."),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    result = run(tmp_path, **variables)

    assert result.returncode == 1
    assert f"Refusing to start: {message}" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "authority"),
    [
        ({}, "$host"),
        ({"HTTPS_PORT": "443"}, "$host"),
        ({"HTTPS_PORT": "8443"}, "$host:8443"),
        ({"HTTPS_PORT": "127.0.0.1:8443"}, "$host:8443"),
        # Clients reach what is in front, on a port of its own.
        ({"HTTPS_PORT": "8443", "CDN_NETWORKS": "192.0.2.0/24"}, "$host"),
    ],
)
def test_the_redirect_names_the_port_that_is_published(tmp_path: Path, variables: dict[str, str], authority: str) -> None:
    assert f"return 308 https://{authority}$request_uri;" in render(tmp_path, **variables)["tls-on.inc"]


def test_compose_tells_the_port_that_it_publishes(tmp_path: Path) -> None:
    variables = {"DOMAIN": "api.example.com", "HTTPS_PORT": "8443"}
    nginx = compose.services(compose.DEPLOYMENT, variables)["nginx"]

    assert "8443:443" in nginx["ports"]
    assert "https://$host:8443$" in render(tmp_path, **nginx["environment"])["tls-on.inc"]


def test_the_timeouts_outlast_those_of_gunicorn(tmp_path: Path) -> None:
    gunicorn = (BASE_DIR / "config" / "gunicorn.conf.py").read_text(encoding="utf-8")
    seconds = [int(number) for number in re.findall(r"^(?:graceful_)?timeout = (\d+)$", gunicorn, re.MULTILINE)]

    (proxy,) = re.findall(r"proxy_read_timeout +(\d+)s;", render(tmp_path)["common.inc"])

    assert len(seconds) == 2
    assert int(proxy) > max(seconds)


@pytest.mark.skipif(not shutil.which("envsubst"), reason="Needs the package gettext-base.")
def test_the_official_image_fills_in_the_same(tmp_path: Path) -> None:
    variables = {"WEB_SERVERS": "web1:8000 web2:8000", "CDN_NETWORKS": "192.0.2.0/24"}
    by_hand = render(tmp_path, **variables)
    script = """
        . nginx/15-settings.envsh
        names=$(printf '${%s} ' $(awk 'END { for (name in ENVIRON) print name }' < /dev/null))
        for template in nginx/templates/*.template; do
            echo "--- $(basename "$template" .template)"
            envsubst "$names" < "$template"
        done
    """
    environment = {
        "PATH": os.environ["PATH"],
        "NGINX_VERSION": "1.22.1",
        "WEB_SERVERS": "web1:8000 web2:8000",
        "CDN_NETWORKS": "192.0.2.0/24",
    }
    output = subprocess.run(["sh", "-euc", script], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=True).stdout

    assert dict(part.split("\n", 1) for part in output.split("--- ")[1:]) == by_hand


@needs_nginx
def test_debians_own_configuration_takes_it_in(tmp_path: Path) -> None:
    own = Path("/etc/nginx/nginx.conf").read_text(encoding="utf-8")
    (tmp_path / "nginx.conf").write_text(
        own.replace("/etc/nginx/conf.d", "conf.d").replace("/run/nginx.pid", "nginx.pid"), encoding="utf-8"
    )
    (tmp_path / "conf.d").mkdir()
    make_certificate(tmp_path)
    listen = {name: f"127.0.0.1:{free_port()}" for name in ("HTTP_LISTEN", "HTTPS_LISTEN")}
    paths = {
        "ACCESS_LOG": str(tmp_path / "access.log"),
        "CACHE_DIRECTORY": str(tmp_path),
        "TLS_CERTIFICATE": str(tmp_path / "fullchain.pem"),
        "TLS_CERTIFICATE_KEY": str(tmp_path / "privkey.pem"),
    }
    render(tmp_path / "conf.d", WEB_SERVERS="127.0.0.1:8000", **listen, **paths)

    tried = subprocess.run(["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False)

    assert "test is successful" in tried.stderr, tried.stderr
    assert "[warn]" not in tried.stderr.replace('[warn] the "user" directive', "")
