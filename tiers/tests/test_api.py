import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import refused, said
from conftest import make_user

from ..models import RateLimit, Tier
from .factories import make_rate_limit, make_tier

pytestmark = pytest.mark.django_db


@pytest.fixture
def superuser(client_for: Callable[[Any], APIClient], admin: Any) -> APIClient:
    return client_for(admin)


class TestCreate:
    @pytest.mark.parametrize("name", ["a", "n" * 64, "Gold plan", "ünï 🥇", " ", "a.b?c#d%"])
    def test_the_new_tier_is_shown(self, superuser: APIClient, name: str) -> None:
        response = superuser.post("/api/v1/tier", {"name": name})

        tier = Tier.objects.get()
        assert response.status_code == 201
        assert response.json() == {"id": tier.pk, "name": name, "created_at": response.json()["created_at"]}
        assert response.json()["created_at"].endswith("Z")

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("", "string_too_short"),
            ("n" * 65, "string_too_long"),
            ("a/b", "string_pattern_mismatch"),
            ("a\n/", "string_pattern_mismatch"),
            (5, "string_type"),
            (None, "string_type"),
            ("a\x00", "value_error"),
            ("\ud83d", "value_error"),
        ],
    )
    def test_bad_names_are_refused(self, superuser: APIClient, name: Any, error: str) -> None:
        response = superuser.post("/api/v1/tier", json.dumps({"name": name}), content_type="application/json")

        assert refused(response) == [(error, ["body", "name"])]

    def test_a_name_is_required(self, superuser: APIClient) -> None:
        assert refused(superuser.post("/api/v1/tier", {})) == [("missing", ["body", "name"])]

    def test_unknown_fields_are_refused(self, superuser: APIClient) -> None:
        response = superuser.post("/api/v1/tier", {"name": "gold", "id": 5})

        assert refused(response) == [("extra_forbidden", ["body", "id"])]

    def test_a_taken_name_is_not_available(self, superuser: APIClient, free: Tier) -> None:
        assert said(superuser.post("/api/v1/tier", {"name": "free"})) == (422, "Tier Name not available")

    def test_names_differ_by_case(self, superuser: APIClient, free: Tier) -> None:
        assert superuser.post("/api/v1/tier", {"name": "Free"}).status_code == 201


class TestRead:
    def test_tiers_come_oldest_first(self, client: APIClient, pro: Tier, free: Tier) -> None:
        body = client.get("/api/v1/tiers").json()

        assert [row["name"] for row in body.pop("data")] == ["pro", "free"]
        assert body == {"total_count": 2, "has_more": False, "page": 1, "items_per_page": 10}

    def test_a_tier_reads_as_in_the_list(self, client: APIClient, free: Tier) -> None:
        row = client.get("/api/v1/tiers").json()["data"][0]

        assert client.get("/api/v1/tier/free").json() == row
        assert list(row) == ["id", "name", "created_at"]

    @pytest.mark.parametrize(("name", "path"), [("Gold plan", "Gold%20plan"), ("ü?", "%C3%BC%3F"), ("100%", "100%25")])
    def test_a_name_is_escaped_in_the_path(self, client: APIClient, name: str, path: str) -> None:
        make_tier(name)

        assert client.get(f"/api/v1/tier/{path}").json()["name"] == name

    @pytest.mark.parametrize("name", ["nothing", "Free", "a%00b", "%ED%A0%80", "free%20"])
    def test_an_unknown_tier_is_not_found(self, client: APIClient, free: Tier, name: str) -> None:
        assert said(client.get(f"/api/v1/tier/{name}")) == (404, "Tier not found")


class TestUpdate:
    def test_the_name_changes(self, superuser: APIClient, free: Tier) -> None:
        assert said(superuser.patch("/api/v1/tier/free", {"name": "basic"})) == (200, "Tier updated")
        assert Tier.objects.get().name == "basic"

    @pytest.mark.parametrize("body", [{}, {"name": "free"}])
    def test_the_same_name_and_none_succeed(self, superuser: APIClient, free: Tier, body: dict[str, str]) -> None:
        assert said(superuser.patch("/api/v1/tier/free", body)) == (200, "Tier updated")

    def test_a_taken_name_is_not_available(self, superuser: APIClient, free: Tier, pro: Tier) -> None:
        assert said(superuser.patch("/api/v1/tier/free", {"name": "pro"})) == (422, "Tier Name not available")

    def test_null_is_refused(self, superuser: APIClient, free: Tier) -> None:
        assert refused(superuser.patch("/api/v1/tier/free", {"name": None})) == [("string_type", ["body", "name"])]

    def test_an_unknown_tier_is_not_found(self, superuser: APIClient) -> None:
        assert said(superuser.patch("/api/v1/tier/nothing", {"name": "basic"})) == (404, "Tier not found")


class TestDelete:
    def test_the_rate_limits_go_with_it(self, superuser: APIClient, free: Tier) -> None:
        make_rate_limit(free)

        assert said(superuser.delete("/api/v1/tier/free")) == (200, "Tier deleted")
        assert not Tier.objects.exists()
        assert not RateLimit.objects.exists()

    @pytest.mark.parametrize(("users", "sentence"), [(1, "1 user is"), (2, "2 users are")])
    def test_a_tier_with_users_stays_and_says_how_many(self, superuser: APIClient, free: Tier, users: int, sentence: str) -> None:
        for number in range(users):
            make_user(f"user{number}", tier=free)

        assert said(superuser.delete("/api/v1/tier/free")) == (409, f"Tier cannot be deleted: {sentence} in it.")
        assert Tier.objects.exists()

    def test_an_unknown_tier_is_not_found(self, superuser: APIClient) -> None:
        assert said(superuser.delete("/api/v1/tier/nothing")) == (404, "Tier not found")
