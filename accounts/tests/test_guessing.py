"""
Who guesses at a name is slowed down, whoever they are and wherever they come from; who owns it is not shut out.
"""

import math
import time
from typing import Any

import pytest
import requests
from django.core.cache import caches
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.guessing import BEGIN, FAILURES_LIVE, LocalFailures
from common.tests.concurrency import at_once
from common.tests.servers import wait_until
from common.tests.test_throttling import redis_away
from conftest import PASSWORD, make_user

from .factories import API
from .guesses import held, pass_the_delay, redis_now, refused_until
from .test_hashing import counted_hashes

pytestmark = pytest.mark.django_db

LOGIN = f"{API}/login"
WRONG = "Wr0ngest!"
REFUSED = {"detail": "Rate limit exceeded."}


def attempt(name: str = "alice", password: str = WRONG, address: str = "192.0.2.1") -> Any:
    return APIClient().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def fail(times: int, name: str = "alice", **where: str) -> list[int]:
    """
    Try in vain so many times, and return the answers; where a delay begins, it lasts.
    """
    return [held(attempt(name, **where)).status_code for _ in range(times)]


def assert_next_failure_delays(seconds: int) -> None:
    """
    Fail once more, and check for how long the name is refused from then on.
    """
    pass_the_delay()
    began = redis_now()
    attempt()
    ended = redis_now()

    until = refused_until()
    assert until - ended <= seconds * 1_000_000 <= until - began


def most_tries(seconds: float) -> int:
    """
    Return how many tries at one name are admitted in so many seconds: five, and one more after 1, 2, 4, ... seconds.
    """
    return 5 + int(math.log2(seconds + 1))


