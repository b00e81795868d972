"""
A real NGINX in front of a server, unprivileged, on a free port.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.tests.ports import free_port
from common.tests.servers import answers, wait_until

CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For {forwarded};
            {location}
        }}
    }}
}}
"""


@contextmanager
def nginx(
    folder: Path, upstream: str, *, forwarded: str = "$proxy_add_x_forwarded_for", http: str = "", location: str = ""
) -> Iterator[str]:
    """
    Run an NGINX that hands on to `upstream` and appends its caller to `X-Forwarded-For`; return its URL.

    `http` and `location` are further directives, in which `{folder}` is one of its own. Skips the test where there is no NGINX.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("needs NGINX: apt-get install nginx")
    port = free_port()
    home = folder / f"nginx-{port}"
    home.mkdir()
    # As root its worker would be another account, to whom pytest's folders are closed.
    user = "user root;" if os.geteuid() == 0 else ""
    directives = {"user": user, "forwarded": forwarded, "http": http.format(folder=home), "location": location.format(folder=home)}
    (home / "nginx.conf").write_text(CONFIGURATION.format(folder=home, port=port, upstream=upstream, **directives))
    process = subprocess.Popen([program, "-p", str(home), "-e", str(home / "error.log"), "-c", str(home / "nginx.conf")])
    try:
        wait_until(lambda: answers(port), what="NGINX")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
