"""
What a body of `MAX_BODY_BYTES` may ask for: neither the answer nor the work grows with how many faults it has.
"""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.serializers import MOST_UNKNOWN_FIELDS

pytestmark = pytest.mark.django_db

API = "/api/v1"
UNKNOWN = {f"u{number}": 0 for number in range(90_000)}


def send(client: APIClient, method: str, path: str, body: dict[str, Any]) -> Any:
    content = json.dumps(body, separators=(",", ":"))
    assert len(content) <= 1_048_576
    return client.generic(method, f"{API}{path}", content, content_type="application/json")


@pytest.mark.parametrize(
    "path", ["/email/verify", "/password/reset", "/password/forgot", "/email/resend", "/user", "/login", "/tasks/task"]
)
def test_no_answer_names_all_of_very_many_unknown_fields(client: APIClient, path: str) -> None:
    response = send(client, "POST", path, UNKNOWN)

    assert response.status_code == 422
    found = response.json()["detail"]
    assert len([place for place in found if place["type"] == "extra_forbidden"]) == MOST_UNKNOWN_FIELDS
    assert [place["loc"] for place in found if place["type"] == "missing"]
    assert len(response.content) < 20_000


def test_few_unknown_fields_are_all_named(client: APIClient) -> None:
    names = [f"u{number}" for number in range(MOST_UNKNOWN_FIELDS)]

    response = send(client, "POST", "/email/verify", {"token": "x", **dict.fromkeys(names)})

    assert [place["loc"][1] for place in response.json()["detail"] if place["type"] == "extra_forbidden"] == names


def test_unknown_fields_are_refused_wherever_they_stand(client: APIClient, alice: Any) -> None:
    body = {"email": "alice@example.com", "odd": 1}

    assert send(client, "POST", "/password/forgot", body).status_code == 422
    assert send(client, "POST", "/password/forgot", dict(reversed(body.items()))).status_code == 422
