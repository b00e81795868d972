from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Session, User
from common.tests.budgets import all_admin_lists
from conftest import PASSWORD, make_user
from posts.models import Post
from tasks.models import Task
from tiers.models import Tier

from .factories import log_in

pytestmark = pytest.mark.django_db(transaction=True)

USERS = "/admin/accounts/user/"
LAST = "The last active superuser cannot be deleted, deactivated or demoted."


class TestLogin:
    def test_superuser_enters_by_the_form(self, browser: Client) -> None:
        assert browser.get("/admin/").status_code == 200

    def test_email_will_do(self, admin: Any) -> None:
        response = Client().post("/admin/login/?next=/admin/", {"username": "Admin@example.com", "password": PASSWORD})

        assert (response.status_code, response["Location"]) == (302, "/admin/")

    def test_user_who_is_no_staff_is_refused(self, alice: Any) -> None:
        response = Client().post("/admin/login/", {"username": "alice", "password": PASSWORD})

        assert response.status_code == 200
        assert b"for a staff account" in response.content

    def test_deleted_superuser_is_refused(self, admin: Any) -> None:
        make_user("root", is_superuser=True)
        admin.soft_delete()

        assert Client().post("/admin/login/", {"username": "admin", "password": PASSWORD}).status_code == 200

    def test_superuser_who_is_deleted_leaves_at_once(self, browser: Client, admin: Any) -> None:
        make_user("root", is_superuser=True)
        admin.soft_delete()

        assert browser.get("/admin/")["Location"].startswith("/admin/login/")

    def test_anonymous_caller_is_sent_to_the_form(self, client: Client) -> None:
        assert client.get(USERS)["Location"] == f"/admin/login/?next={USERS}"


class TestPages:
    @pytest.fixture
    def rows(self, db: None) -> dict[type[Any], Any]:
        return {model: costs.make(number) for number, (model, costs) in enumerate(all_admin_lists().items())}

    def test_every_registered_model_has_a_row_here(self, rows: dict[type[Any], Any]) -> None:
        assert set(rows) == set(django_admin.site._registry)

    @pytest.mark.parametrize("model", list(django_admin.site._registry), ids=lambda model: model.__name__)
    @pytest.mark.parametrize("page", ["", "?q=a", "?q=%00", "?o=1", "{id}/change/", "{id}/history/"])
    def test_page_renders(self, browser: Client, rows: dict[type[Any], Any], model: type[Any], page: str) -> None:
        meta = rows[model]._meta

        response = browser.get(f"/admin/{meta.app_label}/{meta.model_name}/{page.format(id=rows[model].pk)}")

        assert response.status_code == 200

    @pytest.mark.parametrize("model", [User, Tier, Post])
    def test_page_to_add_renders(self, browser: Client, model: type[Any]) -> None:
        assert browser.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/").status_code == 200

    @pytest.mark.parametrize("model", [Session, Task])
    @pytest.mark.parametrize("page", ["add/", "{id}/delete/"])
    def test_records_are_neither_added_nor_deleted(self, browser: Client, rows: dict[type[Any], Any], model: type[Any], page: str) -> None:
        response = browser.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/{page.format(id=rows[model].pk)}")

        assert response.status_code == 403

    def test_session_page_shows_no_token(self, browser: Client, client: APIClient, alice: Any) -> None:
        log_in(client, "alice")
        session = alice.sessions.get()

        page = browser.get(f"/admin/accounts/session/{session.pk}/change/").content.decode()

        assert client.cookies["refresh_token"].value not in page


class TestList:
    def test_search_finds_by_username_name_and_email(self, browser: Client, alice: Any, bob: Any) -> None:
        found = [browser.get(USERS, {"q": text}).context["cl"].result_list for text in ("alic", "Alice", "alice@ex")]

        assert [list(users) for users in found] == [[alice]] * 3

    @pytest.mark.parametrize(("value", "names"), [("yes", ["alice"]), ("no", ["admin", "bob"])])
    def test_filter_tells_deleted_users_apart(self, browser: Client, alice: Any, bob: Any, value: str, names: list[str]) -> None:
        alice.soft_delete()

        response = browser.get(USERS, {"deleted": value})

        assert [user.username for user in response.context["cl"].result_list] == names

    def test_deleted_users_are_listed(self, browser: Client, alice: Any) -> None:
        alice.soft_delete()

        assert b"alice@example.com" in browser.get(USERS).content
