from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken

from accounts.models import LastSuperuser, Session, User
from common.tests.concurrency import at_once
from conftest import PASSWORD, make_user

from .factories import API, bearer, log_in, make_post, make_session

pytestmark = pytest.mark.django_db


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


def demote(user: Any) -> None:
    user.is_superuser = False
    user.save()


class TestConstraints:
    def test_username_is_unique(self, alice: Any) -> None:
        with pytest.raises(IntegrityError, match="user_unique_username"):
            make_user("alice", email="other@example.com")

    def test_email_is_unique(self, alice: Any) -> None:
        with pytest.raises(IntegrityError, match="user_unique_email"):
            make_user("other", email="alice@example.com")

    def test_email_is_told_before_the_username(self, alice: Any) -> None:
        with pytest.raises(IntegrityError, match="user_unique_email"):
            make_user("alice")

    def test_email_is_in_lower_case(self) -> None:
        with pytest.raises(IntegrityError, match="user_lower_email"):
            User.objects.create(name="Dave", username="dave", email="Dave@example.com")

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("username", "me", "Username not available"),
            ("username", "Users", "Use only a-z and 0-9."),
            ("username", "d", "Ensure this value has at least 2 characters"),
            ("name", "  ", "Input should not be blank."),
            ("profile_image_url", "javascript:x", "Enter a valid URL."),
            ("username", "alice", "Username not available"),
            ("email", "ALICE@example.com", "Email is already registered"),
        ],
    )
    def test_full_clean_names_what_is_wrong(self, alice: Any, field: str, value: str, message: str) -> None:
        user = User(**{"name": "Dave", "username": "dave", "email": "dave@example.com", "password": "x", field: value})

        with pytest.raises(ValidationError, match=message):
            user.full_clean()


class TestQuerySet:
    def test_alive_leaves_out_deleted_users(self, alice: Any, bob: Any) -> None:
        alice.soft_delete()

        assert list(User.objects.alive()) == [bob]

    def test_active_superusers_are_neither_deleted_nor_inactive(self, admin: Any, alice: Any) -> None:
        make_user("inactive", is_superuser=True, is_active=False)
        make_user("deleted", is_superuser=True).soft_delete()

        assert list(User.objects.active_superusers()) == [admin]

    @pytest.mark.parametrize(
        ("name", "username"),
        [("alice", "alice"), ("ALICE", "alice"), ("Alice@Example.com", "alice"), ("alice@", None), ("nobody", None), ("", None)],
    )
    def test_with_login_takes_username_or_email_in_any_case(self, alice: Any, name: str, username: str | None) -> None:
        user = User.objects.with_login(name)

        assert (user and user.username) == username

    def test_order_is_oldest_first(self, bob: Any, alice: Any) -> None:
        assert list(User.objects.all()) == [bob, alice]

    def test_bulk_delete_removes_rows_and_tells_how_many(self, alice: Any, bob: Any) -> None:
        make_post(alice)

        total, counts = User.objects.filter(username__in=("alice", "bob")).delete()

        assert (total, counts["accounts.User"], counts["posts.Post"]) == (3, 2, 1)

    def test_bulk_delete_that_is_refused_removes_none(self, alice: Any, admin: Any) -> None:
        with pytest.raises(LastSuperuser):
            User.objects.all().delete()

        assert User.objects.count() == 2

    def test_create_user_keeps_the_email_in_lower_case(self) -> None:
        user = User.objects.create_user("dave", "Dave@Example.com", PASSWORD, name="Dave")

        assert (user.email, user.is_staff, user.is_superuser) == ("dave@example.com", False, False)

    def test_create_superuser_may_enter_the_admin(self, admin: Any) -> None:
        assert (admin.is_staff, admin.is_superuser) == (True, True)

    def test_user_without_a_password_cannot_log_in(self) -> None:
        assert not User.objects.create_user("dave", "dave@example.com", name="Dave").has_usable_password()


