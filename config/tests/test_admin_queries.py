"""
A page of the admin costs as many queries for thirty rows as for one.
"""

from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from common.tests.budgets import all_admin_lists

pytestmark = pytest.mark.django_db

LISTS = all_admin_lists()


def queries(browser: Client, url: str) -> int:
    # The first look fills what Django keeps in the process, such as content types.
    browser.get(url)
    with CaptureQueriesContext(connection) as captured:
        response = browser.get(url)
    assert response.status_code == 200
    return len(captured)


def test_every_model_of_the_admin_is_counted() -> None:
    assert set(site._registry) == set(LISTS)


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)
def test_a_list_costs_the_same_for_more_rows(browser: Client, model: Any) -> None:
    make, most = LISTS[model]
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    make(1)
    for_one = queries(browser, url)

    for number in range(2, 31):
        make(number)

    assert queries(browser, url) == for_one
    assert for_one <= most


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)
def test_a_row_costs_the_same_among_more_rows(browser: Client, model: Any) -> None:
    make = LISTS[model].make
    row = make(1)
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
    alone = queries(browser, url)

    for number in range(2, 31):
        make(number)

    assert queries(browser, url) == alone
