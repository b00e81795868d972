"""
A page of the admin costs as many queries for thirty rows as for one.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Session, User
from accounts.tests.factories import make_session
from conftest import make_user
from posts.models import Post
from posts.tests.factories import make_post
from tasks.models import Task
from tasks.tests.factories import make_task
from tiers.models import RateLimit, Tier
from tiers.tests.factories import make_tier

pytestmark = pytest.mark.django_db


def user(number: int) -> User:
    made: User = make_user(f"user{number}", tier=make_tier(name=f"tier of user {number}"))
    return made


def tier(number: int) -> Tier:
    made = make_tier(name=f"tier {number}")
    RateLimit.objects.create(tier=made, path="api_v1_users", limit=number, period=60)
    return made


MAKERS: dict[Any, tuple[Callable[[int], Any], int]] = {
    # What makes a row, and the queries of the list: session, user, permissions, count twice, rows, filters' choices.
    User: (user, 7),
    Session: (lambda number: make_session(user(number)), 5),
    Post: (lambda number: make_post(author=user(number)), 5),
    Tier: (tier, 5),
    Task: (lambda number: make_task(owner=user(number)), 7),
}


def queries(browser: Client, url: str) -> int:
    # The first look fills what Django keeps in the process, such as content types.
    browser.get(url)
    with CaptureQueriesContext(connection) as captured:
        response = browser.get(url)
    assert response.status_code == 200
    return len(captured)


def test_every_model_of_the_admin_is_counted_here() -> None:
    assert set(site._registry) == set(MAKERS)


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__)
def test_a_list_costs_the_same_for_more_rows(browser: Client, model: Any) -> None:
    make, most = MAKERS[model]
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    make(1)
    for_one = queries(browser, url)

    for number in range(2, 31):
        make(number)

    assert queries(browser, url) == for_one
    assert for_one <= most


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__)
def test_a_row_costs_the_same_among_more_rows(browser: Client, model: Any) -> None:
    make = MAKERS[model][0]
    row = make(1)
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
    alone = queries(browser, url)

    for number in range(2, 31):
        make(number)

    assert queries(browser, url) == alone
