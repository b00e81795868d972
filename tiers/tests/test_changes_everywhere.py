"""
A change made anywhere is in force on the next call of a signed-in user, in every process.
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from accounts.tests.factories import enter_admin
from common.tests.api_calls import signed_in
from common.tests.servers import Server, child_environment
from conftest import BASE_DIR

from ..models import RateLimit, Tier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class Caller:
    """
    Alice, who calls all processes of a server.
    """

    def __init__(self, server: Server) -> None:
        self.url = f"{server.api}/user/me/"
        self.headers = signed_in(server, "alice")

    def told(self) -> set[str | None]:
        with ThreadPoolExecutor(12) as pool:
            responses = pool.map(lambda _: requests.get(self.url, headers=self.headers, timeout=30), range(36))
        return {response.headers.get("X-RateLimit-Limit") for response in responses}


@pytest.fixture
def limit(free: Tier) -> RateLimit:
    return RateLimit.objects.create(tier=free, path="api_v1_user_me", limit=1000, period=31_536_000)


@pytest.fixture
def caller(serve: Callable[..., Server], alice: Any, free: Tier, limit: RateLimit) -> Caller:
    alice.tier = free
    alice.save()
    caller = Caller(serve(WEB_CONCURRENCY="4"))
    assert caller.told() == {"1000"}
    return caller


def shell(code: str) -> None:
    imports = "from accounts.models import User; from tiers.models import RateLimit, Tier;"
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", f"{imports} {code}"],
        cwd=BASE_DIR, env=child_environment(DJANGO_SETTINGS_MODULE="config.settings"), check=True, timeout=60,
    )  # fmt: skip


def test_of_a_limit(caller: Caller, client_for: Callable[[Any], APIClient], admin: Any, free: Tier, limit: RateLimit) -> None:
    superuser, browser = client_for(admin), enter_admin()
    path = f"/api/v1/tier/free/rate_limit/{limit.pk}"
    row = {"rate_limits-0-id": limit.pk, "rate_limits-0-tier": free.pk, "rate_limits-0-path": limit.path, "rate_limits-0-name": ""}
    form = {"name": "free", "rate_limits-TOTAL_FORMS": 1, "rate_limits-INITIAL_FORMS": 1, **row, "rate_limits-0-period": limit.period}

    superuser.patch(path, {"limit": 2000})
    assert caller.told() == {"2000"}
    browser.post(f"/admin/tiers/tier/{free.pk}/change/", {**form, "rate_limits-0-limit": 3000})
    assert caller.told() == {"3000"}
    shell("RateLimit.objects.update(limit=4000)")
    assert caller.told() == {"4000"}
    superuser.delete(path)
    assert caller.told() == {None}
    superuser.post("/api/v1/tier/free/rate_limit", {"path": "api/v1/user/me", "limit": 5000, "period": 31_536_000})
    assert caller.told() == {"5000"}


def test_of_a_user(caller: Caller, client_for: Callable[[Any], APIClient], admin: Any, alice: Any, free: Tier, pro: Tier) -> None:
    RateLimit.objects.create(tier=pro, path="api_v1_user_me", limit=9000, period=31_536_000)
    superuser, browser = client_for(admin), enter_admin()
    action = {"action": "set_tier", "_selected_action": [alice.pk]}

    superuser.patch("/api/v1/user/alice/tier", {"tier_id": pro.pk})
    assert caller.told() == {"9000"}
    browser.post("/admin/accounts/user/", {**action, "tier": free.pk})
    assert caller.told() == {"1000"}
    shell("user = User.objects.get(username='alice'); user.tier = Tier.objects.get(name='pro'); user.save(update_fields=['tier'])")
    assert caller.told() == {"9000"}
    superuser.patch("/api/v1/user/alice/tier", {"tier_id": None})
    assert caller.told() == {None}


def test_of_a_tier(caller: Caller, client_for: Callable[[Any], APIClient], admin: Any, alice: Any, pro: Tier) -> None:
    superuser = client_for(admin)

    superuser.patch("/api/v1/tier/free", {"name": "basic"})
    assert caller.told() == {"1000"}
    superuser.patch("/api/v1/user/alice/tier", {"tier_id": pro.pk})
    superuser.delete("/api/v1/tier/basic")
    assert caller.told() == {None}
