"""
The rate limits on a user's page in the admin.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from accounts.models import User
from common.tests.ports import free_port
from conftest import PASSWORD, make_user
from tiers.models import Tier
from tiers.tests.factories import make_rate_limit

pytestmark = pytest.mark.django_db

ME = "/api/v1/user/me/"
ClientFor = Callable[[Any], APIClient]


@pytest.fixture
def alice(free: Tier) -> User:
    make_rate_limit(free, path="api/v1/user/me", limit=3, period=31_536_000)
    user: User = make_user("alice", tier=free)
    return user


def page(user: User) -> str:
    return f"/admin/accounts/user/{user.pk}/change/"


def reset(browser: Client, user: User) -> Any:
    return browser.post(f"/admin/accounts/user/{user.pk}/reset_limits/", follow=True)


def shown(response: Any) -> dict[str, tuple[int, int, int]]:
    return {usage.name: (usage.limit, usage.used, usage.remaining) for usage, _ in response.context["limits"]}


class Staff:
    """
    Somebody on the staff with the given rights.
    """

    def __init__(self, *rights: str) -> None:
        user = make_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        self.browser = Client()
        assert self.browser.login(username="staff", password=PASSWORD)


class TestPage:
    def test_it_shows_what_is_used_of_each_limit(self, browser: Client, alice: User, client_for: ClientFor) -> None:
        client_for(alice).get(ME)

        response = browser.get(page(alice))

        assert shown(response) == {"api_v1_user_me": (3, 1, 2), "api_v1_tasks_task": (10, 0, 10)}
        assert '<th scope="row">api_v1_user_me</th><td>3</td><td>31536000 s</td><td>1</td><td>2</td>' in response.text

    def test_it_says_when_each_limit_begins_anew(self, browser: Client, alice: User) -> None:
        response = browser.get(page(alice))

        usage, reset_at = response.context["limits"][0]
        assert f"<td>in {usage.reset} s, at {reset_at:%Y-%m-%d %H:%M:%S} UTC</td>" in response.text

    def test_looking_does_not_count(self, browser: Client, alice: User) -> None:
        for _ in range(3):
            browser.get(page(alice))

        assert shown(browser.get(page(alice)))["api_v1_user_me"] == (3, 0, 3)

    def test_switched_off_it_says_so(self, browser: Client, alice: User, settings: Settings) -> None:
        settings.RATE_LIMIT_ENABLED = False

        text = browser.get(page(alice)).text

        assert "Limits are switched off." in text
        assert "Reset usage<" not in text

    def test_a_new_user_has_none(self, browser: Client) -> None:
        assert 'id="rate-limits"' not in browser.get("/admin/accounts/user/add/").text

    def test_more_limits_cost_no_more_queries(
        self, browser: Client, alice: User, free: Tier, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        browser.get(page(alice))
        with django_assert_num_queries(7):
            browser.get(page(alice))
        for path in ("users", "tiers", "tasks/task"):
            make_rate_limit(free, path=f"api/v1/{path}")

        with django_assert_num_queries(7):
            browser.get(page(alice))

    def test_who_may_only_look_has_no_button(self, alice: User) -> None:
        text = Staff("view_user").browser.get(page(alice)).text

        assert 'id="rate-limits"' in text
        assert 'value="Reset usage"' not in text


class TestReset:
    @pytest.fixture(autouse=True)
    def used_up(self, alice: User, client_for: ClientFor) -> APIClient:
        self.client = client_for(alice)
        assert [self.client.get(ME).status_code for _ in range(4)] == [200, 200, 200, 429]
        return self.client

    def test_the_button_stands_in_a_form_of_its_own(self, browser: Client, alice: User) -> None:
        form = browser.get(page(alice)).text.rpartition("<form")[2]

        assert f'method="post" action="/admin/accounts/user/{alice.pk}/reset_limits/"' in form
        assert "csrfmiddlewaretoken" in form
        assert '<input type="submit" value="Reset usage">' in form

    def test_the_user_begins_anew(self, browser: Client, alice: User) -> None:
        response = reset(browser, alice)

        assert response.redirect_chain == [(page(alice), 302)]
        assert "1 may use their rate limits anew." in response.text
        assert shown(response)["api_v1_user_me"] == (3, 0, 3)
        assert self.client.get(ME)["X-RateLimit-Remaining"] == "2"

    def test_it_stands_in_the_history(self, browser: Client, alice: User, admin: User) -> None:
        reset(browser, alice)

        assert [(entry.user, entry.object_id, entry.get_change_message()) for entry in LogEntry.objects.all()] == [
            (admin, str(alice.pk), "Usage of rate limits reset.")
        ]

    def test_several_users_are_reset_in_the_list(self, browser: Client, alice: User, bob: User) -> None:
        data = {"action": "reset_limits", "_selected_action": [alice.pk, bob.pk]}

        response = browser.post("/admin/accounts/user/", data, follow=True)

        assert "2 may use their rate limits anew." in response.text
        assert self.client.get(ME).status_code == 200
        assert LogEntry.objects.count() == 2

    def test_others_keep_their_count(self, browser: Client, alice: User, bob: User) -> None:
        reset(browser, bob)

        assert self.client.get(ME).status_code == 429

    def test_a_link_does_not_reset(self, browser: Client, alice: User) -> None:
        assert browser.get(f"/admin/accounts/user/{alice.pk}/reset_limits/").status_code == 405
        assert self.client.get(ME).status_code == 429

    def test_a_form_of_another_site_does_not_reset(self, admin: User, alice: User) -> None:
        browser = Client(enforce_csrf_checks=True)
        assert browser.login(username="admin", password=PASSWORD)

        assert reset(browser, alice).status_code == 403
        assert self.client.get(ME).status_code == 429

    def test_who_may_only_look_may_not_reset(self, alice: User) -> None:
        assert reset(Staff("view_user").browser, alice).status_code == 403
        assert self.client.get(ME).status_code == 429

    def test_who_may_change_users_may_reset(self, alice: User) -> None:
        assert reset(Staff("view_user", "change_user").browser, alice).status_code == 200
        assert self.client.get(ME).status_code == 200

    def test_nobody_else_may(self, alice: User) -> None:
        response = reset(Client(), alice)

        assert response.redirect_chain[0][0].startswith("/admin/login/")
        assert self.client.get(ME).status_code == 429

    @pytest.mark.parametrize("pk", ["0", "x", "_2F"])
    def test_an_unknown_user_is_not_found(self, browser: Client, pk: str) -> None:
        assert browser.post(f"/admin/accounts/user/{pk}/reset_limits/").status_code == 404

    def test_while_redis_is_away_it_says_that_nothing_was_done(self, browser: Client, alice: User, settings: Settings) -> None:
        away = {**settings.CACHES["throttle"], "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}
        settings.CACHES = {**settings.CACHES, "throttle": away}

        response = reset(browser, alice)

        assert "each process counts on its own, and nothing was reset" in response.text
        assert "shown is what this one process has counted" in response.text
        assert not LogEntry.objects.exists()
