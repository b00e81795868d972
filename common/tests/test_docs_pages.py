"""
Who may read the documentation, and what its pages load.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from common.permissions import PRIVILEGES

from .answers import said

PAGES = ("/docs", "/redoc", "/openapi.json")
FOREIGN = re.compile(r"""(?:https?:)?//[\w.-]+""")

every_page = pytest.mark.parametrize("page", PAGES)
every_html_page = pytest.mark.parametrize("page", ["/docs", "/docs?script=", "/redoc"])


def log_in_to_the_admin(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@every_page
class TestLocally:
    def test_anyone_may_read(self, client: APIClient, page: str) -> None:
        assert client.get(page).status_code == 200

    def test_trailing_slash_makes_no_difference(self, client: APIClient, page: str) -> None:
        assert client.get(f"{page}/").status_code == 200

    def test_head_is_get_without_a_body(self, client: APIClient, page: str) -> None:
        response = client.head(page)

        assert (response.status_code, response.content) == (200, b"")

    def test_options_is_answered(self, client: APIClient, page: str) -> None:
        assert client.options(page).status_code == 204

    def test_other_methods_are_refused_in_json(self, client: APIClient, page: str) -> None:
        response = client.post(page)

        assert said(response) == (405, "Method not allowed.")
        assert response["Content-Type"] == "application/json"

    def test_nobody_keeps_it(self, client: APIClient, page: str) -> None:
        assert client.get(page)["Cache-Control"] == "private, no-store"

    def test_token_that_is_not_good_counts_as_none(self, client: APIClient, page: str) -> None:
        assert client.get(page, headers={"Authorization": "Bearer nonsense"}).status_code == 200


@every_page
class TestInStaging:
    @pytest.fixture(autouse=True)
    def in_staging(self, settings: Settings) -> None:
        settings.ENVIRONMENT = "staging"

    def test_superuser_may_read_by_access_token(self, client_for: Callable[[Any], APIClient], admin: Any, page: str) -> None:
        response = client_for(admin).get(page)

        assert (response.status_code, response["Cache-Control"]) == (200, "private, no-store")

    @pytest.mark.django_db
    def test_superuser_may_read_by_a_session_of_the_admin(self, admin: Any, page: str) -> None:
        assert log_in_to_the_admin(admin).get(page).status_code == 200

    @pytest.mark.parametrize("method", ["get", "head"])
    def test_anonymous_callers_are_refused(self, client: APIClient, page: str, method: str) -> None:
        response = getattr(client, method)(page)

        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
        assert (response["Content-Type"], response["Cache-Control"]) == ("application/json", "private, no-store")

    def test_401_says_whether_there_was_a_token(self, client: APIClient, db: None, page: str) -> None:
        assert said(client.get(page)) == (401, "Not authenticated")
        assert said(client.get(page, headers={"Authorization": "Bearer nonsense"})) == (401, "User not authenticated.")

    def test_other_users_are_refused_by_access_token(self, client_for: Callable[[Any], APIClient], alice: Any, page: str) -> None:
        assert said(client_for(alice).get(page)) == (403, PRIVILEGES)

    def test_other_users_are_refused_by_session(self, alice: Any, page: str) -> None:
        assert said(log_in_to_the_admin(alice).get(page)) == (403, PRIVILEGES)

    def test_deleted_superuser_is_refused_by_session(self, admin: Any, page: str) -> None:
        client = log_in_to_the_admin(admin)
        type(admin).objects.filter(pk=admin.pk).update(is_active=False)

        assert client.get(page).status_code == 401

    def test_other_methods_are_refused_before_anybody_is_asked(self, client: APIClient, page: str) -> None:
        assert said(client.post(page)) == (405, "Method not allowed.")

    def test_options_is_answered(self, client: APIClient, page: str) -> None:
        assert client.options(page).status_code == 204


@every_page
class TestInProduction:
    @pytest.fixture(autouse=True)
    def in_production(self, settings: Settings) -> None:
        settings.ENVIRONMENT = "production"

    @pytest.mark.parametrize("method", ["get", "head", "post", "delete", "options"])
    def test_nobody_finds_it_by_any_method(self, client: APIClient, page: str, method: str) -> None:
        response = getattr(client, method)(page)

        assert (response.status_code, response["Content-Type"]) == (404, "application/json")

    def test_superuser_does_not_find_it_either(self, client_for: Callable[[Any], APIClient], admin: Any, page: str) -> None:
        assert said(client_for(admin).get(page)) == (404, "Not found.")

    def test_it_reads_as_any_unknown_path(self, client: APIClient, page: str) -> None:
        response, unknown = client.get(page), client.get("/nowhere")

        assert response.content == unknown.content
        assert set(response.headers) == set(unknown.headers)


@pytest.mark.parametrize("accept", ["application/json", "application/yaml", "text/html", "*/*", "nonsense"])
def test_description_is_json_whatever_accept_says(client: APIClient, accept: str) -> None:
    response = client.get("/openapi.json", headers={"Accept": accept})

    assert response["Content-Type"] == "application/json"
    assert response.json()["openapi"] == "3.1.0"


@every_html_page
def test_page_names_no_other_host(client: APIClient, page: str) -> None:
    assert FOREIGN.findall(client.get(page).content.decode()) == []


@every_html_page
def test_browsers_are_told_to_refuse_other_hosts(client: APIClient, page: str) -> None:
    policy = client.get(page)["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; ")
    assert FOREIGN.findall(policy) == []
    assert "script-src 'self';" in policy


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_files_of_the_page_are_there(client: APIClient, page: str) -> None:
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', client.get(page).content.decode())

    assert files
    assert [file for file in files if finders.find(file) is None] == []


def test_swagger_asks_no_validator(client: APIClient) -> None:
    assert '"validatorUrl": null' in client.get("/docs?script=").content.decode()
