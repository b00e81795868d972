from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from common.exceptions import DuplicateValue
from common.routing import api_routes
from common.tests.answers import said
from common.tests.concurrency import at_once, overtaken_by
from conftest import make_user

from ..models import RateLimit, Tier, TierInUse, normalize_path, route_choices
from .factories import make_rate_limit, make_tier

pytestmark = pytest.mark.django_db


class TestTier:
    def test_name_is_unique(self, free: Tier) -> None:
        with pytest.raises(IntegrityError, match="tier_unique_name"):
            make_tier("free")

    @pytest.mark.parametrize("name", ["a/b", "a\x00", "n" * 65, ""])
    def test_what_the_api_refuses_forms_refuse_too(self, name: str) -> None:
        with pytest.raises(ValidationError) as caught:
            Tier(name=name).full_clean()

        assert list(caught.value.message_dict) == ["name"]

    def test_cannot_be_deleted_while_a_deleted_user_is_in_it(self, alice: Any, free: Tier) -> None:
        alice.tier = free
        alice.save()
        alice.soft_delete()

        with pytest.raises(TierInUse, match="1 user is in it"):
            free.delete()

    def test_is_called_by_its_name(self, free: Tier) -> None:
        assert str(free) == "free"


class TestRateLimit:
    def test_path_is_unique_within_a_tier(self, free: Tier) -> None:
        make_rate_limit(free, name="first")

        with pytest.raises(IntegrityError, match="ratelimit_unique_tier_path"):
            make_rate_limit(free, name="second")

    def test_same_path_may_differ_between_tiers(self, free: Tier, pro: Tier) -> None:
        make_rate_limit(free, limit=1)
        make_rate_limit(pro, limit=10)

        assert RateLimit.objects.count() == 2

    def test_name_is_unique_within_a_tier(self, free: Tier) -> None:
        make_rate_limit(free, path="api/v1/users", name="same")

        with pytest.raises(IntegrityError, match="ratelimit_unique_tier_name"):
            make_rate_limit(free, path="api/v1/tiers", name="same")

    def test_a_made_name_that_is_taken_is_told_as_the_path_that_is(self, free: Tier) -> None:
        make_rate_limit(free)

        with pytest.raises(DuplicateValue, match="already a rate limit for this path"), transaction.atomic():
            make_rate_limit(free)

    @pytest.mark.parametrize("period", [0, 31_536_001])
    def test_period_is_in_range(self, free: Tier, period: int) -> None:
        with pytest.raises(IntegrityError, match="ratelimit_period_in_range"):
            make_rate_limit(free, period=period)

    def test_is_called_by_its_name(self, free: Tier) -> None:
        assert str(make_rate_limit(free, limit=2, period=60)) == "api_v1_tasks_task:2:60"


class TestPaths:
    @pytest.mark.parametrize("path", [path for path, _ in route_choices()])
    def test_the_stored_form_of_every_route_names_that_route(self, path: str) -> None:
        assert normalize_path(path) == path

    def test_every_route_has_a_stored_form_of_its_own(self) -> None:
        assert len(route_choices()) == len(set(api_routes()))


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_of_many_equal_tiers_is_created(self, client_for: Callable[[Any], APIClient], admin: Any) -> None:
        superuser = client_for(admin)

        answers = at_once(*[lambda: superuser.post("/api/v1/tier", {"name": "gold"})] * 4)

        assert sorted(said(answer) for answer in answers if answer.status_code != 201) == [(422, "Tier Name not available")] * 3

    def test_one_of_many_equal_limits_is_created(self, client_for: Callable[[Any], APIClient], admin: Any, free: Tier) -> None:
        superuser = client_for(admin)
        body = {"path": "api/v1/users", "limit": 1, "period": 60}

        answers = at_once(*[lambda: superuser.post("/api/v1/tier/free/rate_limit", body)] * 4)

        assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
        assert RateLimit.objects.count() == 1

    def test_a_tier_that_is_just_being_deleted_takes_no_user(
        self, client_for: Callable[[Any], APIClient], admin: Any, alice: Any, free: Tier
    ) -> None:
        superuser = client_for(admin)

        with overtaken_by(lambda: Tier.objects.get(name="free").delete()) as begin:
            call = begin(lambda: superuser.patch("/api/v1/user/alice/tier", {"tier_id": free.pk}))

        assert said(call.result()) == (409, "What this refers to has just changed. Try again.")
        assert type(alice).objects.get(username="alice").tier is None

    def test_a_tier_that_is_just_being_deleted_takes_no_limit(self, client_for: Callable[[Any], APIClient], admin: Any, free: Tier) -> None:
        superuser = client_for(admin)

        with overtaken_by(lambda: Tier.objects.get(name="free").delete()) as begin:
            call = begin(lambda: superuser.post("/api/v1/tier/free/rate_limit", {"path": "api/v1/users", "limit": 1, "period": 60}))

        assert call.result().status_code == 409
        assert not RateLimit.objects.exists()

    def test_a_user_moves_while_the_tier_is_renamed_without_either_being_lost(
        self, client_for: Callable[[Any], APIClient], admin: Any, free: Tier, pro: Tier
    ) -> None:
        superuser, user = client_for(admin), make_user("carol", tier=free)

        with overtaken_by(lambda: type(user).objects.filter(pk=user.pk).update(name="Renamed")) as begin:
            call = begin(lambda: superuser.patch("/api/v1/user/carol/tier", {"tier_id": pro.pk}))

        assert call.result().status_code == 200
        assert type(user).objects.values_list("name", "tier__name").get(pk=user.pk) == ("Renamed", "pro")