class TestSession:
    def test_alive_leaves_out_ended_expired_and_those_of_who_is_gone(self, alice: Any, bob: Any) -> None:
        now = timezone.now()
        alive = make_session(alice)
        make_session(alice, ended_at=now)
        make_session(alice, expires_at=now)
        make_session(bob)
        User.objects.filter(pk=bob.pk).update(deleted_at=now)

        assert list(Session.objects.alive()) == [alive]

    def test_end_tells_how_many_were_not_ended_before(self, alice: Any) -> None:
        make_session(alice, ended_at=timezone.now())
        make_session(alice)
        make_session(alice)

        assert alice.sessions.all().end() == 2

    def test_end_keeps_the_time_of_an_earlier_end(self, alice: Any) -> None:
        before = timezone.now() - timedelta(days=1)
        session = make_session(alice, ended_at=before)

        alice.sessions.all().end()

        session.refresh_from_db()
        assert session.ended_at == before

    def test_end_enters_tokens_into_the_blacklist(self, alice: Any) -> None:
        make_session(alice)
        alice.sessions.all().end()
        alice.sessions.all().end()

        assert BlacklistedToken.objects.count() == 1

    def test_rotate_of_an_unknown_session_is_none(self, alice: Any) -> None:
        session = make_session(alice)
        session.delete()

        assert Session.rotate(session.pk, 0) is None

    def test_user_agent_is_cut(self, alice: Any) -> None:
        Session.start(alice, user_agent="x" * 1000)

        assert len(Session.objects.get().user_agent) == 255


class TestLastSuperuser:
    @pytest.mark.parametrize("end", [User.soft_delete, User.delete, deactivate, demote])
    def test_last_superuser_stays(self, admin: Any, end: Callable[[Any], None]) -> None:
        with pytest.raises(LastSuperuser, match="The last active superuser cannot be deleted, deactivated or demoted"):
            end(admin)

        assert list(User.objects.active_superusers()) == [admin]

    @pytest.mark.parametrize("end", [User.soft_delete, User.delete, deactivate, demote])
    def test_one_of_two_may_go(self, admin: Any, end: Callable[[Any], None]) -> None:
        root = make_user("root", is_superuser=True)

        end(admin)

        assert list(User.objects.active_superusers()) == [root]

    @pytest.mark.parametrize("end", [User.soft_delete, deactivate, demote])
    def test_superuser_promoted_in_the_same_process_stays_too(self, alice: Any, end: Callable[[Any], None]) -> None:
        alice.is_superuser = True
        alice.save()

        with pytest.raises(LastSuperuser):
            end(alice)

    def test_superuser_promoted_elsewhere_stays_too(self, alice: Any) -> None:
        User.objects.filter(pk=alice.pk).update(is_superuser=True)
        alice.refresh_from_db()

        with pytest.raises(LastSuperuser):
            demote(alice)

    def test_restored_superuser_counts_again(self, admin: Any) -> None:
        root = make_user("root", is_superuser=True)
        root.soft_delete()
        root.restore()

        admin.soft_delete()

        assert list(User.objects.active_superusers()) == [root]

    def test_ordinary_change_of_the_last_superuser_is_saved(self, admin: Any) -> None:
        admin.name = "Root"
        admin.save()

        assert User.objects.get().name == "Root"

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("end", [User.soft_delete, User.delete, deactivate, demote])
    def test_two_superusers_cannot_end_each_other_at_once(self, admin: Any, end: Callable[[Any], None]) -> None:
        def is_done(user: Any) -> bool:
            try:
                end(user)
            except LastSuperuser:
                return False
            return True

        root = make_user("root", is_superuser=True)

        done = at_once(*[partial(is_done, User.objects.get(pk=user.pk)) for user in (admin, root)])

        assert sorted(done) == [False, True]
        assert User.objects.active_superusers().count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_two_superusers_cannot_remove_each_other_at_once_over_http(self, client: APIClient, admin: Any) -> None:
        make_user("root", is_superuser=True)
        by_admin, by_root = (bearer(log_in(client, name)) for name in ("admin", "root"))

        answers = at_once(
            partial(APIClient().delete, f"{API}/db_user/root", headers=by_admin),
            partial(APIClient().delete, f"{API}/db_user/admin", headers=by_root),
        )

        assert sorted(answer.status_code for answer in answers)[0] == 200
        assert sorted(answer.status_code for answer in answers)[1] in (401, 409)
        assert User.objects.active_superusers().count() == 1


def test_texts_and_names_of_a_user(alice: Any) -> None:
    assert (str(alice), alice.get_full_name(), alice.get_short_name()) == ("alice", "Alice", "Alice")
