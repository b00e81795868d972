"""
Exactly `limit` calls are admitted in a window, however many arrive at once, in however many processes.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from conftest import PASSWORD, Server
from tiers.models import RateLimit, Tier

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_60_calls_at_once_in_4_processes_exactly_the_limit_is_admitted(serve: Callable[..., Server], alice: Any, free: Tier) -> None:
    RateLimit.objects.create(tier=free, path="api_v1_user_me", limit=10, period=31_536_000)
    alice.tier = free
    alice.save()
    server = serve(WEB_CONCURRENCY="4")
    login = requests.post(f"{server.api}/login", json={"username": "alice", "password": PASSWORD}, timeout=10)
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: requests.get(f"{server.api}/user/me/", headers=headers, timeout=30), range(60)))

    assert Counter(response.status_code for response in responses) == {200: 10, 429: 50}
    assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"10"}
