"""
As many query parameters as a request line holds are ignored, and a form of very many fields is refused without ado.
"""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from common.tests.servers import Server
from conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

REQUEST_LINE = 4094
MEBIBYTE = 1_048_576
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
UNREADABLE = {"detail": [{"type": "value_error", "loc": ["body"], "msg": "The body cannot be read."}]}


def ask(server: Server, path: str, filling: str) -> requests.Response:
    """
    Ask with as many unknown parameters as there is room for, and `page=2` as the last.
    """
    start, end = f"/api/v1/{path}?", "&page=2"
    room = REQUEST_LINE - len(f"GET {start}{end} HTTP/1.1")
    return requests.get(f"{server.url}{start}{filling * (room // len(filling))}{end}", timeout=60)


def test_unknown_query_parameters_are_ignored_however_many(serve: Callable[..., Server], alice: Any) -> None:
    server = serve(WEB_CONCURRENCY="1")

    answers = [ask(server, "users", filling) for filling in ("&", "a&", "&a=")]

    assert [(answer.status_code, answer.json().get("page")) for answer in answers] == [(200, 2)] * 3
    assert "Traceback" not in server.log.read_text()


def multipart(fields: int, disposition: str = "") -> bytes:
    part = f'--B\r\nContent-Disposition: form-data; name="f"{disposition}\r\n\r\n\r\n'
    return (part * fields + "--B--\r\n").encode()


def test_a_form_of_too_many_fields_is_refused_and_not_logged(serve: Callable[..., Server]) -> None:
    server = serve(WEB_CONCURRENCY="1", LOGIN_RATE_LIMIT="0")
    forms = [
        (FORM, b"&" * MEBIBYTE),
        (FORM, b"a=1&" * (MEBIBYTE // 4)),
        (PARTS, multipart(17_000)),
        (PARTS, multipart(12_000, '; filename="a"')),
        (PARTS, b"--B\r\n" * 170_000),
    ]
    assert all(MEBIBYTE * 0.7 < len(body) <= MEBIBYTE for _, body in forms)

    answers = [requests.post(f"{server.api}/login", data=body, headers={"Content-Type": kind}, timeout=60) for kind, body in forms]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(422, UNREADABLE)] * len(forms)
    assert "Traceback" not in server.log.read_text()


def test_a_large_form_of_fewer_fields_still_logs_in(share: Callable[..., Server], alice: Any) -> None:
    added = "".join(f"&f{number}={'x' * 240}" for number in range(4000))
    form = f"username=alice&password={PASSWORD}{added}"

    response = requests.post(f"{share().api}/login", data=form, headers={"Content-Type": FORM}, timeout=60)

    assert response.status_code == 200
