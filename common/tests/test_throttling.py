import logging
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings
from pytest_django import Settings
from rest_framework.test import APIClient

from common.tests.ports import free_port
from common.tests.servers import wait_until
from common.throttling import Usage, count

LOGIN = "/api/v1/login"
# The longest period, so that no window ends while a test runs.
YEAR = 31_536_000
WRONG = {"username": "nobody", "password": "Wr0ngest!"}


def name() -> str:
    return f"test-{uuid.uuid4().hex}"


def log_in(address: str = "192.0.2.1", **headers: str) -> Any:
    return APIClient().post(LOGIN, WRONG, REMOTE_ADDR=address, headers=headers)


def is_counted_in_redis() -> bool:
    counter = name()
    count(counter, "x", 1, 60)
    return bool(caches["throttle"].client.get_client().keys(f"limit:{counter}:*"))  # type: ignore[attr-defined]


@contextmanager
def redis_away() -> Iterator[None]:
    """
    Point the counters at a port where nobody listens, and wait afterwards until they are counted in Redis again.
    """
    throttle = {**settings.CACHES["throttle"], "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}
    try:
        with override_settings(CACHES={**settings.CACHES, "throttle": throttle}):
            yield
    finally:
        wait_until(is_counted_in_redis)


class TestCount:
    def test_exactly_the_limit_is_admitted(self) -> None:
        counter = name()

        assert [count(counter, "x", 2, YEAR).is_admitted for _ in range(4)] == [True, True, False, False]

    def test_usage_tells_what_is_left(self) -> None:
        usage = count(name(), "x", 5, YEAR)

        assert (usage.limit, usage.period, usage.used, usage.remaining) == (5, YEAR, 1, 4)
        assert 0 < usage.reset <= YEAR

    def test_refused_call_consumes_nothing(self) -> None:
        counter = name()
        for _ in range(3):
            count(counter, "x", 1, YEAR)

        assert count(counter, "x", 2, YEAR).used == 2

    def test_limit_of_zero_refuses_all(self) -> None:
        usage = count(name(), "x", 0, YEAR)

        assert (usage.is_admitted, usage.used, usage.remaining) == (False, 0, 0)

    def test_changed_limit_keeps_the_count(self) -> None:
        counter = name()
        count(counter, "x", 5, YEAR)

        assert count(counter, "x", 9, YEAR).used == 2

    def test_changed_period_starts_anew(self) -> None:
        counter = name()
        count(counter, "x", 5, YEAR)

        assert count(counter, "x", 5, YEAR - 1).used == 1

    def test_lowered_limit_leaves_nothing(self) -> None:
        counter = name()
        for _ in range(3):
            count(counter, "x", 5, YEAR)

        usage = count(counter, "x", 2, YEAR)

        assert (usage.is_admitted, usage.used, usage.remaining) == (False, 3, 0)

    def test_subjects_do_not_share_a_counter(self) -> None:
        counter = name()
        count(counter, "x", 1, YEAR)

        assert count(counter, "y", 1, YEAR).is_admitted

    def test_call_may_cost_more_than_one(self) -> None:
        counter = name()

        costs = [count(counter, "x", 5, YEAR, cost=3) for _ in range(2)]

        assert [(usage.is_admitted, usage.used) for usage in costs] == [(True, 3), (False, 3)]

    def test_largest_limit_and_period_are_counted(self) -> None:
        usage = count(name(), "x", 2_147_483_647, 31_536_000)

        assert (usage.used, usage.remaining) == (1, 2_147_483_646)

    def test_window_resets_after_the_time_told(self) -> None:
        counter = name()
        refused = wait_until(lambda: next((usage for usage in [count(counter, "x", 1, 2)] if not usage.is_admitted), None))

        time.sleep(refused.reset)

        assert count(counter, "x", 1, 2).is_admitted

    def test_counters_expire(self) -> None:
        counter = name()
        count(counter, "x", 1, 60)

        redis = caches["throttle"].client.get_client()  # type: ignore[attr-defined]
        (key,) = redis.keys(f"limit:{counter}:*")
        assert 60 < redis.ttl(key) <= 120

    def test_exactly_the_limit_is_admitted_however_many_arrive_at_once(self) -> None:
        counter = name()

        with ThreadPoolExecutor(40) as threads:
            admitted = sum(usage.is_admitted for usage in threads.map(lambda _: count(counter, "x", 7, YEAR), range(40)))

        assert admitted == 7

    def test_headers_follow_custom_and_draft(self) -> None:
        assert Usage("api_v1_tasks_task", 10, 3600, 1, 120, True).headers() == {
            "X-RateLimit-Limit": "10",
            "X-RateLimit-Remaining": "9",
            "X-RateLimit-Reset": "120",
            "RateLimit-Policy": '"api_v1_tasks_task";q=10;w=3600',
            "RateLimit": '"api_v1_tasks_task";r=9;t=120',
        }


@pytest.mark.django_db
class TestAddress:
    @pytest.fixture(autouse=True)
    def limit(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (2, YEAR)

    def test_calls_from_one_address_are_counted(self) -> None:
        assert [log_in().status_code for _ in range(3)] == [401, 401, 429]

    def test_refusal_says_when_to_come_again(self) -> None:
        response = [log_in() for _ in range(3)][-1]

        assert response.json() == {"detail": "Rate limit exceeded."}
        assert 0 < int(response["Retry-After"]) <= YEAR
        assert response["Cache-Control"] == "private, no-store"

    def test_another_address_is_free(self) -> None:
        for _ in range(3):
            log_in()

        assert log_in("192.0.2.2").status_code == 401

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "Client-IP"])
    def test_forged_header_buys_nothing(self, header: str) -> None:
        answers = [log_in(**{header: f"198.51.100.{number}"}).status_code for number in range(3)]

        assert answers == [401, 401, 429]

    @pytest.mark.parametrize("count", [1, 2])
    def test_forged_entry_before_the_proxies_buys_nothing(self, settings: Settings, count: int) -> None:
        settings.TRUSTED_PROXY_COUNT = count
        appended = ", ".join(["203.0.113.9", "10.0.0.1"][:count])

        answers = [log_in("10.0.0.2", **{"X-Forwarded-For": f"198.51.100.{number}, {appended}"}).status_code for number in range(3)]

        assert answers == [401, 401, 429]

    @pytest.mark.parametrize("count", [1, 2])
    def test_callers_behind_proxies_do_not_share_a_counter(self, settings: Settings, count: int) -> None:
        settings.TRUSTED_PROXY_COUNT = count
        behind = ", 10.0.0.1" if count == 2 else ""

        answers = [log_in("10.0.0.2", **{"X-Forwarded-For": f"198.51.100.{number}{behind}"}).status_code for number in range(3)]

        assert answers == [401, 401, 401]

    def test_ipv6_counts_by_its_64(self) -> None:
        answers = [log_in(f"2001:db8:0:1::{number}").status_code for number in range(3)]

        assert answers == [401, 401, 429]

    def test_another_64_is_free(self) -> None:
        answers = [log_in(f"2001:db8:0:{number}::1").status_code for number in range(3)]

        assert answers == [401, 401, 401]

    def test_ipv4_mapped_into_ipv6_is_the_same_caller(self) -> None:
        answers = [log_in(address).status_code for address in ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201")]

        assert answers == [401, 401, 429]

    def test_limit_of_zero_refuses_all(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (0, YEAR)

        assert log_in().status_code == 429

    def test_waiting_as_long_as_told_succeeds(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (1, 2)
        refused = wait_until(lambda: next((response for response in [log_in()] if response.status_code == 429), None))
        assert 1 <= int(refused["Retry-After"]) <= 2

        time.sleep(int(refused["Retry-After"]))

        assert log_in().status_code == 401


class TestOutage:
    def test_calls_are_counted_in_the_process(self) -> None:
        counter = name()

        with redis_away():
            usages = [count(counter, "x", 2, YEAR) for _ in range(3)]

        assert [(usage.is_admitted, usage.used, usage.remaining) for usage in usages] == [(True, 1, 1), (True, 2, 0), (False, 2, 0)]

    @pytest.mark.django_db
    def test_login_goes_on_and_is_guarded(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (2, YEAR)

        with redis_away():
            answers = [log_in("203.0.113.77").status_code for _ in range(3)]

        assert answers == [401, 401, 429]

    def test_outage_is_logged_once_and_so_is_its_end(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            with redis_away():
                for _ in range(3):
                    count(name(), "x", 1, YEAR)
            count(name(), "x", 1, YEAR)

        messages = [message.partition(":")[0] for message in caplog.messages if message.startswith("Redis of the rate limits")]
        assert messages == ["Redis of the rate limits is away, counting in the process", "Redis of the rate limits is back"]


def test_guards_stay_without_limits_by_tier(settings: Settings) -> None:
    settings.RATE_LIMIT_ENABLED = False
    counter = name()

    assert [count(counter, "x", 1, YEAR).is_admitted for _ in range(2)] == [True, False]
