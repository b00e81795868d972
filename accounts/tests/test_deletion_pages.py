"""
Pages and actions of the admin about who has very many rows: they count them, and list none.
"""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Session, User
from conftest import make_user

from .factories import make_post, make_task
from .test_admin import USERS, act
from .test_many_sessions import make_sessions
from .test_staff_admin import enter, grant

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ["{id}/delete/", ""]


def confirmation(browser: Client, user: Any, page: str) -> tuple[int, str]:
    """
    Return how many statements the page that asks whether to delete the user sends, and what it says.
    """
    with CaptureQueriesContext(connection) as captured:
        url = USERS + page.format(id=user.pk)
        response = browser.get(url) if page else act(browser, "delete_selected", user)
    assert response.status_code == 200
    return len(captured), response.content.decode()


@pytest.mark.parametrize("page", PAGES, ids=["page", "action"])
def test_who_has_thousands_of_sessions_is_shown_by_their_number(browser: Client, alice: Any, bob: Any, page: str) -> None:
    for user, count in ((alice, 5), (bob, 2_000)):
        make_sessions(user, count)
        make_post(user)
        make_task(user)
    confirmation(browser, alice, page)

    few, many = (confirmation(browser, user, page) for user in (alice, bob))

    assert many[0] == few[0]
    assert abs(len(many[1]) - len(few[1])) < 100
    assert "Sessions: 2000" in many[1]
    assert "Posts: 1" in many[1]
    assert "Tasks: 1" in many[1]


@pytest.mark.parametrize("page", PAGES, ids=["page", "action"])
def test_they_are_deleted(browser: Client, alice: Any, page: str) -> None:
    make_sessions(alice, 2_000)
    make_post(alice)

    if page:
        browser.post(USERS + page.format(id=alice.pk), {"post": "yes"})
    else:
        act(browser, "delete_selected", alice, post="yes")

    assert not User.objects.filter(pk=alice.pk).exists()


@pytest.mark.parametrize("page", PAGES, ids=["page", "action"])
def test_rows_that_one_may_not_delete_are_named(alice: Any, page: str) -> None:
    staff = make_user("staff", is_staff=True)
    grant(staff, "view_user", "delete_user", "change_user")
    browser = enter(staff)
    make_post(alice)

    assert "your account doesn&#x27;t have permission" in confirmation(browser, alice, page)[1].replace("'", "&#x27;")
    if page:
        assert browser.post(USERS + page.format(id=alice.pk), {"post": "yes"}).status_code == 403
    else:
        assert browser.post(USERS, {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"}).status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()


def test_thousands_of_sessions_end_by_the_action_in_one_statement(browser: Client, alice: Any) -> None:
    make_sessions(alice, 2_000)

    with CaptureQueriesContext(connection) as captured:
        act(browser, "end", *alice.sessions.all()[:1], url="/admin/accounts/session/", select_across="1")

    assert len(captured) < 50
    assert not Session.objects.alive().exists()
    assert LogEntry.objects.count() == 2_000
