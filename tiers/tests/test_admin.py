from typing import Any

import pytest
from django.test import Client

from ..models import RateLimit, Tier, route_choices
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db

TIERS = "/admin/tiers/tier/"


@pytest.fixture
def site(admin: Any) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def form(name: str = "free", *limits: dict[str, Any], initial: int = 0) -> dict[str, Any]:
    data = {"name": name, "rate_limits-TOTAL_FORMS": len(limits), "rate_limits-INITIAL_FORMS": initial}
    for number, limit in enumerate(limits):
        data |= {f"rate_limits-{number}-{field}": value for field, value in limit.items()}
    return data


def test_a_tier_is_added_together_with_its_limits(site: Client) -> None:
    limit = {"path": "api_v1_tasks_task", "limit": 5, "period": 60, "name": ""}

    response = site.post(f"{TIERS}add/", form("gold", limit))

    assert response.status_code == 302
    assert RateLimit.objects.values_list("tier__name", "path", "limit", "period", "name").get() == (
        "gold",
        "api_v1_tasks_task",
        5,
        60,
        "api_v1_tasks_task:5:60",
    )


def test_a_limit_is_changed_in_its_tier(site: Client, free: Tier) -> None:
    limit = make_rate_limit(free)
    row = {"id": limit.pk, "tier": free.pk, "path": limit.path, "limit": 9, "period": 60, "name": limit.name}

    site.post(f"{TIERS}{free.pk}/change/", form("free", row, initial=1))

    assert RateLimit.objects.values_list("limit", "name").get() == (9, "api_v1_tasks_task:9:60")


def test_the_path_is_chosen_among_the_routes(site: Client) -> None:
    page = site.get(f"{TIERS}add/").content.decode()

    assert all(f'<option value="{path}"' in page for path, _ in route_choices())


@pytest.mark.parametrize(
    ("field", "value"),
    [("path", "api_v1_nothing"), ("limit", -1), ("limit", 2_147_483_648), ("period", 0), ("period", 31_536_001), ("limit", "")],
)
def test_what_the_api_refuses_the_form_refuses_too(site: Client, field: str, value: Any) -> None:
    limit = {"path": "api_v1_tasks_task", "limit": 5, "period": 60, "name": "", field: value}

    response = site.post(f"{TIERS}add/", form("gold", limit))

    formset = response.context["inline_admin_formsets"][0].formset
    assert list(formset.forms[0].errors) == [field]
    assert not Tier.objects.exists()


def test_a_second_limit_for_a_path_is_refused_on_the_page(site: Client, free: Tier) -> None:
    limit = make_rate_limit(free)
    kept = {"id": limit.pk, "tier": free.pk, "path": limit.path, "limit": 2, "period": 60, "name": limit.name}
    second = {"path": limit.path, "limit": 5, "period": 60, "name": "second", "tier": free.pk}

    response = site.post(f"{TIERS}{free.pk}/change/", form("free", kept, second, initial=1))

    assert response.status_code == 200
    assert RateLimit.objects.count() == 1


def test_two_new_limits_for_one_path_are_refused_on_the_page(site: Client) -> None:
    limit = {"path": "api_v1_tasks_task", "limit": 5, "period": 60, "name": ""}

    response = site.post(f"{TIERS}add/", form("gold", limit, limit))

    assert response.status_code == 200
    assert not Tier.objects.exists()


def test_a_taken_name_is_refused_on_the_page(site: Client, free: Tier) -> None:
    response = site.post(f"{TIERS}add/", form("free"))

    assert "Tier Name not available" in response.content.decode()


@pytest.mark.parametrize("how", ["on its page", "in bulk"])
class TestDelete:
    def delete(self, site: Client, tier: Tier, how: str) -> str:
        path = f"{TIERS}{tier.pk}/delete/" if how == "on its page" else TIERS
        data = {"post": "yes", "action": "delete_selected", "_selected_action": [tier.pk]}
        return site.post(path, data, follow=True).content.decode()

    def test_a_tier_goes_with_its_limits(self, site: Client, free: Tier, how: str) -> None:
        make_rate_limit(free)

        assert "deleted" in self.delete(site, free, how)
        assert not RateLimit.objects.exists()

    def test_a_tier_with_users_is_refused_with_a_message(self, site: Client, free: Tier, alice: Any, how: str) -> None:
        alice.tier = free
        alice.save()

        page = self.delete(site, free, how)

        assert "protected" in page
        assert "alice" in page
        assert Tier.objects.exists()
