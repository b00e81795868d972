from collections.abc import Callable
from typing import Any

import pytest

from accounts.tests.factories import enter_admin

from .factories import make_task

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("term", [lambda task: task.pk.hex, lambda task: str(task.pk), lambda task: task.owner.username])
def test_a_task_is_found_by_its_id_and_by_its_owner(admin: Any, alice: Any, term: Callable[[Any], str]) -> None:
    task, other = make_task(owner=alice), make_task(owner=admin)

    page = enter_admin().get("/admin/tasks/task/", {"q": term(task)}).content.decode()

    assert str(task.pk) in page
    assert str(other.pk) not in page
