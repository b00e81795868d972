"""
What every operation of the API costs, counted; one that is added later has to name its cost.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from rest_framework.test import APIClient

from accounts.models import User
from common.routing import api_patterns, readable
from common.tests.budgets import ANONYMOUS, Budget, Cost, all_budgets, of_every_app
from common.tests.openapi import description, operations
from common.tests.redis_commands import commands_by_service

pytestmark = pytest.mark.django_db(transaction=True)

BUDGETS = all_budgets()
every_budget = pytest.mark.parametrize(
    "budget", BUDGETS, ids=lambda budget: f"{budget.operation} {budget.call} by {budget.caller}{' again' if budget.is_hit else ''}"
)


def path_of(budget: Budget) -> str:
    path = budget.call.split()[1]
    return path if path.startswith("/") else f"/api/v1/{path}"


@pytest.fixture
def names(alice: Any, bob: Any, free: Any, pro: Any) -> dict[str, str]:
    """
    Make the rows that the calls are about, and return what the calls name them.
    """
    alice.tier = pro
    alice.save()
    # A process opens its connection to the broker, and declares each queue there, once.
    APIClient().post("/api/v1/tasks/task?message=hello")
    APIClient().post("/api/v1/password/forgot", {"email": bob.email})
    alice = User.objects.get(pk=alice.pk)
    return {name: text for make_rows in of_every_app("make_rows") for name, text in make_rows(alice).items()}


@pytest.fixture
def client_of(names: dict[str, str], admin: Any, client_for: Callable[[Any], APIClient]) -> Callable[[str], APIClient]:
    def client_of(caller: str) -> APIClient:
        if caller == ANONYMOUS:
            return APIClient()
        client = client_for(User.objects.get(username=caller))
        client.get("/api/v1/user/me/")
        return client

    return client_of


@every_budget
def test_a_call_costs_what_its_budget_says(client_of: Callable[[str], APIClient], names: dict[str, str], budget: Budget) -> None:
    client, method, url = client_of(budget.caller), budget.call.split()[0].lower(), path_of(budget).format(**names)
    body = (
        {name: value.format(**names) if isinstance(value, str) else value for name, value in budget.body.items()} if budget.body else None
    )
    if budget.is_hit:
        # What an anonymous caller is answered is kept.
        APIClient().get(url)

    with commands_by_service() as commands, CaptureQueriesContext(connection) as captured:
        response = getattr(client, method)(url, body)

    assert response.status_code < 300, response.content
    assert response.get("X-Cache") == "hit" or not budget.is_hit
    counted = {service: len(sent) for service, sent in commands.items()}
    assert Cost(len(captured), counted["cache"], counted["rate_limit"], counted["queue"]) == budget.cost, [
        commands,
        *(query["sql"] for query in captured),
    ]


@every_budget
def test_a_budget_is_of_the_operation_that_it_names(budget: Budget) -> None:
    path = path_of(budget).partition("?")[0].replace("{", "").replace("}", "")
    # An id and a name match alike, but for numbers.
    route = readable(resolve(path).route)

    assert description()["paths"][f"/{route}"][budget.call.split()[0].lower()]["operationId"] == budget.operation


def test_every_operation_has_a_budget() -> None:
    found = {(budget.operation, budget.caller == ANONYMOUS, budget.is_hit) for budget in BUDGETS}
    needed = set()
    for _, operation in operations():
        requirements = operation.get("security", [{}])
        needed |= {(operation["operationId"], not requirement, False) for requirement in requirements}
        # What an anonymous caller may keep, the cache keeps for all of them.
        if "304" in operation["responses"]:
            needed.add((operation["operationId"], True, True))
    # And for who is signed in too, where the answer depends on nobody.
    needed |= {(operation_id, False, True) for operation_id in operations_that_are_the_same_for_all()}

    assert needed - found == set()


def operations_that_are_the_same_for_all() -> set[str]:
    found = set()
    for route, pattern in api_patterns():
        callback: Any = pattern.callback
        action = getattr(callback, "actions", {}).get("get")
        caching = getattr(getattr(callback.cls, action), "caching", None) if action else None
        if caching and caching.same_for_all:
            found.add(description()["paths"][f"/{readable(route)}"]["get"]["operationId"])
    return found


def test_an_answer_that_is_the_same_for_all_is_told_from_others() -> None:
    assert {"listPosts", "getPost", "listTiers", "getTier"} <= operations_that_are_the_same_for_all()
    assert operations_that_are_the_same_for_all().isdisjoint({"listUsers", "getUser", "getUserTier"})
