from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Session, User
from accounts.tokens import access_token
from conftest import PASSWORD, make_user

from .factories import make_session, status_of

pytestmark = pytest.mark.django_db(transaction=True)

SESSIONS = "/admin/accounts/session/"
USERS = "/admin/accounts/user/"


def act(browser: Client, url: str, action: str, *rows: Any) -> list[str]:
    """
    Do an action on rows of a list, and return what the page then says.
    """
    response = browser.post(url, {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def history() -> list[tuple[str, str]]:
    return [(entry.object_id or "", entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]


def staff_with(*codenames: str) -> Client:
    """
    Return the browser of somebody who may enter the admin and no more than that.
    """
    user = make_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames, content_type__app_label="accounts"))
    browser = Client()
    assert browser.post("/admin/login/", {"username": "staff", "password": PASSWORD}).status_code == 302
    return browser


class TestSessions:
    def test_those_that_are_chosen_end(self, browser: Client, alice: Any) -> None:
        chosen, other = make_session(alice), make_session(alice)

        assert act(browser, SESSIONS, "end", chosen) == ["1 ended."]
        assert [status_of(access_token(session)) for session in (chosen, other)] == [401, 200]

    def test_it_is_recorded_in_the_history(self, browser: Client, alice: Any) -> None:
        session = make_session(alice)

        act(browser, SESSIONS, "end", session)

        assert history() == [(str(session.pk), "Ended.")]

    def test_one_that_ended_before_is_left_as_it_is(self, browser: Client, alice: Any) -> None:
        session = make_session(alice)
        alice.sessions.all().end()
        ended_at = Session.objects.get().ended_at

        assert act(browser, SESSIONS, "end", session) == ["0 ended."]
        assert Session.objects.get().ended_at == ended_at
        assert history() == []

    def test_they_are_read_only(self, browser: Client, alice: Any) -> None:
        page = f"{SESSIONS}{make_session(alice).pk}"

        assert browser.get(f"{page}/change/").status_code == 200
        assert [browser.post(f"{page}/{action}/", {"post": "yes"}).status_code for action in ("change", "delete")] == [403, 403]
        assert browser.get(f"{SESSIONS}add/").status_code == 403

    def test_staff_who_may_only_look_end_none(self, alice: Any) -> None:
        session = make_session(alice)

        act(staff_with("view_session"), SESSIONS, "end", session)

        assert status_of(access_token(session)) == 200

    def test_staff_who_may_change_sessions_end_them(self, alice: Any) -> None:
        session = make_session(alice)

        assert act(staff_with("view_session", "change_session"), SESSIONS, "end", session) == ["1 ended."]


class TestUsers:
    def test_all_sessions_of_the_chosen_end(self, browser: Client, alice: Any, bob: Any) -> None:
        ended, other = [make_session(alice), make_session(alice)], make_session(bob)

        assert act(browser, USERS, "end_sessions", alice) == ["2 sessions ended."]
        assert [status_of(access_token(session)) for session in (*ended, other)] == [401, 401, 200]

    def test_it_is_recorded_in_the_history_of_each(self, browser: Client, alice: Any, bob: Any) -> None:
        make_session(alice)

        act(browser, USERS, "end_sessions", alice, bob)

        assert history() == [(str(alice.pk), "All sessions ended."), (str(bob.pk), "All sessions ended.")]


class TestVerification:
    def change(self, browser: Client, user: Any, **fields: Any) -> None:
        names = ("username", "name", "email", "profile_image_url")
        form = {**{name: getattr(user, name) for name in names}, "is_active": "on", **fields}
        assert browser.post(f"{USERS}{user.pk}/change/", form).status_code == 302

    def test_it_can_be_set_and_taken_away(self, browser: Client, alice: Any) -> None:
        self.change(browser, alice, is_email_verified="on")
        assert User.objects.get(pk=alice.pk).is_email_verified

        self.change(browser, alice)
        assert not User.objects.get(pk=alice.pk).is_email_verified

    def test_another_address_is_unverified_again(self, browser: Client, alice: Any) -> None:
        self.change(browser, alice, is_email_verified="on")
        self.change(browser, alice, is_email_verified="on", email="alice@example.org")

        assert not User.objects.get(pk=alice.pk).is_email_verified

    def test_list_shows_it(self, browser: Client, alice: Any) -> None:
        assert b"e-mail verified" in browser.get(USERS).content.lower()

    def test_new_user_may_be_verified(self, browser: Client) -> None:
        form = {"username": "dave", "name": "Dave", "email": "dave@example.com", "is_email_verified": "on"}
        passwords = {"usable_password": "true", "password1": "An0ther-Word", "password2": "An0ther-Word"}

        assert browser.post(f"{USERS}add/", {**form, **passwords}).status_code == 302
        assert User.objects.get(username="dave").is_email_verified
