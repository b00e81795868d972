from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import refused

from .factories import API, shown

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]


class TestList:
    URL = f"{API}/users"

    def test_users_are_listed_oldest_first(self, client: APIClient, bob: Any, alice: Any) -> None:
        response = client.get(self.URL)

        assert response.status_code == 200
        assert response.json() == {
            "data": [shown(bob), shown(alice)],
            "total_count": 2,
            "has_more": False,
            "page": 1,
            "items_per_page": 10,
        }

    def test_deleted_users_are_left_out(self, client: APIClient, alice: Any, bob: Any) -> None:
        alice.soft_delete()

        response = client.get(self.URL).json()

        assert (response["total_count"], [user["username"] for user in response["data"]]) == (1, ["bob"])

    def test_anonymous_reader_sees_no_email(self, client: APIClient, alice: Any, bob: Any) -> None:
        assert {user["email"] for user in client.get(self.URL).json()["data"]} == {None}

    def test_user_sees_their_own_email_only(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        response = client_for(alice).get(self.URL)

        assert [user["email"] for user in response.json()["data"]] == ["alice@example.com", None]

    def test_superuser_sees_every_email(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        response = client_for(admin).get(self.URL)

        assert [user["email"] for user in response.json()["data"]] == ["admin@example.com", "alice@example.com"]

    def test_change_does_not_move_a_user_between_pages(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        client_for(alice).patch(f"{API}/user/alice", {"name": "Zoe"})

        assert [user["username"] for user in APIClient().get(self.URL).json()["data"]] == ["alice", "bob"]

    def test_page_and_size_are_chosen_by_the_query(self, client: APIClient, alice: Any, bob: Any, admin: Any) -> None:
        response = client.get(f"{self.URL}?page=2&items_per_page=2&sort=name").json()

        assert [user["username"] for user in response["data"]] == ["admin"]
        assert (response["total_count"], response["has_more"], response["page"], response["items_per_page"]) == (3, False, 2, 2)

    def test_more_pages_are_announced(self, client: APIClient, alice: Any, bob: Any) -> None:
        assert client.get(f"{self.URL}?items_per_page=1").json()["has_more"] is True

    @pytest.mark.parametrize("page", [2, 2**31, 2**63 - 1])
    def test_page_past_the_end_is_empty(self, client: APIClient, alice: Any, page: int) -> None:
        response = client.get(f"{self.URL}?page={page}&items_per_page=100").json()

        assert (response["data"], response["has_more"], response["total_count"]) == ([], False, 1)

    @pytest.mark.parametrize(
        ("query", "name", "kind"),
        [
            ("page=0", "page", "greater_than_equal"),
            ("page=-1", "page", "greater_than_equal"),
            ("page=x", "page", "int_parsing"),
            ("page=1_0", "page", "int_parsing"),
            ("page=%D9%A3", "page", "int_parsing"),
            ("page=1&page=0", "page", "greater_than_equal"),
            (f"page={2**63}", "page", "less_than_equal"),
            ("items_per_page=0", "items_per_page", "greater_than_equal"),
            ("items_per_page=-1", "items_per_page", "greater_than_equal"),
            ("items_per_page=101", "items_per_page", "less_than_equal"),
            (f"items_per_page={'9' * 5000}", "items_per_page", "less_than_equal"),
            ("page=1&cursor=", "cursor", "value_error"),
            ("cursor=x", "cursor", "value_error"),
            ("cursor=%00", "cursor", "value_error"),
        ],
    )
    def test_bad_page_is_422_and_no_500(self, client: APIClient, query: str, name: str, kind: str) -> None:
        response = client.get(f"{self.URL}?{query}")

        assert refused(response) == [(kind, ["query", name])]

    def test_cursor_pages_without_counting(self, client: APIClient, alice: Any, bob: Any, admin: Any) -> None:
        first = client.get(f"{self.URL}?cursor=&items_per_page=2").json()
        second = client.get(f"{self.URL}?cursor={first['next_cursor']}&items_per_page=2").json()

        assert [user["username"] for user in first["data"] + second["data"]] == ["alice", "bob", "admin"]
        assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
        assert first.keys() == {"data", "next_cursor", "has_more", "items_per_page"}
