import re

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


@pytest.mark.parametrize("letter", ["x", "<", "\ufdfa"])
def test_a_refused_login_repeats_no_more_of_a_name_than_it_may_have(letter: str) -> None:
    response = Client().post(LOGIN, {"username": letter * 250_000, "password": "x" * 1000})

    page = response.content.decode()
    assert response.status_code == 200
    assert len(page) < 20_000
    assert "x" * 1000 not in page


def test_a_refused_login_repeats_the_name(admin: object) -> None:
    page = Client().post(LOGIN, {"username": "admin", "password": "wrong"}).content.decode()

    (field,) = re.findall(r'<input[^>]*name="username"[^>]*>', page)
    assert 'value="admin"' in field
    assert "autofocus" in field
    assert re.search(r'maxlength="\d+"', field)


def test_a_form_without_a_name_is_refused_where_it_is() -> None:
    page = Client().post(LOGIN, {"password": "x"}).content.decode()

    assert "This field is required." in page
    assert 'value="None"' not in page
