import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.tokens import access_token, refresh_token
from common.tests.answers import refused, said
from common.tests.concurrency import at_once

from .factories import API, bearer, log_in, make_session, refresh_with, status_of

pytestmark = pytest.mark.django_db

ClientFor = Callable[[Any], APIClient]
URL = f"{API}/user/me/sessions"
MISSING = (404, "Session not found")


def client_of(session: Session) -> APIClient:
    return APIClient(headers=bearer(access_token(session)))


def ids(response: Any) -> list[str]:
    return [row["id"] for row in response.json()["data"]]


def end(client: APIClient, session_id: Any) -> Any:
    return client.delete(f"{URL}/{session_id}")


class TestList:
    def test_session_says_where_and_when_it_is(self, alice: Any) -> None:
        session = make_session(alice)

        body = client_of(session).get(URL).json()

        def text(moment: Any) -> str:
            return str(moment.isoformat()).replace("+00:00", "Z")

        assert body.pop("data") == [
            {
                "id": str(session.pk),
                "created_at": text(session.created_at),
                "last_refreshed_at": text(session.rotated_at),
                "expires_at": text(session.expires_at),
                "ip_address": "192.0.2.1",
                "user_agent": "Browser",
                "current": True,
            }
        ]
        assert body == {"total_count": 1, "has_more": False, "page": 1, "items_per_page": 10}

    def test_oldest_comes_first_and_one_is_the_current(self, alice: Any) -> None:
        sessions = [make_session(alice) for _ in range(4)]

        response = client_of(sessions[2]).get(URL)

        assert ids(response) == [str(session.pk) for session in sessions]
        assert [row["current"] for row in response.json()["data"]] == [False, False, True, False]

    def test_only_what_lives_is_there(self, alice: Any, bob: Any) -> None:
        session = make_session(alice)
        make_session(alice, ended_at=timezone.now())
        make_session(alice, expires_at=timezone.now() - timedelta(seconds=1))
        make_session(bob)

        assert ids(client_of(session).get(URL)) == [str(session.pk)]

    def test_refresh_moves_its_time(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice")
        before = client.get(URL, headers=bearer(token)).json()["data"][0]

        client.post(f"{API}/refresh")

        after = client.get(URL, headers=bearer(token)).json()["data"][0]
        assert (after["id"], after["created_at"], after["current"]) == (before["id"], before["created_at"], True)
        assert datetime.fromisoformat(after["last_refreshed_at"]) > datetime.fromisoformat(before["last_refreshed_at"])

    def test_login_leaves_its_address_and_its_browser(self, client: APIClient, alice: Any) -> None:
        token = log_in(client, "alice", **{"User-Agent": "Firefox"})

        (row,) = client.get(URL, headers=bearer(token)).json()["data"]
        assert (row["ip_address"], row["user_agent"]) == ("127.0.0.1", "Firefox")

    def test_session_without_an_address_has_none(self, alice: Any) -> None:
        session = make_session(alice, ip_address=None, user_agent="")

        (row,) = client_of(session).get(URL).json()["data"]
        assert (row["ip_address"], row["user_agent"]) == (None, "")

    def test_cursors_lead_through_all_of_them_in_order(self, alice: Any) -> None:
        sessions = [make_session(alice) for _ in range(5)]
        # Three of one moment: their ids decide.
        Session.objects.filter(pk__in=[session.pk for session in sessions[1:4]]).update(created_at=sessions[1].created_at)
        client = client_of(sessions[0])
        query: dict[str, Any] = {"items_per_page": 2}
        expected = [str(pk) for pk in Session.objects.values_list("pk", flat=True)]

        answers = [client.get(URL, {**query, "cursor": ""})]
        while cursor := answers[-1].json()["next_cursor"]:
            answers.append(client.get(URL, {**query, "cursor": cursor}))

        assert [session_id for answer in answers for session_id in ids(answer)] == expected

    def test_cursor_of_another_list_is_none(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        alices = client_for(alice)
        cursor = alices.get(f"{API}/users?cursor=&items_per_page=1").json()["next_cursor"]

        assert refused(alices.get(URL, {"cursor": cursor})) == [("value_error", ["query", "cursor"])]

    def test_who_is_not_signed_in_is_refused(self, client: APIClient) -> None:
        assert said(client.get(URL)) == (401, "Not authenticated")

    def test_list_takes_one_statement(self, alice: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        sessions = [make_session(alice) for _ in range(5)]
        client = client_of(sessions[0])
        client.get(URL)

        with django_assert_num_queries(1):
            client.get(URL)


class TestEnd:
    def test_session_ends_with_its_tokens(self, client_for: ClientFor, alice: Any) -> None:
        session = make_session(alice)
        alices = client_for(alice)

        response = end(alices, session.pk)

        assert said(response) == (200, "Session ended")
        assert status_of(access_token(session)) == 401
        assert refresh_with(refresh_token(session)).status_code == 401
        assert alices.get(URL).json()["total_count"] == 1

    def test_others_go_on(self, alice: Any) -> None:
        session, other = make_session(alice), make_session(alice)

        end(client_of(session), other.pk)

        assert status_of(access_token(session)) == 200

    def test_one_may_end_oneself(self, alice: Any) -> None:
        session = make_session(alice)

        assert said(end(client_of(session), session.pk)) == (200, "Session ended")
        assert status_of(access_token(session)) == 401

    def test_that_of_another_user_is_not_found(self, client_for: ClientFor, alice: Any, bob: Any) -> None:
        session = make_session(bob)

        assert said(end(client_for(alice), session.pk)) == MISSING
        assert status_of(access_token(session)) == 200

    def test_superusers_end_their_own_only(self, client_for: ClientFor, admin: Any, bob: Any) -> None:
        assert said(end(client_for(admin), make_session(bob).pk)) == MISSING

    @pytest.mark.parametrize("field", ["ended_at", "expires_at"])
    def test_one_that_is_over_is_not_found(self, client_for: ClientFor, alice: Any, field: str) -> None:
        session = make_session(alice, **{field: timezone.now() - timedelta(seconds=1)})

        assert said(end(client_for(alice), session.pk)) == MISSING

    @pytest.mark.parametrize("session_id", [uuid.UUID(int=0), "1", "nonsense", "a%00b", "%ED%A0%80", "9" * 5000, "g" * 32])
    def test_one_that_is_nowhere_is_not_found(self, client_for: ClientFor, alice: Any, session_id: Any) -> None:
        assert said(end(client_for(alice), session_id)) == MISSING

    def test_second_end_finds_nothing(self, client_for: ClientFor, alice: Any) -> None:
        session, alices = make_session(alice), client_for(alice)
        end(alices, session.pk)

        assert said(end(alices, session.pk)) == MISSING

    def test_who_is_not_signed_in_is_refused(self, client: APIClient, alice: Any) -> None:
        assert said(end(client, make_session(alice).pk)) == (401, "Not authenticated")

    @pytest.mark.django_db(transaction=True)
    def test_of_two_calls_at_once_one_ends_it(self, client_for: ClientFor, alice: Any) -> None:
        session, alices = make_session(alice), client_for(alice)

        answers = at_once(*[partial(end, alices, session.pk)] * 2)

        assert sorted(answer.status_code for answer in answers) == [200, 404]


@pytest.mark.parametrize("method", ["post", "patch", "put"])
def test_sessions_are_not_written(client_for: ClientFor, alice: Any, method: str) -> None:
    assert getattr(client_for(alice), method)(URL, {}).status_code == 405
    assert User.objects.get().sessions.count() == 1
