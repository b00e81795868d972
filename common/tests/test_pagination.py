import base64
from typing import Any

import pytest
from django.core import signing
from rest_framework.test import APIClient

from common.tests.answers import refused
from tiers.models import Tier
from tiers.tests.factories import make_tier

pytestmark = pytest.mark.django_db

TIERS = "/api/v1/tiers"


@pytest.fixture
def tiers(db: None) -> list[str]:
    return [make_tier(f"tier {number:02}").name for number in range(25)]


def names(response: Any) -> list[str]:
    return [row["name"] for row in response.json()["data"]]


class TestPages:
    @pytest.mark.parametrize(
        ("query", "first", "last", "has_more", "page", "size"),
        [
            ("", 0, 10, True, 1, 10),
            ("?page=2", 10, 20, True, 2, 10),
            ("?page=3", 20, 25, False, 3, 10),
            ("?page=5&items_per_page=5", 20, 25, False, 5, 5),
            ("?page=4&items_per_page=5", 15, 20, True, 4, 5),
            ("?items_per_page=100", 0, 25, False, 1, 100),
            ("?items_per_page=25", 0, 25, False, 1, 25),
            ("?items_per_page=24", 0, 24, True, 1, 24),
            ("?page=4", 25, 25, False, 4, 10),
            ("?page=%2B2", 10, 20, True, 2, 10),
            ("?page=2&page=1", 0, 10, True, 1, 10),
            ("?unknown=x&page_size=3", 0, 10, True, 1, 10),
            (f"?page={2**63 - 1}&items_per_page=100", 25, 25, False, 2**63 - 1, 100),
        ],
    )
    def test_a_page_holds_its_part(
        self, client: APIClient, tiers: list[str], query: str, first: int, last: int, has_more: bool, page: int, size: int
    ) -> None:
        response = client.get(f"{TIERS}{query}")

        assert names(response) == tiers[first:last]
        envelope = {name: value for name, value in response.json().items() if name != "data"}
        assert envelope == {"total_count": 25, "has_more": has_more, "page": page, "items_per_page": size}

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("page", "0", "greater_than_equal"),
            ("page", "-1", "greater_than_equal"),
            ("page", str(2**63), "less_than_equal"),
            ("page", "9" * 5000, "less_than_equal"),
            ("page", "", "int_parsing"),
            ("page", "one", "int_parsing"),
            ("page", "1.5", "int_parsing"),
            ("page", "1_0", "int_parsing"),
            ("page", "%00", "int_parsing"),
            ("page", "%ED%A0%80", "int_parsing"),
            ("page", "true", "int_parsing"),
            ("items_per_page", "0", "greater_than_equal"),
            ("items_per_page", "-1", "greater_than_equal"),
            ("items_per_page", "101", "less_than_equal"),
            ("items_per_page", "ten", "int_parsing"),
        ],
    )
    def test_bad_values_are_refused_where_they_are(self, client: APIClient, name: str, value: str, error: str) -> None:
        assert refused(client.get(f"{TIERS}?{name}={value}")) == [(error, ["query", name])]

    def test_all_broken_places_are_named_at_once(self, client: APIClient) -> None:
        response = client.get(f"{TIERS}?page=0&items_per_page=x")

        assert refused(response) == [("greater_than_equal", ["query", "page"]), ("int_parsing", ["query", "items_per_page"])]

    def test_an_empty_list_has_a_first_page(self, client: APIClient) -> None:
        body = client.get(TIERS).json()

        assert body == {"data": [], "total_count": 0, "has_more": False, "page": 1, "items_per_page": 10}

    def test_a_written_row_keeps_its_place(self, client: APIClient, tiers: list[str]) -> None:
        Tier.objects.get(name=tiers[0]).save()

        assert names(client.get(TIERS)) == tiers[:10]


class TestCursors:
    def test_they_lead_through_the_whole_list(self, client: APIClient, tiers: list[str]) -> None:
        answers = [client.get(TIERS, {"cursor": ""}).json()]
        while cursor := answers[-1]["next_cursor"]:
            answers.append(client.get(TIERS, {"cursor": cursor}).json())

        assert [row["name"] for answer in answers for row in answer["data"]] == tiers
        assert [answer["has_more"] for answer in answers] == [True, True, False]

    def test_the_answer_counts_nothing(self, client: APIClient, tiers: list[str]) -> None:
        body = client.get(f"{TIERS}?cursor=").json()

        assert list(body) == ["data", "next_cursor", "has_more", "items_per_page"]

    def test_a_full_last_page_ends_the_list(self, client: APIClient, tiers: list[str]) -> None:
        body = client.get(f"{TIERS}?cursor=&items_per_page=25").json()

        assert (len(body["data"]), body["has_more"], body["next_cursor"]) == (25, False, None)

    def test_a_row_that_goes_or_comes_moves_nothing(self, client: APIClient, tiers: list[str]) -> None:
        first = client.get(f"{TIERS}?cursor=").json()
        Tier.objects.get(name=tiers[0]).delete()
        make_tier("new")

        second = client.get(TIERS, {"cursor": first["next_cursor"]})

        assert names(second) == tiers[10:20]

    def test_an_empty_list_ends_at_once(self, client: APIClient) -> None:
        body = client.get(f"{TIERS}?cursor=").json()

        assert body == {"data": [], "next_cursor": None, "has_more": False, "items_per_page": 10}

    @pytest.mark.parametrize(
        "cursor",
        ["1", "abc", "a:b:c", ":", "%00", "%ED%A0%80", "ü", signing.dumps(5, salt="another"), base64.b64encode(b"5").decode()],
        ids=["number", "word", "parts", "colon", "nul", "surrogate", "umlaut", "another", "plain"],
    )
    def test_what_is_no_cursor_is_refused(self, client: APIClient, cursor: str) -> None:
        assert refused(client.get(f"{TIERS}?cursor={cursor}")) == [("value_error", ["query", "cursor"])]

    def test_one_that_is_too_long_is_refused(self, client: APIClient) -> None:
        assert refused(client.get(f"{TIERS}?cursor={'a' * 501}")) == [("string_too_long", ["query", "cursor"])]

    def test_one_does_not_go_together_with_a_page(self, client: APIClient) -> None:
        assert refused(client.get(f"{TIERS}?cursor=&page=1")) == [("value_error", ["query", "cursor"])]

    @pytest.mark.parametrize("size", ["0", "101"])
    def test_the_size_has_the_same_bounds(self, client: APIClient, size: str) -> None:
        assert refused(client.get(f"{TIERS}?cursor=&items_per_page={size}"))[0][1] == ["query", "items_per_page"]
