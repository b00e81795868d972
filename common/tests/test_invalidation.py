"""
What an invalidation does in Redis: marks, new versions, and how many round trips that takes.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from prometheus_client import REGISTRY
from pytest_django import Settings

from common import cache_redis
from common.cache import Entry, invalidate, word
from common.models import PendingInvalidation

from .concurrency import at_once, in_thread
from .redis_commands import commands_of, own_redis

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "version:things:a"


def redis() -> Any:
    return cache_redis.connection()


def is_marked(name: str = NAME) -> bool:
    return (redis().get(name) or b"").startswith(b"mark:")


def stored(key: str = "things:a:one") -> Entry:
    entry = Entry(key, 60)
    entry.read()
    assert entry.write(b"{}")
    return entry


def is_served(key: str = "things:a:one") -> bool:
    return Entry(key, 60).read() is not None


class TestMarks:
    def test_a_renewal_leaves_the_mark_of_another_writer(self) -> None:
        cache_redis.mark([NAME], "a1")
        cache_redis.mark([NAME], "b2")

        cache_redis.renew([NAME], "a1")
        assert is_marked()

        cache_redis.renew([NAME], "b2")
        assert not is_marked()
        assert redis().exists(NAME)

    def test_marking_twice_leaves_one_mark(self) -> None:
        cache_redis.mark([NAME], "a1")
        cache_redis.mark([NAME], "a1")

        assert redis().get(NAME).count(b"@") == 1

    def test_each_mark_ends_by_itself(self) -> None:
        cache_redis.run("mark", cache_redis.MARK, [NAME], ["a1", 50])
        cache_redis.mark([NAME], "b2")
        time.sleep(0.06)

        cache_redis.renew([NAME], "b2")

        assert not is_marked()

    def test_a_mark_that_is_left_ends_in_ten_seconds(self) -> None:
        began = time.monotonic()
        cache_redis.mark([NAME], "a1")
        cache_redis.run("mark", cache_redis.MARK, [NAME], ["b2", 50])
        left = redis().pttl(NAME)
        took = (time.monotonic() - began) * 1000

        # Redis rounds to milliseconds twice.
        assert 10_000 - took - 2 <= left <= 10_000

    def test_a_version_that_somebody_else_renewed_is_renewed_again(self) -> None:
        cache_redis.renew([NAME], "a1")
        before = redis().get(NAME)

        cache_redis.renew([NAME], "b2")

        assert redis().get(NAME) != before

    def test_a_restarted_redis_that_knows_no_script_is_told(self, tmp_path: Path, settings: Settings) -> None:
        with own_redis("default", settings, tmp_path) as own:
            cache_redis.mark([NAME], "a1")
            cache_redis.renew([NAME], "b2")
            own.client.script_flush()

            assert cache_redis.renew([NAME], "a1")
            assert not is_marked()


class TestTransactions:
    def test_what_is_cached_is_not_served_from_the_call_to_the_commit_and_never_again(self) -> None:
        stored()

        with transaction.atomic():
            invalidate("things:a:*")
            assert not is_served()
        assert not is_served()

    def test_nothing_is_stored_from_the_call_to_the_commit(self) -> None:
        entry = Entry("things:a:one", 60)
        with transaction.atomic():
            invalidate("things:a:*")
            entry.read()
            assert not entry.write(b"{}")
        assert not entry.write(b"{}")

    def test_the_commit_of_one_writer_does_not_open_the_cache_for_what_another_has_not_committed(self) -> None:
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            invalidate("things:a:*")
            in_thread(lambda: invalidate_in_a_transaction("things:a:*"), pool).result(10)
            early = Entry("things:a:one", 60)
            early.read()
            assert not early.write(b"{}")

        assert not is_served()

    def test_a_rollback_costs_misses_until_the_mark_ends(self) -> None:
        stored()

        with transaction.atomic():
            invalidate("things:a:*")
            transaction.set_rollback(True)

        assert is_marked()
        assert 0 < redis().pttl(NAME) <= 10_000
        assert not is_served()

    def test_a_savepoint_that_is_rolled_back_takes_no_later_invalidation_along(self) -> None:
        stored()

        with transaction.atomic():
            with transaction.atomic():
                invalidate("things:a:*")
                transaction.set_rollback(True)
            invalidate("things:a:*")

        # The mark of the savepoint is left. It ends by itself, and then nothing from before is good.
        assert is_marked()
        redis().delete(NAME)
        assert not is_served()

    def test_an_invalidation_after_a_savepoint_is_done_in_the_end(self) -> None:
        stored()

        with transaction.atomic():
            with transaction.atomic():
                invalidate("things:b:*")
            invalidate("things:a:*")

        assert not is_marked()
        assert not is_marked("version:things:b")
        assert not is_served()

    def test_without_a_transaction_it_is_done_at_once(self) -> None:
        stored()

        with commands_of("default") as commands:
            invalidate("things:a:*")

        assert commands == ["EVALSHA"]
        assert not is_served()
        assert not is_marked()

    def test_many_writers_at_once_leave_no_mark(self) -> None:
        def write() -> None:
            for _ in range(20):
                invalidate_in_a_transaction("things:a:*")

        at_once(write, write, write, write)

        assert not is_marked()
        stored()
        assert is_served()


class TestCost:
    @pytest.mark.parametrize("count", [1, 50])
    def test_a_transaction_costs_one_round_trip_before_and_one_after_it(self, count: int) -> None:
        invalidate_in_a_transaction("things:a:*")

        with commands_of("default") as commands, transaction.atomic():
            for _ in range(count):
                invalidate("things:a:*")

        assert commands == ["EVALSHA", "EVALSHA"]

    def test_many_prefixes_cost_as_many_as_one(self) -> None:
        invalidate_in_a_transaction("things:a:*")

        with commands_of("default") as commands:
            invalidate_in_a_transaction(*(f"things:{number}:*" for number in range(1000)))

        assert commands == ["EVALSHA", "EVALSHA"]

    def test_no_prefix_costs_nothing(self) -> None:
        with commands_of("default") as commands:
            invalidate_in_a_transaction()

        assert commands == []

    def test_a_hit_costs_one_round_trip(self) -> None:
        stored()

        with commands_of("default") as commands:
            assert is_served()

        assert commands == ["MGET"]


class TestWords:
    @pytest.mark.parametrize("value", ["a:b", "*", "a*", " ", "ä", "\udc80", "%3A", "a/b", "{x}"])
    def test_a_word_holds_neither_separators_nor_stars(self, value: str) -> None:
        assert not set(word(value)) & set(":* {}/")

    def test_different_values_are_different_words(self) -> None:
        values = ["a:b", "a%3Ab", "a*b", "a b", "a+b", "ab"]

        assert len({word(value) for value in values}) == len(values)


def test_while_the_cache_is_off_nothing_is_recorded(settings: Any) -> None:
    settings.CACHE_ENABLED = False

    invalidate_in_a_transaction("things:a:*")

    assert not PendingInvalidation.objects.exists()


def invalidate_in_a_transaction(*patterns: str) -> None:
    with transaction.atomic():
        invalidate(*patterns)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"{name}_total", labels) or 0.0


def test_invalidations_are_counted_by_their_first_word() -> None:
    before = counted("cache_invalidations", group="things")

    with transaction.atomic():
        invalidate("things:a:*", "things:b:*")

    assert counted("cache_invalidations", group="things") == before + 2


def test_commands_that_fail_are_counted_by_what_they_were_for(settings: Settings) -> None:
    default = settings.CACHES["default"]
    settings.CACHES = {**settings.CACHES, "default": {**default, "LOCATION": "redis://127.0.0.1:1/0"}}
    before = counted("cache_errors", operation="read")

    assert Entry("things:a:one", 60).read() is None

    assert counted("cache_errors", operation="read") == before + 1
