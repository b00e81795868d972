import pytest
from rest_framework.test import APIClient

from ..models import Status

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("text", ["secret", "x" * 3900, "<b>", ""])
def test_a_status_that_there_is_not_is_not_repeated(alice_client: APIClient, text: str) -> None:
    response = alice_client.get("/api/v1/tasks", {"status": text})

    (place,) = response.json()["detail"]
    expected = {"type": "value_error", "loc": ["query", "status"], "msg": f"Input should be one of {', '.join(Status.values)}."}
    assert (response.status_code, place) == (422, expected)
