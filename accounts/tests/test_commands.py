import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from common.tests.servers import child_environment
from conftest import BASE_DIR, PASSWORD
from tiers.models import Tier

from .factories import log_in

pytestmark = pytest.mark.django_db


def run(command: str, *arguments: str) -> str:
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue()


def run_in_a_process(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=child_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )


def first_superuser(**fields: str) -> dict[str, str]:
    return {"name": "Admin", "email": "Admin@Example.com", "username": "admin", "password": PASSWORD, **fields}


class TestFirstSuperuser:
    def test_superuser_is_created(self, client: APIClient, settings: Settings) -> None:
        settings.FIRST_SUPERUSER = first_superuser()

        assert run("create_first_superuser") == "Superuser 'admin' created.\n"

        user = User.objects.get()
        assert (user.is_superuser, user.is_staff, user.email, user.name) == (True, True, "admin@example.com", "Admin")
        log_in(client, "admin")

    def test_second_run_changes_nothing(self, settings: Settings) -> None:
        settings.FIRST_SUPERUSER = first_superuser()
        run("create_first_superuser")
        settings.FIRST_SUPERUSER = first_superuser(password="An0ther-Word")

        assert run("create_first_superuser") == "There is a superuser already; nothing to do.\n"
        assert User.objects.get().check_password(PASSWORD)

    def test_any_superuser_will_do(self, settings: Settings, admin: Any) -> None:
        settings.FIRST_SUPERUSER = first_superuser(username="root", email="root@example.com")

        run("create_first_superuser")

        assert User.objects.count() == 1

    def test_password_is_generated_and_shown_once_in_local_mode(self, client: APIClient, settings: Settings) -> None:
        settings.FIRST_SUPERUSER = first_superuser(password="")

        created, shown = run("create_first_superuser").splitlines()

        assert (created, shown.rpartition(" ")[0]) == ("Superuser 'admin' created.", "Its password, shown this once:")
        log_in(client, "admin", shown.rpartition(" ")[2])

    @pytest.mark.parametrize("environment", ["staging", "production"])
    def test_password_has_to_be_given_elsewhere(self, settings: Settings, environment: str) -> None:
        settings.ENVIRONMENT = environment
        settings.FIRST_SUPERUSER = first_superuser(password="")

        with pytest.raises(CommandError, match="ADMIN_PASSWORD is not set"):
            run("create_first_superuser")

        assert not User.objects.exists()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"username": "alice"}, "Username not available"),
            ({"username": "me"}, "Username not available"),
            ({"email": "Alice@example.com"}, "Email is already registered"),
            ({"email": "nonsense"}, "Enter a valid email address"),
        ],
    )
    def test_what_is_wrong_is_named(self, settings: Settings, alice: Any, fields: dict[str, str], message: str) -> None:
        settings.FIRST_SUPERUSER = first_superuser(**fields)

        with pytest.raises(CommandError, match=f"The first superuser cannot be created: {message}"):
            run("create_first_superuser")

        assert list(User.objects.all()) == [alice]


class TestFirstTier:
    def test_tier_is_created(self, settings: Settings) -> None:
        settings.FIRST_TIER = "basic"

        assert run("create_first_tier") == "Tier 'basic' created.\n"
        assert Tier.objects.get().name == "basic"

    def test_second_run_changes_nothing(self, free: Tier) -> None:
        assert run("create_first_tier") == "Tier 'free' already exists; nothing to do.\n"
        assert list(Tier.objects.all()) == [free]


class TestCreatesuperuser:
    ARGUMENTS = ("createsuperuser", "--noinput", "--username", "root", "--name", "Root", "--email", "Root@Example.com")

    def test_superuser_is_created_without_a_question(self, client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

        run(*self.ARGUMENTS)

        user = User.objects.get()
        assert (user.username, user.email, user.is_superuser, user.is_staff) == ("root", "root@example.com", True, True)
        log_in(client, "root")

    def test_second_run_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
        run(*self.ARGUMENTS)

        with pytest.raises(CommandError, match="That username is already taken"):
            run(*self.ARGUMENTS)

    @pytest.mark.parametrize(("username", "message"), [("me", "Username not available"), ("Ro ot", "Use only a-z and 0-9")])
    def test_bad_username_is_refused(self, username: str, message: str) -> None:
        with pytest.raises(CommandError, match=message):
            run("createsuperuser", "--noinput", "--username", username, "--name", "Root", "--email", "root@example.com")


@pytest.mark.django_db(transaction=True)
class TestExitStatus:
    """
    What a deployment sees of the commands.
    """

    def test_first_superuser_is_made_once(self) -> None:
        runs = [run_in_a_process("create_first_superuser", ADMIN_PASSWORD=PASSWORD) for _ in range(2)]

        assert [(done.returncode, done.stdout) for done in runs] == [
            (0, "Superuser 'admin' created.\n"),
            (0, "There is a superuser already; nothing to do.\n"),
        ]

    def test_superuser_that_cannot_be_made_is_status_1(self, alice: Any) -> None:
        done = run_in_a_process("create_first_superuser", ADMIN_USERNAME="alice", ADMIN_PASSWORD=PASSWORD)

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("CommandError: The first superuser cannot be created: Username not available.")

    def test_first_tier_is_made_once(self) -> None:
        runs = [run_in_a_process("create_first_tier", TIER_NAME="basic") for _ in range(2)]

        assert [(done.returncode, done.stdout) for done in runs] == [
            (0, "Tier 'basic' created.\n"),
            (0, "Tier 'basic' already exists; nothing to do.\n"),
        ]
