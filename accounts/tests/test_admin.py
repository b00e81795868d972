from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from conftest import PASSWORD, make_user
from tiers.models import Tier

from .factories import API, bearer, log_in, make_post, make_session, make_task

pytestmark = pytest.mark.django_db(transaction=True)

USERS = "/admin/accounts/user/"
LAST = "The last active superuser cannot be deleted, deactivated or demoted."


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def act(browser: Client, action: str, *rows: Any, url: str = USERS, **fields: Any) -> Any:
    return browser.post(url, {"action": action, "_selected_action": [row.pk for row in rows], **fields}, follow=True)


def change_form(user: Any, **fields: Any) -> dict[str, Any]:
    """
    Return what the change page of a user sends; a box that is not ticked is not sent.
    """
    form = {
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "profile_image_url": user.profile_image_url,
        "tier": user.tier_id or "",
        **{box: "on" for box in ("is_active", "is_staff", "is_superuser") if getattr(user, box)},
        **fields,
    }
    return {name: value for name, value in form.items() if value is not None}


class TestActions:
    def test_users_are_marked_as_deleted(self, browser: Client, alice: Any, bob: Any) -> None:
        response = act(browser, "soft_delete", alice, bob)

        assert messages_of(response) == ["2 marked as deleted."]
        assert User.objects.alive().count() == 1

    def test_marking_as_deleted_ends_the_sessions(self, browser: Client, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")

        act(browser, "soft_delete", alice)

        assert client.get(f"{API}/user/me/", headers=bearer(token)).status_code == 401

    def test_deleted_users_posts_vanish_and_return(self, browser: Client, client: APIClient, alice: Any) -> None:
        post = make_post(alice)
        url = f"{API}/alice/post/{post.pk}"
        before = client.get(url).status_code

        act(browser, "soft_delete", alice)
        deleted = client.get(url).status_code
        act(browser, "restore", alice)

        assert (before, deleted, client.get(url).status_code) == (200, 404, 200)

    def test_restored_user_stays_logged_out(self, browser: Client, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")
        act(browser, "soft_delete", alice)

        response = act(browser, "restore", alice)

        assert messages_of(response) == ["1 restored."]
        assert client.get(f"{API}/user/me/", headers=bearer(token)).status_code == 401

    def test_tier_is_set_for_all_chosen(self, browser: Client, alice: Any, bob: Any, free: Tier) -> None:
        response = act(browser, "set_tier", alice, bob, tier=free.pk)

        assert messages_of(response) == ["2 now in tier free."]
        assert free.users.count() == 2

    def test_no_tier_takes_it_away(self, browser: Client, free: Tier) -> None:
        user = make_user("dave", tier=free)

        response = act(browser, "set_tier", user, tier="")

        assert messages_of(response) == ["1 now in tier none."]
        assert free.users.count() == 0

    @pytest.mark.parametrize("tier", ["999999", "x"])
    def test_tier_that_is_none_changes_nothing(self, browser: Client, free: Tier, tier: str) -> None:
        user = make_user("dave", tier=free)

        response = act(browser, "set_tier", user, tier=tier)

        assert response.status_code == 200
        assert list(free.users.all()) == [user]

    def test_users_are_removed_with_all_they_have(self, browser: Client, alice: Any, bob: Any) -> None:
        make_session(alice)
        make_post(alice)
        make_task(alice)

        act(browser, "delete_selected", alice, bob, post="yes")

        assert [user.username for user in User.objects.all()] == ["admin"]

    def test_action_is_written_to_the_history(self, browser: Client, alice: Any) -> None:
        act(browser, "soft_delete", alice)

        assert b"Marked as deleted." in browser.get(f"{USERS}{alice.pk}/history/").content


class TestChange:
    def test_user_is_added(self, browser: Client, client: APIClient) -> None:
        form = {"username": "dave", "name": "Dave", "email": "Dave@Example.com", "tier": "", "usable_password": "true"}

        browser.post(f"{USERS}add/", {**form, "password1": "An0ther-Word", "password2": "An0ther-Word"})

        assert User.objects.get(username="dave").email == "dave@example.com"
        log_in(client, "dave", "An0ther-Word")

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"username": "alice"}, "already exists"),
            ({"username": "me"}, "Username not available"),
            ({"username": "Da ve"}, "Use only a-z and 0-9."),
            ({"email": "Alice@example.com"}, "Email is already registered"),
            ({"password2": "other"}, "password fields didn"),
            ({"password1": "password", "password2": "password"}, "too common"),
        ],
    )
    def test_bad_input_is_shown_on_the_page(self, browser: Client, alice: Any, fields: dict[str, str], message: str) -> None:
        form = {"username": "dave", "name": "Dave", "email": "dave@example.com", "tier": "", "usable_password": "true"}

        response = browser.post(f"{USERS}add/", {**form, "password1": "An0ther-Word", "password2": "An0ther-Word", **fields})

        assert (response.status_code, message in response.content.decode()) == (200, True)

    def test_change_is_saved(self, browser: Client, client: APIClient, alice: Any, free: Tier) -> None:
        response = browser.post(f"{USERS}{alice.pk}/change/", change_form(alice, name="Alice Smith", tier=free.pk))

        assert response.status_code == 302
        shown = client.get(f"{API}/user/alice").json()
        assert (shown["name"], shown["tier_id"]) == ("Alice Smith", free.pk)

    def test_deactivation_ends_the_sessions(self, browser: Client, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")

        browser.post(f"{USERS}{alice.pk}/change/", change_form(alice, is_active=None))

        assert client.get(f"{API}/user/me/", headers=bearer(token)).status_code == 401

    @pytest.mark.parametrize(
        "form",
        [
            {"usable_password": "true", "password1": "An0ther-Word", "password2": "An0ther-Word"},
            {"usable_password": "false", "unset-password": "1"},
        ],
    )
    def test_password_change_ends_the_sessions(self, browser: Client, client: APIClient, alice: Any, form: dict[str, str]) -> None:
        token = log_in(client, "alice")

        response = browser.post(f"{USERS}{alice.pk}/password/", form)

        assert response.status_code == 302
        assert client.get(f"{API}/user/me/", headers=bearer(token)).status_code == 401
        assert client.post(f"{API}/refresh").status_code == 401

    def test_renamed_users_posts_are_right_at_once(self, browser: Client, client: APIClient, alice: Any) -> None:
        make_post(alice)
        client.get(f"{API}/alice/posts")

        browser.post(f"{USERS}{alice.pk}/change/", change_form(alice, username="alicia"))

        assert client.get(f"{API}/alice/posts").status_code == 404
        assert client.get(f"{API}/alicia/posts").json()["total_count"] == 1

    def test_user_with_sessions_is_removed_by_their_page(self, browser: Client, alice: Any) -> None:
        make_session(alice)
        make_task(alice)

        browser.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"})

        assert not User.objects.filter(username="alice").exists()


class TestLastSuperuser:
    @pytest.mark.parametrize("box", ["is_active", "is_superuser"])
    def test_last_superuser_is_neither_deactivated_nor_demoted(self, browser: Client, admin: Any, box: str) -> None:
        response = browser.post(f"{USERS}{admin.pk}/change/", change_form(admin, **{box: None}), follow=True)

        assert (response.status_code, messages_of(response)) == (200, [LAST])
        assert User.objects.active_superusers().exists()

    def test_last_superuser_is_not_deleted_by_their_page(self, browser: Client, admin: Any) -> None:
        response = browser.post(f"{USERS}{admin.pk}/delete/", {"post": "yes"}, follow=True)

        assert (response.status_code, messages_of(response)) == (200, [LAST])

    @pytest.mark.parametrize(("action", "fields"), [("soft_delete", {}), ("delete_selected", {"post": "yes"})])
    def test_action_that_would_end_them_changes_nobody(
        self, browser: Client, admin: Any, alice: Any, action: str, fields: dict[str, str]
    ) -> None:
        root = make_user("root", is_superuser=True)

        response = act(browser, action, alice, admin, root, **fields)

        assert (response.status_code, messages_of(response)) == (200, [LAST])
        assert User.objects.alive().count() == 3


def test_tier_with_users_is_not_deleted(browser: Client, free: Tier) -> None:
    make_user("dave", tier=free)

    response = browser.post(f"/admin/tiers/tier/{free.pk}/delete/", {"post": "yes"}, follow=True)

    assert response.status_code == 200
    assert Tier.objects.filter(pk=free.pk).exists()


def test_staff_without_rights_sees_no_users(alice: Any) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    staff = Client()
    staff.post("/admin/login/", {"username": "alice", "password": PASSWORD})

    assert staff.get(USERS).status_code == 403
