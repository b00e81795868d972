"""
What superusers do to users over HTTP: remove the row, read limits, set the tier.
"""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from common.tests.answers import refused
from conftest import make_user
from posts.models import Post
from tasks.models import Task
from tiers.models import RateLimit

from .factories import API, make_post, make_task

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]


class TestRemove:
    def test_row_goes_with_posts_and_tasks(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        make_post(alice)
        make_task(alice)

        response = client_for(admin).delete(f"{API}/db_user/alice")

        assert (response.status_code, response.json()) == (200, {"message": "User deleted from the database"})
        assert (User.objects.count(), Post.objects.count(), Task.objects.count()) == (1, 0, 0)

    def test_what_others_made_stays(self, client_for: ClientFor, admin: Any, alice: Any, bob: Any) -> None:
        make_post(bob)
        make_task(bob)
        make_task()

        client_for(admin).delete(f"{API}/db_user/alice")

        assert (Post.objects.count(), Task.objects.count()) == (1, 2)

    def test_deleted_user_is_removed_too(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        alice.soft_delete()

        assert client_for(admin).delete(f"{API}/db_user/alice").status_code == 200
        assert not User.objects.filter(username="alice").exists()

    @pytest.mark.parametrize("name", ["nobody", "al%00ice"])
    def test_nobody_is_404(self, client_for: ClientFor, admin: Any, name: str) -> None:
        response = client_for(admin).delete(f"{API}/db_user/{name}")

        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})

    def test_last_superuser_is_409(self, client_for: ClientFor, admin: Any) -> None:
        response = client_for(admin).delete(f"{API}/db_user/admin")

        assert response.status_code == 409
        assert response.json() == {"detail": "The last active superuser cannot be deleted, deactivated or demoted."}

    def test_inactive_superuser_beside_them_does_not_count(self, client_for: ClientFor, admin: Any) -> None:
        make_user("root", is_superuser=True, is_active=False)

        assert client_for(admin).delete(f"{API}/db_user/admin").status_code == 409

    def test_inactive_superuser_may_go(self, client_for: ClientFor, admin: Any) -> None:
        make_user("root", is_superuser=True, is_active=False)

        assert client_for(admin).delete(f"{API}/db_user/root").status_code == 200


class TestRateLimits:
    URL = f"{API}/user/alice/rate_limits"

    def test_user_without_a_tier_has_none(self, client_for: ClientFor, admin: Any, alice: Any) -> None:
        response = client_for(admin).get(self.URL).json()

        assert (response["username"], response["email"], response["tier_rate_limits"]) == ("alice", "alice@example.com", [])

    def test_limits_of_the_tier_are_listed(self, client_for: ClientFor, admin: Any, alice: Any, free: Any, pro: Any) -> None:
        limit = RateLimit.objects.create(tier=free, path="api_v1_tasks_task", limit=5, period=60)
        RateLimit.objects.create(tier=pro, path="api_v1_tasks_task", limit=50, period=60)
        User.objects.filter(pk=alice.pk).update(tier=free)

        (shown,) = client_for(admin).get(self.URL).json()["tier_rate_limits"]

        assert shown == {
            "id": limit.pk,
            "tier_id": free.pk,
            "name": "api_v1_tasks_task:5:60",
            "path": "api_v1_tasks_task",
            "limit": 5,
            "period": 60,
            "created_at": limit.created_at.isoformat().replace("+00:00", "Z"),
            "updated_at": limit.updated_at.isoformat().replace("+00:00", "Z"),
        }

    def test_nobody_is_404(self, client_for: ClientFor, admin: Any) -> None:
        response = client_for(admin).get(f"{API}/user/nobody/rate_limits")

        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})


