import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.staticfiles import finders

from accounts.models import User
from accounts.tests.factories import enter_admin

from ..models import RateLimit, Tier
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db


def test_two_limits_without_a_name_are_added_at_once(admin: User, free: Tier) -> None:
    rows = {
        "rate_limits-TOTAL_FORMS": "2",
        "rate_limits-INITIAL_FORMS": "0",
        "rate_limits-0-path": "api_v1_users",
        "rate_limits-0-limit": "5",
        "rate_limits-0-period": "60",
        "rate_limits-0-name": "",
        "rate_limits-1-path": "api_v1_tiers",
        "rate_limits-1-limit": "6",
        "rate_limits-1-period": "60",
        "rate_limits-1-name": "",
    }

    enter_admin().post(f"/admin/tiers/tier/{free.pk}/change/", {"name": "free", **rows})

    assert list(RateLimit.objects.values_list("name", flat=True)) == ["api_v1_users:5:60", "api_v1_tiers:6:60"]


class TestSearch:
    """
    The choice of a route has the search box that the admin ships with.
    """

    @pytest.fixture
    def page(self, admin: User, free: Tier) -> str:
        make_rate_limit(free, path="api/v1/user/{username}")
        return enter_admin().get(f"/admin/tiers/tier/{free.pk}/change/").text

    def test_routes_are_found_as_they_are_called(self, page: str) -> None:
        assert '<option value="api_v1_user_{username}" selected>api/v1/user/{username}</option>' in page

    def test_a_new_row_has_none_chosen(self, page: str) -> None:
        assert '<option value="" selected>Choose a route</option>' in page

    def test_each_row_and_the_one_that_may_be_added_can_be_searched(self, page: str) -> None:
        names = re.findall(r'<select name="(rate_limits-\w+-path)" class="route-select"', page)

        assert names == ["rate_limits-0-path", "rate_limits-1-path", "rate_limits-__prefix__-path"]

    def test_scripts_come_once_and_select2_before_jquery_hides(self, page: str) -> None:
        scripts = re.findall(r'<script src="([^"]+)"', page)

        names = [script.rpartition("/")[2] for script in scripts]
        assert len(names) == len(set(names))
        order = [names.index(name) for name in ("jquery.min.js", "select2.full.min.js", "jquery.init.js", "route_select.js")]
        assert order == sorted(order)

    def test_nothing_is_loaded_from_another_host(self, page: str) -> None:
        files = re.findall(r'<script src="([^"]+)"', page) + re.findall(r'<link href="([^"]+)" media="screen"', page)

        assert {name.rpartition("/")[2] for name in files} >= {"route_select.js", "select2.min.css", "autocomplete.css"}
        own = [name for name in files if name.startswith("/admin/")]
        assert [name for name in files if name not in own and not finders.find(name.removeprefix("/static/"))] == []


class TestHistory:
    def change(self, tier: Tier, *rows: dict[str, object], initial: int = 0) -> str:
        data: dict[str, object] = {"name": tier.name, "rate_limits-TOTAL_FORMS": len(rows), "rate_limits-INITIAL_FORMS": initial}
        for number, row in enumerate(rows):
            data |= {f"rate_limits-{number}-{name}": value for name, value in row.items()}
        enter_admin().post(f"/admin/tiers/tier/{tier.pk}/change/", data)
        entry = LogEntry.objects.get()
        assert (entry.object_id, entry.user.username) == (str(tier.pk), "admin")
        return entry.get_change_message()

    def test_a_limit_that_is_added_stands_there(self, admin: User, free: Tier) -> None:
        message = self.change(free, {"path": "api_v1_users", "limit": 5, "period": 60})

        assert message == "Added rate limit “api_v1_users:5:60”."

    def test_a_limit_that_is_changed_stands_there(self, admin: User, free: Tier) -> None:
        limit = make_rate_limit(free, name="mine", period=60)
        row = {"id": limit.pk, "tier": free.pk, "path": limit.path, "limit": 9, "period": 60, "name": "mine"}

        assert self.change(free, row, initial=1) == "Changed Limit for rate limit “mine”."

    def test_a_limit_that_is_deleted_stands_there(self, admin: User, free: Tier) -> None:
        limit = make_rate_limit(free, name="mine")
        row = {"id": limit.pk, "tier": free.pk, "path": limit.path, "limit": 9, "period": 60, "name": "mine", "DELETE": "on"}

        assert self.change(free, row, initial=1) == "Deleted rate limit “mine”."
