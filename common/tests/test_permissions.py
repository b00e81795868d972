from types import SimpleNamespace
from typing import Any

import pytest

from accounts.tests.factories import make_session
from common.permissions import IsOwner
from posts.tests.factories import make_post

pytestmark = pytest.mark.django_db


def may(user: Any, row: Any) -> bool:
    request: Any = SimpleNamespace(user=user)
    return IsOwner().has_object_permission(request, SimpleNamespace(), row)  # type: ignore[arg-type]


def test_the_owner_is_the_user_of_a_model_that_names_nobody_else(alice: Any, bob: Any) -> None:
    session = make_session(alice)

    assert not hasattr(session, "owner_field")
    assert may(alice, session)
    assert not may(bob, session)


def test_the_owner_is_whom_the_model_names(alice: Any, bob: Any) -> None:
    post = make_post(alice)

    assert post.owner_field == "author"
    assert may(alice, post)
    assert not may(bob, post)


def test_users_own_themselves(alice: Any, bob: Any) -> None:
    assert may(alice, alice)
    assert not may(bob, alice)