class TestReadTier:
    def test_anyone_reads_user_and_tier(self, client: APIClient, alice: Any, free: Any) -> None:
        User.objects.filter(pk=alice.pk).update(tier=free)

        response = client.get(f"{API}/user/alice/tier")

        assert response.status_code == 200
        assert response.json() == {
            "id": alice.pk,
            "name": "Alice",
            "username": "alice",
            "email": None,
            "profile_image_url": "https://profileimageurl.com",
            "tier_id": free.pk,
            "tier_name": "free",
            "tier_created_at": free.created_at.isoformat().replace("+00:00", "Z"),
        }

    def test_user_reads_their_own_email_there(self, client_for: ClientFor, alice: Any, free: Any) -> None:
        User.objects.filter(pk=alice.pk).update(tier=free)

        assert client_for(alice).get(f"{API}/user/alice/tier").json()["email"] == "alice@example.com"

    @pytest.mark.parametrize(("name", "detail"), [("alice", "Tier not found"), ("nobody", "User not found")])
    def test_no_tier_and_no_user_are_404(self, client: APIClient, alice: Any, name: str, detail: str) -> None:
        response = client.get(f"{API}/user/{name}/tier")

        assert (response.status_code, response.json()) == (404, {"detail": detail})


class TestSetTier:
    URL = f"{API}/user/alice/tier"

    @pytest.mark.parametrize("written_as", [int, str, float])
    def test_tier_is_set(self, client_for: ClientFor, admin: Any, alice: Any, free: Any, written_as: Callable[[int], Any]) -> None:
        response = client_for(admin).patch(self.URL, {"tier_id": written_as(free.pk)})

        alice.refresh_from_db()
        assert (response.status_code, response.json()) == (200, {"message": "User Alice Tier updated"})
        assert alice.tier == free

    def test_null_takes_the_tier_away(self, client_for: ClientFor, admin: Any, alice: Any, free: Any) -> None:
        User.objects.filter(pk=alice.pk).update(tier=free)

        response = client_for(admin).patch(self.URL, {"tier_id": None})

        alice.refresh_from_db()
        assert (response.status_code, alice.tier) == (200, None)

    def test_empty_object_changes_nothing(self, client_for: ClientFor, admin: Any, alice: Any, free: Any) -> None:
        User.objects.filter(pk=alice.pk).update(tier=free)

        response = client_for(admin).patch(self.URL, {})

        alice.refresh_from_db()
        assert (response.status_code, alice.tier) == (200, free)

    @pytest.mark.parametrize("tier_id", [0, -1, 2**31 - 1])
    def test_unknown_tier_is_404(self, client_for: ClientFor, admin: Any, alice: Any, tier_id: int) -> None:
        response = client_for(admin).patch(self.URL, {"tier_id": tier_id})

        assert (response.status_code, response.json()) == (404, {"detail": "Tier not found"})

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (True, "int_type"),
            (1.5, "int_type"),
            ([1], "int_type"),
            ("1_0", "int_parsing"),
            ("", "int_parsing"),
            (2**31, "less_than_equal"),
            (2**63, "less_than_equal"),
            (10**400, "less_than_equal"),
            (-(2**31) - 1, "greater_than_equal"),
            ("9" * 5000, "less_than_equal"),
        ],
    )
    def test_bad_id_is_422_and_no_500(self, client_for: ClientFor, admin: Any, alice: Any, value: Any, kind: str) -> None:
        response = client_for(admin).patch(self.URL, {"tier_id": value})

        assert refused(response) == [(kind, ["body", "tier_id"])]

    def test_unknown_field_is_refused(self, client_for: ClientFor, admin: Any, alice: Any, free: Any) -> None:
        response = client_for(admin).patch(self.URL, {"tier_id": free.pk, "tier": 1})

        assert [error["type"] for error in response.json()["detail"]] == ["extra_forbidden"]

    def test_user_is_asked_before_the_body(self, client_for: ClientFor, admin: Any) -> None:
        response = client_for(admin).patch(f"{API}/user/nobody/tier", "{", content_type="application/json")

        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})
