"""
A form of another site logs nobody in: the browser would go on with the session of whoever made the form.
"""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import Session
from conftest import PASSWORD

from .factories import API

pytestmark = pytest.mark.django_db

LOGIN = f"{API}/login"
APP = "https://app.example.com"
REFUSED = (403, {"detail": "Request forbidden -- authorization will not help"})
FORM = "application/x-www-form-urlencoded"


def log_in(origin: str | None, media_type: str = FORM, password: str = PASSWORD) -> Any:
    headers = {} if origin is None else {"Origin": origin}
    body = {
        FORM: f"username=alice&password={password}",
        "application/json": f'{{"username": "alice", "password": "{password}"}}',
        # A form of text/plain whose one field is spelt so that it is JSON.
        "text/plain": f'{{"username": "alice", "password": "{password}", "=": ""}}',
    }[media_type]
    return APIClient().generic("POST", LOGIN, body, content_type=media_type, headers=headers)


@pytest.mark.parametrize("media_type", [FORM, "application/json", "text/plain"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://testserver", "http://testserver:81", f"{APP}.evil.example", "x"]
)
def test_page_of_another_site_logs_nobody_in(alice: Any, settings: Settings, origin: str, media_type: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP]

    response = log_in(origin, media_type)

    assert (response.status_code, response.json()) == REFUSED
    assert not response.cookies
    assert not Session.objects.exists()


@pytest.mark.parametrize("origin", [None, "http://testserver", APP])
def test_own_page_named_origin_and_who_has_none_log_in(alice: Any, settings: Settings, origin: str | None) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP]

    assert log_in(origin).status_code == 200


def test_refusal_comes_before_the_password_is_looked_at(alice: Any) -> None:
    assert [log_in("https://evil.example", password="wrong").status_code for _ in range(8)] == [403] * 8
    assert log_in(None).status_code == 200


def test_description_says_that_it_may_be_refused(client: APIClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/api/v1/login"]["post"]

    said = [example["value"]["detail"] for example in operation["responses"]["403"]["content"]["application/json"]["examples"].values()]
    assert REFUSED[1]["detail"] in said
