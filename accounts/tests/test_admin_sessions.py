"""
What ends a user's sessions of the API all at once ends those of the admin, for good: the cookie does not come back with the user.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from conftest import PASSWORD, make_user

from .factories import API, bearer, log_in
from .test_admin import USERS, act, change_form

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root(db: None) -> Any:
    return make_user("root", is_superuser=True)


@pytest.fixture
def roots(root: Any) -> Client:
    """
    The browser of another superuser.
    """
    browser = Client()
    assert browser.post("/admin/login/", {"username": "root", "password": PASSWORD}).status_code == 302
    assert is_in(browser)
    return browser


def is_in(browser: Client) -> bool:
    return browser.get("/admin/").status_code == 200


def deactivate_and_activate(browser: Client, root: Any) -> None:
    browser.post(f"{USERS}{root.pk}/change/", change_form(root, is_active=None))
    browser.post(f"{USERS}{root.pk}/change/", change_form(root, is_active="on"))


def delete_and_restore(browser: Client, root: Any) -> None:
    act(browser, "soft_delete", root)
    act(browser, "restore", root)


def delete_over_the_api_and_restore(browser: Client, root: Any) -> None:
    client = APIClient()
    assert client.delete(f"{API}/user/root", headers=bearer(log_in(client, "root"))).status_code == 200
    act(browser, "restore", root)


def end_by_the_action(browser: Client, root: Any) -> None:
    act(browser, "end_sessions", root)


def log_out_everywhere(browser: Client, root: Any) -> None:
    client = APIClient()
    assert client.post(f"{API}/logout/all", headers=bearer(log_in(client, "root"))).status_code == 200


def set_the_password(browser: Client, root: Any) -> None:
    form = {"usable_password": "true", "password1": "An0ther-Word", "password2": "An0ther-Word"}
    assert browser.post(f"{USERS}{root.pk}/password/", form).status_code == 302


EVENTS = [
    deactivate_and_activate,
    delete_and_restore,
    delete_over_the_api_and_restore,
    end_by_the_action,
    log_out_everywhere,
    set_the_password,
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_cookie_is_over(browser: Client, roots: Client, root: Any, event: Callable[[Client, Any], None]) -> None:
    event(browser, root)

    assert User.objects.usable().filter(pk=root.pk).exists()
    assert not is_in(roots)
    assert is_in(browser)


def test_a_write_of_what_was_read_before_brings_none_back(roots: Client, root: Any, admin: Any) -> None:
    stale = User.objects.get(pk=root.pk)
    User.objects.get(pk=root.pk).end_sessions()

    stale.name = "Other"
    stale.save()

    assert not is_in(roots)


def test_logging_out_of_one_session_of_the_api_leaves_it(roots: Client, root: Any) -> None:
    client = APIClient()

    client.post(f"{API}/logout", headers=bearer(log_in(client, "root")))

    assert is_in(roots)


def test_an_ordinary_change_leaves_it(browser: Client, roots: Client, root: Any) -> None:
    browser.post(f"{USERS}{root.pk}/change/", change_form(root, name="Other"))

    assert is_in(roots)


def test_who_changes_the_own_password_stays_in(roots: Client, root: Any) -> None:
    form = {"old_password": PASSWORD, "new_password1": "An0ther-Word", "new_password2": "An0ther-Word"}

    assert roots.post("/admin/password_change/", form).status_code == 302
    assert is_in(roots)


def test_who_ends_the_own_sessions_may_enter_anew(browser: Client, admin: Any) -> None:
    browser.post(USERS, {"action": "end_sessions", "_selected_action": [admin.pk]})
    assert not is_in(browser)

    browser.post("/admin/login/", {"username": "admin", "password": PASSWORD})

    assert is_in(browser)


def test_what_came_after_an_ending_outlives_a_rotation_of_the_key(roots: Client, root: Any, settings: Any) -> None:
    User.objects.get(pk=root.pk).end_sessions()
    roots.post("/admin/login/", {"username": "root", "password": PASSWORD})
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-of-fifty-characters-and-a-few-more-0123"

    assert is_in(roots)


def test_a_row_of_who_knows_no_such_column_is_taken(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (password, is_superuser, created_at, updated_at, name, username, email, profile_image_url,"
            " is_active, is_staff) VALUES ('', false, now(), now(), 'Dave', 'dave', 'dave@example.com', '', true, false)"
        )

    assert User.objects.get(username="dave").session_endings == 0
