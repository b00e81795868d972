"""
No header says which path was asked for, whoever sends it: what a proxy let pass is what is answered.
"""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from common.tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("count", ["0", "1"])
@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script_Name", "PATH_INFO", "REMOTE_USER"])
def test_a_header_moves_no_path(share: Callable[..., Server], name: str, count: str) -> None:
    server = share(TRUSTED_PROXY_COUNT=count)

    def ask(path: str, value: str) -> requests.Response:
        return requests.get(f"{server.url}{path}", headers={name: value}, allow_redirects=False, timeout=30)

    hidden = ask("/foo/admin/login/", "/foo")
    assert (hidden.status_code, hidden.json()) == (404, {"detail": "Not found."})
    assert ask("/health", "/foo").json() == {"status": "ok"}
    assert ask("/health", "/admin/login/").json() == {"status": "ok"}


def test_a_header_moves_no_limit(share: Callable[..., Server], alice: Any) -> None:
    server = share(DEFAULT_RATE_LIMIT_LIMIT="2", DEFAULT_RATE_LIMIT_PERIOD="31536000", QUEUE_ENABLED="true")

    answers = [
        requests.post(f"{server.url}/{prefix}api/v1/tasks/task?message=x", headers={"SCRIPT_NAME": f"/{prefix}".rstrip("/")}, timeout=30)
        for prefix in ("", "a/", "b/")
    ]

    assert [answer.status_code for answer in answers] == [201, 404, 404]
