from typing import Any

import pytest
from django.test.utils import override_script_prefix
from pytest_django import Settings
from rest_framework.test import APIClient

from common.rates import Rate

from ..models import Status
from .factories import make_task

pytestmark = pytest.mark.django_db

TASK = "/api/v1/tasks/task"


def test_a_retry_is_counted_alike_wherever_the_project_is_mounted(alice_client: APIClient, alice: Any, settings: Settings) -> None:
    settings.DEFAULT_RATE_LIMIT = Rate(1, 31_536_000)
    task = make_task(alice, status=Status.FAILED)

    assert alice_client.post(f"{TASK}?message=hello").status_code == 201
    for prefix in ("/", "/a/", "/b/"):
        with override_script_prefix(prefix):
            assert alice_client.post(f"{TASK}/{task.pk.hex}/retry").status_code == 429
