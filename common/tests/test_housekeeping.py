import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.housekeeping import remove_old
from tasks.models import Status, Task
from tasks.tests.factories import make_task

from ..housekeeping import remove
from ..models import PendingInvalidation

pytestmark = pytest.mark.django_db


def make_pending(number: int) -> None:
    for index in range(number):
        PendingInvalidation.objects.create(prefix=f"users:user{index}:*")


def test_what_is_meant_goes_and_nothing_else() -> None:
    make_pending(7)

    assert remove(PendingInvalidation.objects.exclude(prefix="users:user3:*"), batch=2) == 6
    assert PendingInvalidation.objects.get().prefix == "users:user3:*"


@pytest.mark.parametrize("rows", [0, 3, 4, 7])
def test_each_batch_costs_a_look_and_a_deletion(rows: int) -> None:
    make_pending(rows)

    with CaptureQueriesContext(connection) as captured:
        assert remove(PendingInvalidation.objects.all(), batch=3) == rows

    statements = [query["sql"].partition(" ")[0] for query in captured]
    assert statements == ["SELECT", "DELETE"] * -(-rows // 3) + ["SELECT"]


def test_tasks_are_not_looked_for_where_they_were_removed_already() -> None:
    for _ in range(5):
        make_task(status=Status.SUCCEEDED, finished_at="2000-01-01T00:00:00Z")

    with CaptureQueriesContext(connection) as captured:
        assert remove_old(batch=2) == (5, 0)

    looks = [query["sql"] for query in captured if query["sql"].startswith("SELECT") and "LIMIT 2" in query["sql"]]
    of_tasks = [look for look in looks if Task._meta.db_table in look]
    assert len(of_tasks) == 4
    assert ['"tasks_task"."id" >' in look for look in of_tasks] == [False, True, True, True]
