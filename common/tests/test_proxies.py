"""
Who calls, behind 0, 1 and 2 proxies: gunicorn itself, and real NGINX in front of it.

The callers are addresses of the loopback network, whose sockets are bound to them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from common.tests.servers import Server

from .nginx import nginx

pytestmark = pytest.mark.django_db(transaction=True)

WRONG = {"username": "nobody", "password": "Wr0ngest!"}
MANY = ",".join(["1.1.1.1"] * 1000)
FORGED = {
    "another address": {"X-Forwarded-For": "198.51.100.7"},
    "several": {"X-Forwarded-For": "198.51.100.7, 203.0.113.9"},
    "the proxy's own": {"X-Forwarded-For": "127.0.0.1"},
    "with a port": {"X-Forwarded-For": "198.51.100.7:4711"},
    "IPv6": {"X-Forwarded-For": "2001:db8::1"},
    "IPv6 with a port": {"X-Forwarded-For": "[2001:db8::1]:4711"},
    "IPv4 mapped into IPv6": {"X-Forwarded-For": "::ffff:198.51.100.7"},
    "empty": {"X-Forwarded-For": ""},
    "commas": {"X-Forwarded-For": ", ,,"},
    "no address": {"X-Forwarded-For": "unknown, _hidden, ' OR 1=1 --"},
    "a thousand hops": {"X-Forwarded-For": MANY},
    "underscores": {"X_Forwarded_For": "198.51.100.7"},
    "other headers": {"X-Real-IP": "198.51.100.7", "Forwarded": "for=198.51.100.7", "True-Client-IP": "198.51.100.7"},
}


class FromAddress(HTTPAdapter):
    """
    Call from an address of this machine.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, source_address=(self.address, 0))


def log_in(url: str, address: str, headers: dict[str, str] | None = None) -> int:
    with requests.Session() as session:
        session.mount("http://", FromAddress(address))
        return session.post(f"{url}/api/v1/login", json=WRONG, headers=headers, timeout=30).status_code


@pytest.fixture(scope="module", params=[0, 1, 2])
def proxies(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def site(proxies: int, share: Callable[..., Server], tmp_path: Path) -> Iterator[str]:
    """
    Return where callers find a gunicorn that admits two logins from an address and stands behind that many proxies.
    """
    server = share(WEB_CONCURRENCY="1", TRUSTED_PROXY_COUNT=str(proxies), LOGIN_RATE_LIMIT="2/31536000", LOGIN_FAILURE_LIMIT="0")
    with ExitStack() as stack:
        url = server.url
        for _ in range(proxies):
            url = stack.enter_context(nginx(tmp_path, url))
        yield url


def test_each_caller_is_counted_apart_and_nothing_forged_buys_a_call(site: str) -> None:
    assert [log_in(site, "127.0.1.1") for _ in range(3)] == [401, 401, 429]
    assert log_in(site, "127.0.1.2") == 401
    for number, (name, headers) in enumerate(FORGED.items()):
        caller = f"127.0.2.{number + 1}"
        answers = [log_in(site, caller, headers), log_in(site, caller), log_in(site, caller, headers), log_in(site, caller)]

        assert answers == [401, 401, 429, 429], name


def test_a_header_that_is_too_long_is_refused_and_not_counted(site: str) -> None:
    headers = {"X-Forwarded-For": ",".join(["198.51.100.7"] * 1000)}

    assert 400 <= log_in(site, "127.0.1.1", headers) < 500
    assert [log_in(site, "127.0.1.1") for _ in range(3)] == [401, 401, 429]


def test_the_log_names_the_same_address(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(WEB_CONCURRENCY="1", TRUSTED_PROXY_COUNT="1")
    with nginx(tmp_path, server.url) as url:
        log_in(url, "127.0.1.9", {"X-Forwarded-For": "198.51.100.7"})

    assert "127.0.1.9" in server.log.read_text()
    assert "198.51.100.7" not in server.log.read_text()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["2001:db8:0:1::1", "2001:db8:0:1::2", "[2001:db8:0:1::3]:4711"], [401, 401, 429]),
        (["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"], [401, 401, 401]),
        (["198.51.100.7", "::ffff:198.51.100.7", "198.51.100.7:4711"], [401, 401, 429]),
    ],
    ids=["one network", "three networks", "one IPv4 address"],
)
def test_what_the_trusted_proxy_reports_is_who_calls(
    share: Callable[..., Server], tmp_path: Path, entries: list[str], expected: list[int]
) -> None:
    server = share(WEB_CONCURRENCY="1", TRUSTED_PROXY_COUNT="1", LOGIN_RATE_LIMIT="2/31536000", LOGIN_FAILURE_LIMIT="0")
    # This proxy reports what the test tells it, as one does that speaks IPv6 or names ports.
    with nginx(tmp_path, server.url, forwarded="$http_x_reported") as url:
        answers = [log_in(url, "127.0.1.1", {"X-Reported": entry}) for entry in entries]

    assert answers == expected
