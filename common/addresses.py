"""
The one place that says which address a request comes from.
"""

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """
    Return the caller's IP address as the trusted proxies report it, or an empty string where there is none (a Unix socket).

    Of `X-Forwarded-For` only the entry that the outermost of the `TRUSTED_PROXY_COUNT` proxies appended is read, so whatever a client puts
    before it buys nothing. An entry that is no address falls back to the peer's. IPv4 addresses mapped into IPv6 are returned as IPv4.
    """
    peer = _parse(request.META.get("REMOTE_ADDR", ""))
    return (forwarded_address(request) or peer) if settings.TRUSTED_PROXY_COUNT else peer


def forwarded_address(request: HttpRequest) -> str:
    """
    Return the caller's IP address as the trusted proxies report it, or an empty string where they report none, or there are none.
    """
    count = settings.TRUSTED_PROXY_COUNT
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", count)[-count:]
    return _parse(hops[0]) if count and len(hops) == count else ""


def address_key(address: str) -> str:
    """
    Return what counts as one caller: an IPv4 address, or the /64 of an IPv6 address, which one subscriber usually holds.
    """
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False).network_address) + "/64"


@lru_cache(maxsize=1024)
def _parse(text: str) -> str:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