class TestDelay:
    def test_five_failures_are_free_and_the_next_is_refused(self, alice: Any) -> None:
        assert fail(6) == [401, 401, 401, 401, 401, 429]

    def test_refusal_says_how_long(self, alice: Any) -> None:
        fail(5)
        began = redis_now()
        held(None, seconds=60)

        response = attempt()

        assert (response.status_code, response.json()) == (429, REFUSED)
        assert 60 - (redis_now() - began) / 1_000_000 <= int(response["Retry-After"]) <= 60
        assert response["Cache-Control"] == "private, no-store"

    def test_waiting_as_long_as_told_succeeds(self, alice: Any) -> None:
        refused = wait_until(lambda: next((answer for answer in [attempt()] if answer.status_code == 429), None))

        time.sleep(int(refused["Retry-After"]))

        assert attempt(password=PASSWORD).status_code == 200

    def test_delay_doubles_up_to_a_minute(self, alice: Any) -> None:
        fail(4)

        for seconds in (1, 2, 4, 8, 16, 32, 60, 60, 60):
            assert_next_failure_delays(seconds)

    def test_refused_tries_do_not_make_it_longer(self, alice: Any) -> None:
        fail(30)

        assert_next_failure_delays(2)

    def test_right_password_is_refused_too_while_the_delay_lasts(self, alice: Any) -> None:
        fail(5)

        assert attempt(password=PASSWORD).status_code == 429

    def test_refused_try_computes_no_hash(self, alice: Any, settings: Settings) -> None:
        fail(5)

        assert counted_hashes(settings, lambda: fail(3)) == 0

    def test_failures_are_forgotten_after_a_while(self, alice: Any) -> None:
        fail(5)

        redis = caches["throttle"].client.get_client()  # type: ignore[attr-defined]
        lives = [redis.ttl(key) for key in redis.keys("guess:*")]

        assert lives == [pytest.approx(FAILURES_LIVE, abs=5)]

    def test_nothing_says_the_name_in_redis(self, alice: Any) -> None:
        fail(1)

        assert not caches["throttle"].client.get_client().keys("*alice*")  # type: ignore[attr-defined]

    @pytest.mark.parametrize("limit", [1, 3])
    def test_free_failures_follow_the_setting(self, alice: Any, settings: Settings, limit: int) -> None:
        settings.LOGIN_FAILURE_LIMIT = limit

        assert fail(limit + 1) == [401] * limit + [429]

    def test_zero_switches_the_guard_off(self, alice: Any, settings: Settings) -> None:
        settings.LOGIN_FAILURE_LIMIT = 0

        assert fail(12) == [401] * 12

    def test_guard_stays_without_the_one_by_address(self, alice: Any, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = None

        assert fail(6)[-1] == 429


class TestName:
    def test_unknown_name_reads_the_same(self, alice: Any) -> None:
        assert fail(6, "nobody") == fail(6, "alice")

    def test_case_makes_no_other_name(self, alice: Any) -> None:
        answers = [held(attempt(name)).status_code for name in ("alice", "ALICE", "Alice", "aLICE", "alicE", "ALICe")]

        assert answers[-1] == 429

    def test_another_name_is_free(self, alice: Any, bob: Any) -> None:
        fail(6)

        assert attempt("bob", PASSWORD).status_code == 200

    def test_username_and_email_do_not_tell_that_they_belong_together(self, alice: Any) -> None:
        fail(6)

        assert attempt("alice@example.com").status_code == 401

    def test_failures_from_many_addresses_count_together(self, alice: Any) -> None:
        answers = [held(attempt(address=f"198.51.100.{number}")).status_code for number in range(6)]

        assert answers == [401] * 5 + [429]

    def test_malformed_try_is_no_failure(self, alice: Any) -> None:
        for _ in range(6):
            APIClient().post(LOGIN, {"username": "alice"})

        assert attempt(password=PASSWORD).status_code == 200


class TestSuccess:
    def test_success_clears_the_failures(self, alice: Any) -> None:
        fail(4)
        attempt(password=PASSWORD)

        assert fail(6) == [401] * 5 + [429]

    def test_success_does_not_count(self, alice: Any) -> None:
        assert [attempt(password=PASSWORD).status_code for _ in range(8)] == [200] * 8

    def test_owner_gets_in_from_where_they_have_been_before_while_somebody_guesses(self, alice: Any) -> None:
        attempt(password=PASSWORD, address="192.0.2.1")
        fail(6, address="198.51.100.1")

        assert attempt(password=PASSWORD, address="192.0.2.1").status_code == 200

    def test_owners_success_does_not_set_the_guesser_free(self, alice: Any) -> None:
        attempt(password=PASSWORD, address="192.0.2.1")
        fail(6, address="198.51.100.1")
        attempt(password=PASSWORD, address="192.0.2.1")

        assert attempt(address="198.51.100.1").status_code == 429

    def test_known_address_is_guarded_by_a_counter_of_its_own(self, alice: Any) -> None:
        attempt(password=PASSWORD)

        assert fail(6) == [401] * 5 + [429]

    def test_known_address_of_one_name_is_not_known_to_another(self, alice: Any, bob: Any) -> None:
        attempt("bob", PASSWORD, address="198.51.100.1")
        fail(5, address="198.51.100.1")

        assert attempt(password=PASSWORD, address="192.0.2.1").status_code == 429


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_many_at_once_compute_no_more_hashes_than_are_free(self, alice: Any, settings: Settings) -> None:
        answers: list[int] = []
        began = time.monotonic()

        hashes = counted_hashes(settings, lambda: answers.extend(at_once(*[lambda: attempt().status_code] * 16)))

        assert set(answers) == {401, 429}
        assert 5 <= hashes == answers.count(401) <= most_tries(time.monotonic() - began)

    def test_guard_holds_across_processes(self, serve: Any) -> None:
        make_user("carol")
        server = serve(WEB_CONCURRENCY="3")

        def attempt_there() -> int:
            return requests.post(f"{server.api}/login", {"username": "carol", "password": "Wr0ngest!"}, timeout=30).status_code

        began = time.monotonic()
        answers = at_once(*[attempt_there] * 16)

        assert set(answers) == {401, 429}
        assert 5 <= answers.count(401) <= most_tries(time.monotonic() - began)


class TestOutage:
    def test_failures_are_counted_in_the_process(self, alice: Any) -> None:
        with redis_away():
            answers = fail(6, "counted-in-the-process")

        assert answers == [401] * 5 + [429]

    def test_success_clears_them_there_too(self, alice: Any) -> None:
        with redis_away():
            fail(4)
            attempt(password=PASSWORD)
            answers = fail(6)

        assert answers == [401] * 5 + [429]

    def test_guard_stays_without_limits_by_tier(self, settings: Settings, db: None) -> None:
        settings.RATE_LIMIT_ENABLED = False

        assert fail(6, "without-limits") == [401] * 5 + [429]

    def test_most_names_are_kept_and_the_oldest_forgotten(self) -> None:
        failures = LocalFailures()
        failures.MOST = 3

        for number in range(5):
            failures.run(BEGIN, [str(number)], 5, 60, 3600)

        assert list(failures.names) == ["2", "3", "4"]
