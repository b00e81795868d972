"""
How a request is read before any middleware sees it, and what of it is not believed.
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.urls import ResolverMatch
from django.utils.http import parse_header_parameters

from .routing import resolved

# What a proxy says about whom it asks for.
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_FORWARDED")


class UTF8Request(WSGIRequest):
    """
    A request in UTF-8, whatever `Content-Type` says.

    Django reads query and form in the charset that the client names; one that is no text encoding, such as `rot13`, raises before any
    middleware could answer.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    request_class = UTF8Request

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
            # Django reads no body without a length. One byte over the limit is enough for it to be refused.
            body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
            environ.update({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        if settings.TRUSTED_PROXY_COUNT and not is_trusted_proxy(environ.get("REMOTE_ADDR", "")):
            for name in FORWARDED:
                environ.pop(name, None)
        return super().__call__(environ, start_response)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        if hasattr(request, "urlconf"):
            return super().resolve_request(request)
        request.resolver_match = resolved(request.path_info, settings.ROOT_URLCONF)
        return request.resolver_match


@lru_cache(1024)
def is_trusted_proxy(address: str) -> bool:
    """
    Say whether a peer is in `TRUSTED_PROXY_NETWORKS`. One without an address came through a Unix socket, which files protect.
    """
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return not address
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in ipaddress.ip_network(network) for network in settings.TRUSTED_PROXY_NETWORKS)
