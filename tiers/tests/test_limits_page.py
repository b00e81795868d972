"""
`docs/limits.md` says what is so: its commands run as written, and its Python is what the tests of views use.
"""

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from common.tests.servers import Server
from conftest import BASE_DIR, PASSWORD

from ..models import Tier

PAGE = (BASE_DIR / "docs/limits.md").read_text(encoding="utf-8")
VIEWS = (BASE_DIR / "tiers/tests/limited_views.py").read_text(encoding="utf-8")


@pytest.mark.django_db(transaction=True)
def test_its_commands_set_up_free_and_pro(serve: Callable[..., Server], admin: Any, free: Tier) -> None:
    match = re.search(r"<!-- tour -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None
    script = f"ADMIN_PASSWORD='{PASSWORD}'\n" + match[1].replace("http://127.0.0.1:8000", serve(WEB_CONCURRENCY="2").url)

    tour = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=120, check=False)

    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert re.findall(r"HTTP/1.1 (\d+)", tour.stdout) == ["201", "201", "429", "201"]
    assert re.findall(r"X-RateLimit-Limit: (\d+)", tour.stdout) == ["2", "2", "2", "1000"]
    assert re.findall(r"X-RateLimit-Remaining: (\d+)", tour.stdout) == ["1", "0", "0", "997"]
    assert len(re.findall(r"Retry-After: \d+", tour.stdout)) == 1
    assert '"path":"api_v1_{username}_post","limit":2,"period":86400,"used":2,"remaining":0' in tour.stdout


def test_its_python_is_what_is_tested() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    assert len(blocks) == 2
    assert [block for block in blocks if block not in VIEWS] == []


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)

    assert [link for link in links if not (BASE_DIR / "docs" / link).exists()] == []
