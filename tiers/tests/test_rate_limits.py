import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import refused, said

from ..models import RateLimit, Tier
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db

LIMITS = "/api/v1/tier/free/rate_limits"
NEW = {"path": "api/v1/tasks/task", "limit": 5, "period": 60}


@pytest.fixture
def superuser(client_for: Callable[[Any], APIClient], admin: Any) -> APIClient:
    return client_for(admin)


def url(limit: RateLimit, tier: str = "free") -> str:
    return f"/api/v1/tier/{tier}/rate_limit/{limit.pk}"


@pytest.mark.usefixtures("free")
class TestCreate:
    def test_the_new_limit_is_shown(self, superuser: APIClient, free: Tier) -> None:
        response = superuser.post("/api/v1/tier/free/rate_limit", {**NEW, "name": "tasks"})

        assert response.status_code == 201
        assert response.json() == {
            "id": RateLimit.objects.get().pk,
            "tier_id": free.pk,
            "name": "tasks",
            "path": "api_v1_tasks_task",
            "limit": 5,
            "period": 60,
        }

    @pytest.mark.parametrize("body", [NEW, {**NEW, "name": None}, {**NEW, "name": ""}], ids=["missing", "null", "empty"])
    def test_a_name_is_made_where_none_is_given(self, superuser: APIClient, body: dict[str, Any]) -> None:
        response = superuser.post("/api/v1/tier/free/rate_limit", body)

        assert response.json()["name"] == "api_v1_tasks_task:5:60"

    @pytest.mark.parametrize(
        ("path", "stored"),
        [
            ("api/v1/tasks/task", "api_v1_tasks_task"),
            ("/api/v1/tasks/task/", "api_v1_tasks_task"),
            ("api_v1_tasks_task", "api_v1_tasks_task"),
            ("api/v1/user/{username}", "api_v1_user_{username}"),
            ("/api/v1/user/{name}", "api_v1_user_{username}"),
            ("api_v1_user_{username}", "api_v1_user_{username}"),
            ("api/v1/user/me/", "api_v1_user_me"),
            ("api/v1/{username}/post/{id}", "api_v1_{username}_post_{id}"),
            ("api/v1/tier/{tier_name}/rate_limit/{id}", "api_v1_tier_{tier_name}_rate_limit_{id}"),
        ],
    )
    def test_a_path_is_stored_in_one_form(self, superuser: APIClient, path: str, stored: str) -> None:
        response = superuser.post("/api/v1/tier/free/rate_limit", {**NEW, "path": path})

        assert (response.status_code, response.json()["path"]) == (201, stored)

    @pytest.mark.parametrize(
        ("path", "nearest"),
        [
            ("api/v1/tasks/tsk", "api_v1_tasks_task"),
            ("api/v1/user/{username}/tiers", "api_v1_user_{username}_tier"),
            ("tiers", "api_v1_tiers"),
            ("/", ""),
            ("api/v1/{}", ""),
            ("health", ""),
        ],
    )
    def test_a_path_that_is_no_route_is_refused_and_names_the_nearest(self, superuser: APIClient, path: str, nearest: str) -> None:
        response = superuser.post("/api/v1/tier/free/rate_limit", {**NEW, "path": path})

        assert refused(response) == [("value_error", ["body", "path"])]
        assert f"the nearest is {nearest}" in response.json()["detail"][0]["msg"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("limit", 0),
            ("limit", 2_147_483_647),
            ("limit", "5"),
            ("limit", 5.0),
            ("period", 1),
            ("period", 31_536_000),
            ("name", "n" * 255),
        ],
    )
    def test_good_values_are_taken(self, superuser: APIClient, name: str, value: Any) -> None:
        response = superuser.post("/api/v1/tier/free/rate_limit", {**NEW, name: value})

        assert response.status_code == 201
        assert response.json()[name] == type(response.json()[name])(value)

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("limit", -1, "greater_than_equal"),
            ("limit", 2_147_483_648, "less_than_equal"),
            ("limit", 2**64, "less_than_equal"),
            ("limit", "9" * 4000, "less_than_equal"),
            ("limit", True, "int_type"),
            ("limit", 1.5, "int_type"),
            ("limit", None, "int_type"),
            ("limit", [], "int_type"),
            ("limit", "1_0", "int_parsing"),
            ("limit", "1.5", "int_parsing"),
            ("limit", "", "int_parsing"),
            ("limit", "٣", "int_parsing"),
            ("period", 0, "greater_than_equal"),
            ("period", -60, "greater_than_equal"),
            ("period", 31_536_001, "less_than_equal"),
            ("period", "a minute", "int_parsing"),
            ("path", 5, "string_type"),
            ("path", None, "string_type"),
            ("path", "", "string_too_short"),
            ("path", "api/v1/tasks/task\x00", "value_error"),
            ("path", "\ud800", "value_error"),
            ("path", "p" * 201, "string_too_long"),
            ("name", 5, "string_type"),
            ("name", "n" * 256, "string_too_long"),
            ("name", "\x00", "value_error"),
            ("tier_id", 1, "extra_forbidden"),
        ],
    )
    def test_bad_values_are_refused_where_they_are(self, superuser: APIClient, name: str, value: Any, error: str) -> None:
        body = json.dumps({**NEW, name: value})

        response = superuser.post("/api/v1/tier/free/rate_limit", body, content_type="application/json")

        assert refused(response) == [(error, ["body", name])]

    def test_all_missing_fields_are_named_at_once(self, superuser: APIClient) -> None:
        response = superuser.post("/api/v1/tier/free/rate_limit", {})

        assert refused(response) == [("missing", ["body", name]) for name in ("path", "limit", "period")]

    def test_a_taken_name_is_not_available(self, superuser: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", name="taken")

        response = superuser.post("/api/v1/tier/free/rate_limit", {**NEW, "name": "taken"})

        assert said(response) == (422, "Rate Limit Name not available")

    def test_one_tier_has_one_limit_for_a_path(self, superuser: APIClient, free: Tier) -> None:
        make_rate_limit(free, name="first")

        response = superuser.post("/api/v1/tier/free/rate_limit", {**NEW, "path": "/api/v1/tasks/task/"})

        assert said(response) == (422, "There is already a rate limit for this path")

    def test_another_tier_may_have_the_same_name_and_path(self, superuser: APIClient, free: Tier, pro: Tier) -> None:
        make_rate_limit(free, name="tasks")

        assert superuser.post("/api/v1/tier/pro/rate_limit", {**NEW, "name": "tasks"}).status_code == 201

    def test_an_unknown_tier_is_not_found(self, superuser: APIClient) -> None:
        assert said(superuser.post("/api/v1/tier/nothing/rate_limit", NEW)) == (404, "Tier not found")


class TestRead:
    def test_the_limits_of_that_tier_come_oldest_first(self, client: APIClient, free: Tier, pro: Tier) -> None:
        limits = [make_rate_limit(free, path=path) for path in ("api/v1/users", "api/v1/tiers")]
        make_rate_limit(pro)

        body = client.get(LIMITS).json()

        assert [row["id"] for row in body["data"]] == [limit.pk for limit in limits]
        assert body["total_count"] == 2

    def test_one_reads_as_in_the_list(self, client: APIClient, free: Tier) -> None:
        limit = make_rate_limit(free)

        assert client.get(url(limit)).json() == client.get(LIMITS).json()["data"][0]

    def test_a_limit_of_another_tier_is_not_found(self, client: APIClient, free: Tier, pro: Tier) -> None:
        assert said(client.get(url(make_rate_limit(pro)))) == (404, "Rate Limit not found")

    @pytest.mark.parametrize("path", ["rate_limits", "rate_limit/1"])
    def test_the_tier_is_looked_for_first(self, client: APIClient, path: str) -> None:
        assert said(client.get(f"/api/v1/tier/nothing/{path}")) == (404, "Tier not found")

    @pytest.mark.parametrize("number", ["0", str(2**31), str(2**64), "9" * 5000])
    def test_a_number_that_no_limit_has_is_not_found(self, client: APIClient, free: Tier, number: str) -> None:
        assert said(client.get(f"/api/v1/tier/free/rate_limit/{number}")) == (404, "Rate Limit not found")

    def test_what_is_no_number_is_refused(self, client: APIClient, free: Tier) -> None:
        assert refused(client.get("/api/v1/tier/free/rate_limit/first")) == [("int_parsing", ["path", "id"])]


class TestUpdate:
    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"limit": 9}, "api_v1_tasks_task:9:60"),
            ({"period": 9}, "api_v1_tasks_task:5:9"),
            ({"path": "api_v1_users"}, "api_v1_users:5:60"),
            ({"name": "mine"}, "mine"),
        ],
    )
    def test_a_made_name_follows_the_values(self, superuser: APIClient, free: Tier, change: dict[str, Any], name: str) -> None:
        limit = make_rate_limit(free, limit=5, period=60)

        assert said(superuser.patch(url(limit), change)) == (200, "Rate Limit updated")
        expected = {"path": "api_v1_tasks_task", "limit": 5, "period": 60, **change, "name": name}
        assert RateLimit.objects.values(*expected).get() == expected

    def test_a_given_name_stays(self, superuser: APIClient, free: Tier) -> None:
        limit = make_rate_limit(free, name="mine")

        superuser.patch(url(limit), {"limit": 9})

        assert RateLimit.objects.get().name == "mine"

    def test_an_empty_object_changes_nothing(self, superuser: APIClient, free: Tier) -> None:
        limit = make_rate_limit(free)

        assert said(superuser.patch(url(limit), {})) == (200, "Rate Limit updated")
        assert RateLimit.objects.get().updated_at == limit.updated_at

    def test_a_path_that_has_a_limit_is_refused(self, superuser: APIClient, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users")
        limit = make_rate_limit(free)

        response = superuser.patch(url(limit), {"path": "api/v1/users"})

        assert said(response) == (422, "There is already a rate limit for this path")

    @pytest.mark.parametrize("name", ["path", "limit", "period"])
    def test_null_is_refused(self, superuser: APIClient, free: Tier, name: str) -> None:
        response = superuser.patch(url(make_rate_limit(free)), {name: None})

        assert refused(response)[0][1] == ["body", name]


class TestDelete:
    def test_the_limit_is_removed(self, superuser: APIClient, free: Tier) -> None:
        limit = make_rate_limit(free)

        assert said(superuser.delete(url(limit))) == (200, "Rate Limit deleted")
        assert not RateLimit.objects.exists()

    @pytest.mark.parametrize("method", ["patch", "delete"])
    def test_an_unknown_limit_is_not_found(self, superuser: APIClient, free: Tier, method: str) -> None:
        response = getattr(superuser, method)("/api/v1/tier/free/rate_limit/999", {})

        assert said(response) == (404, "Rate Limit not found")
