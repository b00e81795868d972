import pytest
from django.test import RequestFactory
from pytest_django import Settings

from common.addresses import address_key, client_address

PEER = "192.0.2.1"


def address(peer: str = PEER, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0:0::0001", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_peer_is_the_caller_without_proxies(peer: str, expected: str) -> None:
    assert address(peer) == expected


@pytest.mark.parametrize(
    ("count", "forwarded", "expected"),
    [
        (0, "198.51.100.7", PEER),
        (0, "198.51.100.7, 203.0.113.9", PEER),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.9,203.0.113.10 ,198.51.100.7 ", "198.51.100.7"),
        (2, "198.51.100.7, 203.0.113.9", "198.51.100.7"),
        (2, "203.0.113.66, 198.51.100.7, 203.0.113.9", "198.51.100.7"),
        (1, None, PEER),
        (2, None, PEER),
        (2, "198.51.100.7", PEER),
    ],
)
def test_only_what_the_trusted_proxies_appended_is_read(settings: Settings, count: int, forwarded: str | None, expected: str) -> None:
    settings.TRUSTED_PROXY_COUNT = count

    assert address(forwarded=forwarded) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
    ],
)
def test_forms_of_an_entry_are_read(settings: Settings, entry: str, expected: str) -> None:
    settings.TRUSTED_PROXY_COUNT = 1

    assert address(forwarded=entry) == expected


@pytest.mark.parametrize("entry", ["", "unknown", "_hidden", "198.51.100", "198.51.100.7.8", "x" * 10_000, "[::1", "1,", ":::"])
def test_entry_that_is_no_address_falls_back_to_the_peer(settings: Settings, entry: str) -> None:
    settings.TRUSTED_PROXY_COUNT = 1

    assert address(forwarded=entry) in (PEER, "::1")


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_ipv6_counts_by_its_64(given: str, key: str) -> None:
    assert address_key(given) == key
