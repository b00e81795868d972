from collections.abc import Callable

import pytest
import requests

from conftest import Server

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_request_line_that_is_too_long_is_refused_in_json(serve: Callable[..., Server]) -> None:
    response = requests.get(f"{serve().api}/users", params={"cursor": "x" * 5000}, timeout=10)

    assert response.status_code == 414
    assert response.json() == {"detail": "URI Too Long."}
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Request-ID"]
