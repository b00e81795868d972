"""
What a real browser makes of the pages: Chromium without a window, which can reach nothing but the server under test.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from drf_spectacular.generators import SchemaGenerator

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: install the package chromium")


class Page(NamedTuple):
    html: str
    console: list[str]
    hosts: set[str]


def visit(url: str, folder: Path) -> Page:
    """
    Open a page, let its scripts run, and return the document, what the console said and the hosts that were asked.
    """
    requests_log = folder / "requests.json"
    command = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--log-net-log={requests_log}",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        "--dump-dom",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = re.findall(r'CONSOLE[:\d()]*\] "(.*?)", source', done.stderr)
    # The browser asks its maker for things of its own; what the page asks for names the page as its initiator.
    asked = re.findall(r'"initiator":"http://127[^"]*"[^\n]*"url":"(https?://[^"]+)"', requests_log.read_text(encoding="utf-8"))
    return Page(done.stdout, console, {str(urlsplit(address).hostname) for address in asked})


def operation_count() -> int:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return sum(method in operations for operations in schema["paths"].values() for method in ("get", "post", "patch", "delete"))


@pytest.mark.django_db(transaction=True)
def test_swagger_ui_shows_every_operation_and_asks_no_other_host(share: Any, tmp_path: Path) -> None:
    page = visit(f"{share().url}/docs", tmp_path)

    assert page.html.count('class="opblock opblock-') == operation_count()
    assert page.console == []
    assert page.hosts == {"127.0.0.1"}


@pytest.mark.django_db(transaction=True)
def test_redoc_shows_the_operations_and_asks_no_other_host(share: Any, tmp_path: Path) -> None:
    page = visit(f"{share().url}/redoc", tmp_path)

    assert page.html.count('data-section-id="tag/') >= operation_count()
    # The one picture that ReDoc fetches elsewhere; no option of its own leaves it out.
    assert all("https://cdn.redoc.ly/redoc/logo-mini.svg" in line and "blocked" in line for line in page.console)
    assert page.hosts == {"127.0.0.1"}


@pytest.mark.django_db(transaction=True)
def test_admin_login_page_is_styled_and_asks_no_other_host(share: Any, tmp_path: Path) -> None:
    page = visit(f"{share().url}/admin/login/", tmp_path)

    assert 'name="username"' in page.html
    assert page.console == []
    assert page.hosts == {"127.0.0.1"}
