"""
`manage.py cache`.
"""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from common.cache import Entry
from common.models import PendingInvalidation
from common.tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("cache", *arguments, stdout=output)
    return output.getvalue()


def store(key: str) -> None:
    entry = Entry(key, 60)
    entry.read()
    assert entry.write(b"{}")


@pytest.fixture
def no_redis(settings: Any) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": url}}


class TestStats:
    def test_entries_and_versions_are_counted_by_group(self) -> None:
        store("users:alice:one")
        store("users:alice:two")
        store("tiers:free:one")
        PendingInvalidation.objects.create(prefix="users")

        lines = run("stats").splitlines()

        assert lines[0].startswith("Redis is up (")
        assert lines[1].startswith("Keys found by the server since it started: ")
        assert lines[2:] == ["Still to be invalidated: 1.", "tiers: 1 entries, 2 versions", "users: 2 entries, 2 versions"]

    def test_a_redis_that_is_away_is_a_failure(self, no_redis: None) -> None:
        with pytest.raises(CommandError, match="Redis of the cache is away"):
            run("stats")

    def test_a_cache_that_is_off_is_said(self, settings: Any) -> None:
        settings.CACHE_ENABLED = False

        assert run("stats") == "The cache is off (CACHE_ENABLED=false).\n"


class TestInvalidate:
    def test_what_is_under_the_prefix_is_not_served_any_more(self) -> None:
        store("users:alice:one")
        store("users:bob:one")

        assert run("invalidate", "users:alice:*", "tiers:*") == "Invalidated: users:alice:*, tiers:*\n"

        assert Entry("users:alice:one", 60).read() is None
        assert Entry("users:bob:one", 60).read() == b"{}"

    @pytest.mark.parametrize("pattern", ["users:*:posts:*", "*", "users", "users:alice"])
    def test_what_is_no_prefix_is_refused(self, pattern: str) -> None:
        with pytest.raises(CommandError, match="is no prefix such as 'users:alice:\\*'"):
            run("invalidate", pattern)

    def test_while_redis_is_away_it_is_recorded(self, no_redis: None) -> None:
        assert run("invalidate", "users:alice:*") == "Redis is away; to be invalidated once it is back: users:alice:*\n"

    def test_a_cache_that_is_off_is_said(self, settings: Any) -> None:
        settings.CACHE_ENABLED = False

        assert run("invalidate", "users:alice:*") == "The cache is off (CACHE_ENABLED=false).\n"
