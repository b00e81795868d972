"""
What ends a session besides its user's logout.
"""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.tokens import access_token, refresh_token
from conftest import PASSWORD, make_user

from .factories import API, bearer, log_in, make_session, registration

pytestmark = pytest.mark.django_db

ME = f"{API}/user/me/"


def is_over(session: Session) -> bool:
    """
    Say whether neither the access token nor the refresh token of the session is good any more.
    """
    client = APIClient()
    client.cookies["refresh_token"] = refresh_token(session)
    by_access = client.get(ME, headers=bearer(access_token(session)))
    by_refresh = client.post(f"{API}/refresh")
    answers = {(by_access.status_code, by_access.json().get("detail")), (by_refresh.status_code, by_refresh.json().get("detail"))}
    return answers == {(401, "User not authenticated."), (401, "Invalid refresh token.")}


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


def change_password(user: Any) -> None:
    user.set_password("An0ther-Word")
    user.save()


def take_password_away(user: Any) -> None:
    user.set_unusable_password()
    user.save()


@pytest.mark.parametrize("end", [User.soft_delete, User.delete, deactivate, change_password, take_password_away])
def test_sessions_of_the_user_end(alice: Any, end: Callable[[Any], None]) -> None:
    session = make_session(alice)

    end(alice)

    assert is_over(session)


@pytest.mark.parametrize("end", [User.soft_delete, deactivate, change_password])
def test_sessions_of_others_go_on(alice: Any, bob: Any, end: Callable[[Any], None]) -> None:
    session = make_session(bob)

    end(alice)

    assert not is_over(session)


def test_password_changed_on_a_user_just_created_ends_sessions() -> None:
    user = make_user("dave")
    session = make_session(user)

    change_password(user)

    assert is_over(session)


def test_password_saved_alone_ends_sessions(alice: Any) -> None:
    session = make_session(alice)
    alice.set_password("An0ther-Word")

    alice.save(update_fields=["password"])

    assert is_over(session)


def test_account_deleted_over_http_ends_all_sessions(client: APIClient, alice: Any) -> None:
    other = make_session(alice)
    token = log_in(client, "alice")

    client.delete(f"{API}/user/alice", headers=bearer(token))

    assert is_over(other)
    assert client.get(ME, headers=bearer(token)).status_code == 401


def test_restored_user_stays_logged_out(alice: Any) -> None:
    session = make_session(alice)
    alice.soft_delete()
    alice.restore()

    assert is_over(session)


def test_restored_user_can_log_in(client: APIClient, alice: Any) -> None:
    alice.soft_delete()
    alice.restore()

    assert client.post(f"{API}/login", {"username": "alice", "password": PASSWORD}).status_code == 200


def test_reactivated_user_stays_logged_out(alice: Any) -> None:
    session = make_session(alice)
    deactivate(alice)
    alice.is_active = True
    alice.save()

    assert is_over(session)


def test_user_deactivated_by_a_bulk_update_is_refused(alice: Any) -> None:
    session = make_session(alice)

    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert is_over(session)


def test_ordinary_change_ends_nothing(alice: Any) -> None:
    session = make_session(alice)
    alice.name = "Alice Smith"
    alice.save()

    assert not is_over(session)


def test_renaming_does_not_log_out(client: APIClient, alice: Any) -> None:
    token = log_in(client, "alice")

    client.patch(f"{API}/user/alice", {"username": "alicia"}, headers=bearer(token))

    assert client.get(ME, headers=bearer(token)).json()["username"] == "alicia"


def test_freed_username_inherits_nothing(client: APIClient, alice: Any) -> None:
    session = make_session(alice)
    alice.delete()
    client.post(f"{API}/user", registration(username="alice", email="alice@example.com"))

    assert is_over(session)


def test_token_follows_its_user_to_a_new_name(client: APIClient, alice: Any) -> None:
    token = log_in(client, "alice")
    client.patch(f"{API}/user/alice", {"username": "alicia"}, headers=bearer(token))
    newcomer = client.post(f"{API}/user", registration(username="alice")).json()

    assert client.get(ME, headers=bearer(token)).json()["id"] == alice.pk
    assert newcomer["id"] != alice.pk


def test_db_user_does_not_log_out_the_superuser_who_calls_it(client_for: Callable[[Any], APIClient], admin: Any, alice: Any) -> None:
    admins = client_for(admin)

    assert admins.delete(f"{API}/db_user/alice").status_code == 200

    assert admins.get(ME).status_code == 200
    assert admins.post(f"{API}/refresh").status_code == 200


def test_demoted_superuser_is_refused_at_once(client_for: Callable[[Any], APIClient], admin: Any, alice: Any) -> None:
    make_user("root", is_superuser=True)
    admins = client_for(admin)
    admin.is_superuser = False
    admin.save()

    response = admins.delete(f"{API}/db_user/alice")

    assert (response.status_code, response.json()) == (403, {"detail": "You do not have enough privileges."})


def test_demoted_superuser_stays_logged_in(client_for: Callable[[Any], APIClient], admin: Any) -> None:
    make_user("root", is_superuser=True)
    admins = client_for(admin)
    admin.is_superuser = False
    admin.save()

    assert admins.get(ME).status_code == 200


def test_ended_session_is_not_revived_by_its_cookie(client: APIClient, alice: Any) -> None:
    session = make_session(alice)
    alice.sessions.all().end()
    client.cookies["refresh_token"] = refresh_token(session)
    client.post(f"{API}/refresh")

    session.refresh_from_db()
    assert session.ended_at is not None
