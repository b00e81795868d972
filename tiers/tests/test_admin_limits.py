import pytest

from accounts.models import User
from accounts.tests.factories import enter_admin

from ..models import RateLimit, Tier

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
