"""
Who can write the Redis of the limits runs no code in the web process, and opens the admin's login to no more tries.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from pytest_django import Settings

from .test_admin_login import attempt

pytestmark = pytest.mark.django_db


class Intruder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture(autouse=True)
def two_tries(settings: Settings) -> None:
    settings.LOGIN_RATE_LIMIT = (2, 31_536_000)


def put_in_place_of_the_counter(value: bytes) -> None:
    redis = caches["throttle"].client.get_client()  # type: ignore[attr-defined]
    (key,) = redis.keys("*rl:*")
    redis.set(key, value, keepttl=True)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    assert attempt().status_code == 200
    trace = tmp_path / "trace"
    put_in_place_of_the_counter(pickle.dumps(Intruder(trace)))

    attempt()

    assert not trace.exists()


@pytest.mark.parametrize("alias", ["default", "throttle"])
def test_no_cache_reads_pickles(tmp_path: Path, alias: str) -> None:
    trace = tmp_path / "trace"
    cache = caches[alias]
    cache.client.get_client().set(cache.make_key("foreign"), pickle.dumps(Intruder(trace)))  # type: ignore[attr-defined]

    with pytest.raises(ValueError, match=r"codec|Expecting"):
        cache.get("foreign")

    assert not trace.exists()
    cache.set("own", {"number": [1, "x", None]})
    assert cache.get("own") == {"number": [1, "x", None]}


@pytest.mark.parametrize(
    "value", [pickle.dumps([1]), b'"text"', b"null", b"[1]", b"{}", b"", b"[" * 100_000, b"\xff", json.dumps("1" * 10_000).encode()]
)
def test_what_is_no_number_admits_as_many_tries_as_the_limit(value: bytes) -> None:
    assert attempt().status_code == 200
    put_in_place_of_the_counter(value)

    found = [attempt(f"name{number}").status_code for number in range(3)]

    assert found == [200, 200, 429]
