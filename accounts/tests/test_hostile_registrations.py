"""
What a registration of `MAX_BODY_BYTES` may ask for: a password is compared with no text that is longer than its field.
"""

import cProfile
import pstats
from typing import Any

import pytest
from django.contrib.auth import password_validation
from rest_framework.test import APIClient

from accounts.models import User

from .factories import API

pytestmark = pytest.mark.django_db

NEW = {"name": "Alice Jones", "username": "alice", "email": "alice@example.com", "password": "xq7Zr$t9"}


def comparisons(client: APIClient, **fields: str) -> tuple[Any, int]:
    """
    Register, and return the answer with how many words the password was held against.
    """
    profile = cProfile.Profile()
    response = profile.runcall(client.post, f"{API}/user", {**NEW, **fields})
    calls = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    compared = password_validation.exceeds_maximum_length_ratio.__code__
    return response, sum(calls[key][1] for key in calls if key[2] == compared.co_name and key[1] == compared.co_firstlineno)


@pytest.mark.parametrize("field", ["name", "username", "email"])
def test_a_password_is_not_compared_with_all_of_a_very_long_value(client: APIClient, field: str) -> None:
    response, compared = comparisons(client, **{field: "a." * 20_000})

    assert [(place["type"], place["loc"]) for place in response.json()["detail"]] == [("string_too_long", ["body", field])]
    assert compared < 300


@pytest.mark.parametrize("field", ["name", "username", "email"])
def test_a_password_is_compared_with_what_is_as_long_as_it_may_be(client: APIClient, field: str) -> None:
    longest = {"name": 30, "username": 20, "email": 254}[field]
    like = {"name": "Xq7zrt99 " + "n" * 21, "username": "xq7zrt99".ljust(longest, "n"), "email": "xq7zrt99@example." + "n" * 237}[field]
    password = like if field == "username" else "Xq7zrt99"
    assert len(like) == longest

    response, compared = comparisons(client, **{field: like, "password": password})

    assert compared
    assert "similar" in str(response.json())


@pytest.mark.parametrize("field", ["username", "email"])
def test_a_value_that_is_bad_in_form_is_still_compared(client: APIClient, field: str) -> None:
    response, _ = comparisons(client, **{field: "Xq7zrt99 _", "password": "Xq7zrt99"})

    assert {tuple(place["loc"]) for place in response.json()["detail"]} == {("body", field), ("body", "password")}
    assert not User.objects.exists()
