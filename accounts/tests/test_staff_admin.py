"""
Staff who are no superusers do in the admin what their permissions say, and no more: each way in is tried by a session of theirs.
"""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Session, User
from conftest import PASSWORD, make_user
from tiers.models import RateLimit, Tier
from tiers.tests.factories import make_rate_limit

from .factories import make_session
from .test_admin import USERS, act, change_form

pytestmark = pytest.mark.django_db(transaction=True)

NEW_PASSWORD = "An0ther-Word"
PASSWORDS = {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
RIGHTS = ("is_staff", "is_superuser", "user_permissions", "groups")


def grant(user: Any, *codenames: str) -> None:
    permissions = Permission.objects.filter(codename__in=codenames).exclude(content_type__app_label="sessions")
    assert permissions.count() == len(codenames)
    user.user_permissions.set(permissions)


def enter(user: Any) -> Client:
    browser = Client()
    assert browser.post("/admin/login/", {"username": user.username, "password": PASSWORD}).status_code == 302
    return browser


@pytest.fixture
def staff(db: None) -> Any:
    user = make_user("staff", is_staff=True)
    grant(user, "view_user", "add_user", "change_user", "delete_user")
    return user


@pytest.fixture
def colleague(db: None) -> Any:
    user = make_user("colleague", is_staff=True)
    grant(user, "delete_tier")
    return user


@pytest.fixture
def desk(staff: Any) -> Client:
    return enter(staff)


def rights(user: Any) -> dict[str, Any]:
    user = User.objects.get(pk=user.pk)
    return {
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "tier": user.tier,
        "permissions": sorted(user.get_user_permissions()),
        "groups": user.groups.count(),
    }


def forged(tier: Tier) -> dict[str, Any]:
    everything = [str(pk) for pk in Permission.objects.values_list("pk", flat=True)]
    return {"is_staff": "on", "is_superuser": "on", "user_permissions": everything, "groups": [], "tier": tier.pk}


class TestChangePage:
    @pytest.mark.parametrize("name", ["staff", "alice"])
    def test_forged_fields_change_no_rights(self, desk: Client, staff: Any, alice: Any, free: Tier, name: str) -> None:
        user = {"staff": staff, "alice": alice}[name]
        before = rights(user)

        response = desk.post(f"{USERS}{user.pk}/change/", change_form(user, name="Renamed", **forged(free)))

        assert response.status_code == 302
        assert rights(user) == before
        assert User.objects.get(pk=user.pk).name == "Renamed"

    def test_it_shows_them_without_a_box(self, desk: Client, alice: Any) -> None:
        form = desk.get(f"{USERS}{alice.pk}/change/").context["adminform"].form

        assert set(form.fields) & {*RIGHTS, "tier"} == set()
        assert "email" in form.fields

    @pytest.mark.parametrize("name", ["admin", "colleague"])
    def test_superusers_and_other_staff_are_shown_only(self, desk: Client, admin: Any, colleague: Any, name: str) -> None:
        user = {"admin": admin, "colleague": colleague}[name]

        assert desk.get(f"{USERS}{user.pk}/change/").status_code == 200
        assert desk.post(f"{USERS}{user.pk}/change/", change_form(user, email="mine@example.com")).status_code == 403
        assert User.objects.get(pk=user.pk).email == f"{name}@example.com"

    def test_superuser_who_is_no_staff_is_out_of_reach_too(self, desk: Client, admin: Any) -> None:
        root = make_user("root", is_superuser=True, is_staff=False)

        assert desk.post(f"{USERS}{root.pk}/change/", change_form(root, email="mine@example.com")).status_code == 403

    def test_superusers_change_it_all(self, browser: Client, alice: Any, free: Tier) -> None:
        browser.post(f"{USERS}{alice.pk}/change/", change_form(alice, **forged(free)))

        assert (rights(alice)["is_superuser"], rights(alice)["tier"]) == (True, free)


class TestAddPage:
    def test_forged_fields_give_no_rights(self, desk: Client, free: Tier) -> None:
        form = {"username": "dave", "name": "Dave", "email": "dave@example.com", **PASSWORDS, **forged(free)}

        assert desk.post(f"{USERS}add/", form).status_code == 302
        assert rights(User.objects.get(username="dave")) == {
            "is_staff": False,
            "is_superuser": False,
            "tier": None,
            "permissions": [],
            "groups": 0,
        }

    def test_new_user_has_the_tier_of_all_new_users(self, desk: Client, free: Tier, pro: Tier, settings: Any) -> None:
        settings.DEFAULT_TIER = "free"

        desk.post(f"{USERS}add/", {"username": "dave", "name": "Dave", "email": "dave@example.com", **PASSWORDS, "tier": pro.pk})

        assert User.objects.get(username="dave").tier == free


class TestPasswordPage:
    @pytest.mark.parametrize("name", ["admin", "colleague"])
    def test_superusers_and_other_staff_keep_theirs(self, desk: Client, admin: Any, colleague: Any, name: str) -> None:
        user = {"admin": admin, "colleague": colleague}[name]
        page = f"{USERS}{user.pk}/password/"

        assert [desk.get(page).status_code, desk.post(page, PASSWORDS).status_code] == [403, 403]
        assert desk.post(page, {"usable_password": "false", "unset-password": "1"}).status_code == 403
        assert User.objects.get(pk=user.pk).check_password(PASSWORD)

    def test_that_of_others_is_set(self, desk: Client, alice: Any) -> None:
        assert desk.post(f"{USERS}{alice.pk}/password/", PASSWORDS).status_code == 302
        assert User.objects.get(pk=alice.pk).check_password(NEW_PASSWORD)


class TestActions:
    @pytest.mark.parametrize("across", ["0", "1"])
    @pytest.mark.parametrize("action", ["soft_delete", "restore", "reset_limits", "end_sessions", "delete_selected"])
    def test_they_pass_over_superusers_and_other_staff(self, admin: Any, colleague: Any, desk: Client, action: str, across: str) -> None:
        gone = make_user("root", is_superuser=True)
        gone.soft_delete()
        users = [User.objects.get(pk=user.pk) for user in (admin, colleague, gone)]
        states = [(user.pk, user.deleted_at, user.updated_at) for user in users]
        sessions = [make_session(user) for user in (admin, colleague)]

        response = act(desk, action, *users, post="yes", select_across=across)

        assert response.status_code == 200
        found = User.objects.filter(pk__in=[user.pk for user in users]).order_by("pk")
        assert [(user.pk, user.deleted_at, user.updated_at) for user in found] == sorted(states)
        assert set(Session.objects.alive()) == set(sessions)

    def test_others_among_them_are_acted_upon(self, admin: Any, alice: Any, desk: Client) -> None:
        response = act(desk, "soft_delete", admin, alice)

        assert [str(message) for message in response.context["messages"]] == ["1 marked as deleted."]
        assert set(User.objects.filter(deleted_at=None).values_list("username", flat=True)) == {"admin", "staff"}

    def test_tier_is_not_theirs_to_set(self, desk: Client, staff: Any, alice: Any, free: Tier) -> None:
        act(desk, "set_tier", staff, alice, tier=free.pk)

        assert free.users.count() == 0
        assert "set_tier" not in desk.get(USERS).content.decode()

    def test_list_has_nothing_to_edit(self, desk: Client, staff: Any) -> None:
        form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": staff.pk, "form-0-is_superuser": "on", "_save": "Save"}

        desk.post(USERS, form)

        assert not rights(staff)["is_superuser"]

    def test_limits_of_superusers_are_not_reset_by_their_page(self, desk: Client, admin: Any, alice: Any) -> None:
        found = [desk.post(f"{USERS}{user.pk}/reset_limits/").status_code for user in (admin, alice)]

        assert found == [403, 302]


class TestDeletePage:
    @pytest.mark.parametrize("name", ["admin", "colleague"])
    def test_superusers_and_other_staff_stay(self, desk: Client, admin: Any, colleague: Any, name: str) -> None:
        make_user("root", is_superuser=True)
        user = {"admin": admin, "colleague": colleague}[name]

        assert desk.post(f"{USERS}{user.pk}/delete/", {"post": "yes"}).status_code == 403
        assert User.objects.filter(pk=user.pk).exists()

    def test_others_go(self, desk: Client, alice: Any) -> None:
        make_session(alice)

        desk.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"})

        assert not User.objects.filter(pk=alice.pk).exists()


class TestOtherModels:
    def test_who_may_change_tiers_changes_no_rate_limits(self, colleague: Any, free: Tier) -> None:
        limit = make_rate_limit(tier=free, limit=5)
        grant(colleague, "view_tier", "change_tier", "view_ratelimit")
        counts = {"rate_limits-TOTAL_FORMS": "2", "rate_limits-INITIAL_FORMS": "1"}
        row = {"rate_limits-0-id": limit.pk, "rate_limits-0-tier": free.pk, "rate_limits-0-limit": 9, "rate_limits-0-DELETE": "on"}
        added = {"rate_limits-1-tier": free.pk, "rate_limits-1-path": "api_v1_users", "rate_limits-1-limit": 9, "rate_limits-1-period": 60}

        response = enter(colleague).post(f"/admin/tiers/tier/{free.pk}/change/", {"name": "renamed", **counts, **row, **added})

        assert response.status_code == 302
        assert [(found.tier.name, found.path, found.limit) for found in RateLimit.objects.all()] == [("renamed", limit.path, 5)]

    def test_who_may_look_at_sessions_and_tasks_neither_ends_nor_runs(self, colleague: Any, alice: Any) -> None:
        grant(colleague, "view_session", "view_task")
        session = make_session(alice)

        for url, action in (("/admin/accounts/session/", "end"), ("/admin/tasks/task/", "cancel")):
            act(enter(colleague), action, session, url=url)

        assert Session.objects.alive().filter(pk=session.pk).exists()
