"""
Serializers that are compiled show what DRF shows field by field.
"""

from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.serializers import ModelSerializer

from accounts.models import Session, User
from accounts.serializers import OwnUserSerializer, SessionSerializer, UserSerializer, UserTierSerializer
from accounts.tests.factories import make_session
from common.serializers import RowSerializer
from posts.models import Post
from posts.serializers import PostSerializer
from posts.tests.factories import make_post
from tiers.models import RateLimit, Tier
from tiers.serializers import RateLimitDetailSerializer, TierSerializer
from tiers.tests.factories import make_rate_limit

CASES = [
    (UserSerializer, User, True),
    (OwnUserSerializer, User, True),
    (UserTierSerializer, User, False),
    (SessionSerializer, Session, True),
    (PostSerializer, Post, True),
    (TierSerializer, Tier, True),
    (RateLimitDetailSerializer, RateLimit, True),
]


@pytest.fixture
def context(alice: Any, free: Tier) -> dict[str, Any]:
    alice.tier = free
    alice.save()
    make_post(alice)
    make_rate_limit(tier=free, path="api/v1/tasks/task")
    return {"request": SimpleNamespace(user=alice, auth=make_session(alice))}


@pytest.mark.parametrize(("serializer_class", "model", "is_narrow"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_rows_are_shown_as_drf_shows_them(
    context: dict[str, Any], serializer_class: type[RowSerializer[Any]], model: Any, is_narrow: bool
) -> None:
    (row,) = model.objects.all()
    by_field = ModelSerializer.to_representation(serializer_class(context=context), row)

    (narrow,) = serializer_class.narrow(model.objects.all())

    assert serializer_class(row, context=context).data == by_field
    assert serializer_class(narrow, context=context).data == by_field
    assert isinstance(narrow, tuple) == is_narrow


def test_a_list_reads_only_the_columns_that_it_shows(context: dict[str, Any]) -> None:
    statement = str(UserSerializer.narrow(User.objects.all()).query)

    assert "email" in statement
    assert "password" not in statement
