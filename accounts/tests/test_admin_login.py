"""
The admin's form is guarded like the API's login: by address with django-ratelimit, by name with the same counter.
"""

import time
from typing import Any

import pytest
import requests
from django.test import Client
from pytest_django import Settings

from common.tests.concurrency import at_once
from common.tests.servers import wait_until
from common.tests.test_throttling import redis_away
from conftest import PASSWORD, make_user

from .factories import API, YEAR, enter_admin
from .guesses import held
from .test_hashing import all_slots_taken, counted_hashes

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
WRONG = "Wr0ngest!"


def attempt(name: str = "nobody", password: str = WRONG, address: str = "192.0.2.1", **headers: str) -> Any:
    return Client().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address, headers=headers)


def answers(names: list[str], **where: Any) -> list[int]:
    return [attempt(name, **where).status_code for name in names]


class TestByAddress:
    @pytest.fixture(autouse=True)
    def two_tries(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (2, YEAR)

    def test_exactly_the_limit_is_admitted(self) -> None:
        assert answers(["a", "b", "c"]) == [200, 200, 429]

    def test_refusal_is_a_page_that_says_how_long(self) -> None:
        answers(["a", "b"])

        response = attempt()

        assert response["Content-Type"].startswith("text/html")
        assert 0 < int(response["Retry-After"]) <= YEAR
        assert f"Try again in {response['Retry-After']} seconds." in response.content.decode()
        assert "no-store" in response["Cache-Control"]

    def test_right_password_is_refused_too(self, admin: Any) -> None:
        answers(["a", "b"])

        assert attempt("admin", PASSWORD).status_code == 429

    def test_refused_try_computes_no_hash(self, settings: Settings) -> None:
        answers(["a", "b"])

        assert counted_hashes(settings, attempt) == 0

    def test_form_is_shown_all_the_same(self) -> None:
        answers(["a", "b", "c"])

        assert Client().get(LOGIN).status_code == 200

    def test_another_address_is_free(self) -> None:
        answers(["a", "b", "c"])

        assert attempt(address="192.0.2.2").status_code == 200

    def test_forged_header_buys_nothing(self) -> None:
        found = [attempt(**{"X-Forwarded-For": f"198.51.100.{number}"}).status_code for number in range(3)]

        assert found == [200, 200, 429]

    def test_address_is_what_the_proxy_reports(self, settings: Settings) -> None:
        settings.TRUSTED_PROXY_COUNT = 1

        found = [attempt(**{"X-Forwarded-For": f"198.51.100.{number}"}).status_code for number in range(3)]

        assert found == [200, 200, 200]

    def test_ipv6_counts_by_its_64(self) -> None:
        found = [attempt(address=f"2001:db8::{number}").status_code for number in range(3)]

        assert found == [200, 200, 429]

    def test_waiting_as_long_as_told_succeeds(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = (1, 2)
        refused = wait_until(lambda: next((response for response in [attempt()] if response.status_code == 429), None))
        assert 1 <= int(refused["Retry-After"]) <= 3

        time.sleep(int(refused["Retry-After"]))

        assert attempt().status_code == 200

    def test_zero_switches_it_off(self, settings: Settings) -> None:
        settings.LOGIN_RATE_LIMIT = None

        assert answers(["a", "b", "c"]) == [200, 200, 200]

    def test_without_redis_it_counts_in_the_process(self, caplog: pytest.LogCaptureFixture) -> None:
        with redis_away():
            found = answers(["a", "b", "c"], address="203.0.113.78")

        assert found == [200, 200, 429]
        assert caplog.messages[0].startswith("Redis of the rate limits is away, counting in the process")

    def test_without_limits_by_tier_it_counts_in_the_process(self, settings: Settings) -> None:
        settings.RATE_LIMIT_ENABLED = False
        settings.CACHES = {**settings.CACHES, "throttle": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

        assert answers(["a", "b", "c"]) == [200, 200, 429]


class TestByName:
    def test_name_is_refused_after_five_failures_from_anywhere(self, admin: Any) -> None:
        found = [held(attempt("admin", address=f"198.51.100.{number}")).status_code for number in range(6)]

        assert found == [200] * 5 + [429]

    def test_form_and_api_share_the_counter(self, admin: Any) -> None:
        for _ in range(5):
            held(attempt("admin"))

        response = Client().post(f"{API}/login", {"username": "admin", "password": PASSWORD})

        assert response.status_code == 429

    def test_success_logs_in(self, admin: Any) -> None:
        answers(["admin"] * 4)

        assert attempt("admin", PASSWORD).status_code == 302


def test_busy_process_answers_with_a_page(admin: Any, settings: Settings) -> None:
    with all_slots_taken(settings):
        response = attempt("admin", PASSWORD)

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert "Too many passwords are being checked." in response.content.decode()


def test_form_still_needs_its_csrf_token(admin: Any) -> None:
    browser = Client(enforce_csrf_checks=True)

    assert browser.post(LOGIN, {"username": "admin", "password": PASSWORD}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_guard_holds_across_processes(serve: Any) -> None:
    make_user("admin", is_superuser=True)
    server = serve(WEB_CONCURRENCY="3", LOGIN_RATE_LIMIT=f"4/{YEAR}")

    def attempt_there(number: int) -> int:
        with requests.Session() as browser:
            browser.get(f"{server.url}{LOGIN}", timeout=30)
            form = {"username": f"user{number}", "password": "x", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            return browser.post(f"{server.url}{LOGIN}", form, timeout=30).status_code

    found = at_once(*[lambda number=number: attempt_there(number) for number in range(12)])

    assert sorted(found) == [200] * 4 + [429] * 8


def test_the_old_password_cannot_be_guessed_without_limit_by_who_has_the_admins_session(admin: Any) -> None:
    browser = enter_admin()
    guess = {"old_password": "wrong", "new_password1": "An0ther-Word", "new_password2": "An0ther-Word"}

    answers = [held(browser.post("/admin/password_change/", guess)).status_code for _ in range(8)]

    assert answers == [200] * 5 + [429] * 3
