from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from common.tests.servers import Server
from conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_request_line_that_is_too_long_is_refused_in_json(share: Callable[..., Server]) -> None:
    response = requests.get(f"{share().api}/users", params={"cursor": "x" * 5000}, timeout=10)

    assert response.status_code == 414
    assert response.json() == {"detail": "URI Too Long."}
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Request-ID"]


def chunks(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def test_a_body_in_chunks_is_read(share: Callable[..., Server], alice: Any) -> None:
    body = chunks(b'{"username": "alice", ', b'"password": "', PASSWORD.encode(), b'"}')

    response = requests.post(f"{share().api}/login", data=body, headers={"Content-Type": "application/json"}, timeout=10)

    assert response.status_code == 200


def test_a_body_in_chunks_that_is_too_large_is_refused(share: Callable[..., Server]) -> None:
    body = chunks(*[b"x" * 1024] * 10)

    response = requests.post(f"{share(MAX_BODY_BYTES='4096').api}/login", data=body, timeout=10)

    assert (response.status_code, response.json()) == (413, {"detail": "Request body too large."})


@pytest.mark.parametrize("charset", ["rot13", "utf-16", "nonsense", "idna"])
def test_everything_is_read_as_utf8_whatever_charset_is_named(share: Callable[..., Server], alice: Any, charset: str) -> None:
    server = share()
    named = {"Content-Type": f"application/json; charset={charset}"}
    credentials = f'{{"username": "alice", "password": "{PASSWORD}"}}'

    assert requests.get(f"{server.api}/users?page=1", headers=named, timeout=10).status_code == 200
    assert requests.post(f"{server.api}/login?x=1", data=credentials, headers=named, timeout=10).status_code == 200
    form = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
    login = requests.post(f"{server.api}/login", data=f"username=alice&password={PASSWORD}", headers=form, timeout=10)
    assert login.status_code == 200


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=se\u00e9cret<b>"])
def test_a_form_that_cannot_be_read_is_422_and_not_repeated(share: Callable[..., Server], content_type: str) -> None:
    headers = {"Content-Type": content_type.encode("latin-1")}

    response = requests.post(f"{share().api}/login", data=b"x", headers=headers, timeout=10)

    assert response.status_code == 422
    assert response.json()["detail"][0]["type"] == "value_error"
    assert "cret" not in response.text
