"""
What every response gets: an id and a log line, the headers of a limit that held, and what caches may do with it.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers, get_conditional_response, patch_vary_headers, set_response_etag

from .addresses import client_address
from .exceptions import RateLimited, ServiceUnavailable
from .headers import SECURITY_HEADERS

GetResponse = Callable[[HttpRequest], HttpResponse]
logger = logging.getLogger("request")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLogMiddleware:
    """
    Give each request an id, take the client's own if it is sane, and write one line about it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            match = request.resolver_match
            fields = {
                "method": request.method,
                "route": match.route if match else None,
                "status": response.status_code,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "user_id": getattr(request, "api_user_id", None),
                "address": client_address(request),
            }
            logger.info("Request finished", extra=fields)
        return response


class SecurityHeadersMiddleware:
    """
    Tell browsers what a response may do, also where a middleware further in has refused. What a view says of its own answer stays.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class RateLimitHeadersMiddleware:
    """
    Tell the caller about the limit that holds for them, whatever the answer is.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        usage = getattr(request, "rate_limit_usage", None)
        if usage is not None:
            for name, value in usage.headers().items():
                response[name] = value
        return response


class ClientCacheMiddleware:
    """
    Let clients and shared caches keep what anyone may read, for `CLIENT_CACHE_MAX_AGE` seconds; nobody keeps anything else of the API.

    A view marks what anyone may read by `response.is_public = True`.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path_info.startswith("/admin/") or (request.path_info.startswith(settings.STATIC_URL) and response.status_code < 400):
            return response
        if not self.is_public(request, response):
            response["Cache-Control"] = "private, no-store"
            return response
        age = settings.CLIENT_CACHE_MAX_AGE
        response["Cache-Control"] = f"public, max-age={age}" if age else "no-cache"
        patch_vary_headers(response, ["Authorization"])
        if not response.has_header("ETag"):
            set_response_etag(response)
        return get_conditional_response(request, etag=response["ETag"], response=response) or response

    def is_public(self, request: HttpRequest, response: HttpResponse) -> bool:
        return (
            getattr(response, "is_public", False)
            and request.method in ("GET", "HEAD")
            and response.status_code == 200
            and "HTTP_AUTHORIZATION" not in request.META
            and getattr(request, "rate_limit_usage", None) is None
        )


class RefusalPageMiddleware:
    """
    Show as a page what a page is refused for now: the admin raises what the API raises, where DRF does not answer.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, RateLimited | ServiceUnavailable):
            return None
        wait = getattr(exception, "wait", None)
        context = {"title": "Not now", "sentence": exception.detail, "wait": wait}
        response = render(request, "common/refused.html", context, status=exception.status_code)
        if wait:
            response["Retry-After"] = wait
        add_never_cache_headers(response)
        return response
