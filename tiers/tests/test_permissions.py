from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.tests.answers import said

from ..models import RateLimit, Tier
from .factories import make_rate_limit

pytestmark = pytest.mark.django_db

WRITES = [
    ("post", "tier", {"name": "gold"}),
    ("patch", "tier/free", {"name": "gold"}),
    ("delete", "tier/free", None),
    ("post", "tier/free/rate_limit", {"path": "api/v1/users", "limit": 5, "period": 60}),
    ("patch", "tier/free/rate_limit/{id}", {"limit": 5}),
    ("delete", "tier/free/rate_limit/{id}", None),
]


@pytest.fixture
def limit(free: Tier) -> RateLimit:
    return make_rate_limit(free)


@pytest.mark.parametrize("path", ["tiers", "tier/free", "tier/free/rate_limits", "tier/free/rate_limit/{id}"])
class TestReading:
    def test_anonymous_callers_may(self, client: APIClient, limit: RateLimit, path: str) -> None:
        assert client.get(f"/api/v1/{path}".replace("{id}", str(limit.pk))).status_code == 200

    def test_users_may(self, client_for: Callable[[Any], APIClient], alice: Any, limit: RateLimit, path: str) -> None:
        assert client_for(alice).get(f"/api/v1/{path}".replace("{id}", str(limit.pk))).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
class TestWriting:
    def test_anonymous_callers_may_not(self, client: APIClient, limit: RateLimit, method: str, path: str, body: Any) -> None:
        response = getattr(client, method)(f"/api/v1/{path}".replace("{id}", str(limit.pk)), body)

        assert said(response) == (401, "Not authenticated")
        assert response["WWW-Authenticate"] == "Bearer"

    def test_users_may_not(
        self, client_for: Callable[[Any], APIClient], alice: Any, limit: RateLimit, method: str, path: str, body: Any
    ) -> None:
        response = getattr(client_for(alice), method)(f"/api/v1/{path}".replace("{id}", str(limit.pk)), body)

        assert said(response) == (403, "You do not have enough privileges.")

    def test_superusers_may(
        self, client_for: Callable[[Any], APIClient], admin: Any, limit: RateLimit, method: str, path: str, body: Any
    ) -> None:
        response = getattr(client_for(admin), method)(f"/api/v1/{path}".replace("{id}", str(limit.pk)), body)

        assert response.status_code in (200, 201), response.content
