"""
The password of the first superuser is held to what everybody's is.
"""

import subprocess
import sys
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from common.tests.servers import child_environment
from conftest import BASE_DIR

from .factories import log_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "localhost",
    "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMN",
}


def create(password: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "create_first_superuser"],
        cwd=BASE_DIR,
        env=child_environment(ADMIN_PASSWORD=password, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("a", "too short"),
        ("password", "too common"),
        ("4815162342108", "entirely numeric"),
        ("administrator", "too similar to the username"),
        ("Long" + "g" * 125, "at most 128 characters"),
    ],
)
def test_weak_password_makes_no_superuser(password: str, message: str) -> None:
    done = create(password, ADMIN_USERNAME="administrator")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: ADMIN_PASSWORD is no password for the first superuser: ")
    assert message in done.stderr
    assert not User.objects.exists()


def test_longest_password_logs_in(client: APIClient) -> None:
    password = "Long" + "g" * 124

    assert create(password).returncode == 0
    log_in(client, "admin", password)


def test_weak_password_does_not_matter_where_there_is_a_superuser(admin: Any) -> None:
    done = create("a")

    assert (done.returncode, done.stdout) == (0, "There is a superuser already; nothing to do.\n")


def test_password_of_the_originals_sample_works_in_local_mode(client: APIClient) -> None:
    done = create("your_password", ADMIN_NAME="your_name", ADMIN_EMAIL="me@example.com", ADMIN_USERNAME="myself")

    assert (done.returncode, done.stdout) == (0, "Superuser 'myself' created.\n")
    log_in(client, "myself", "your_password")


def test_production_makes_no_superuser_with_a_common_password() -> None:
    done = create("football1", **PRODUCTION)

    assert done.returncode == 1
    assert "too common" in done.stderr
