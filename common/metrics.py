"""
Counters, added up over gunicorn's processes, at `/metrics` in Prometheus' format, for `METRICS_NETWORKS` only.
"""

import ipaddress
import os
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from rest_framework.request import Request

from .addresses import client_address, forwarded_address
from .counters import REQUEST_SECONDS, REQUESTS, SCRAPED
from .health import LiveView
from .middleware import GetResponse
from .routing import readable

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CONNECTIONS = """
    SELECT coalesce(state, 'starting'), count(*), current_setting('max_connections')::int
    FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1
"""
# Each is shown when nobody is in it, too: a series that comes and goes cannot be compared with what it was.
STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)", "starting", "other")


class MetricsMiddleware:
    """
    Count each request and measure how long it took, by the route that it matched: nobody makes series by asking for what there is not.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        route = route_label(request)
        method = request.method if request.method in METHODS else "other"
        requests, seconds = _counters(method or "", route, response.status_code)
        requests.inc()
        seconds.observe(time.perf_counter() - started)
        return response


@lru_cache(maxsize=1024)
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    # Remembered here, as finding them by their labels takes longer than counting.
    return REQUESTS.labels(method, route, status), REQUEST_SECONDS.labels(route)


def route_label(request: HttpRequest) -> str:
    """
    Return the route that a request matched, such as `/api/v1/user/{username}`, or `unknown`; `static` for all that lies below that path.
    """
    if request.resolver_match:
        return "/" + readable(request.resolver_match.route).removesuffix("$")
    return "static" if request.path_info.startswith(settings.STATIC_URL) else "unknown"


class MetricsView(LiveView):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Others are answered as on an unknown path, so that neither a method nor a header tells them that it is there.
        if not may_read(request):
            raise Http404
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:  # type: ignore[override] # Prometheus' format is not JSON
        registry = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(REGISTRY)
        for collector in (DatabaseCollector(), *SCRAPED):
            registry.register(collector)
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class DatabaseCollector:
    """
    Ask the database who is connected to it: every process of every server, through whatever pool.
    """

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("database_up", "Whether the database answers.")
        open_ = GaugeMetricFamily("database_connections", "Connections to this database, of all clients.", labels=["state"])
        limit = GaugeMetricFamily("database_connections_limit", "Connections that the server takes at most.")
        try:
            with connection.cursor() as cursor:
                cursor.execute(CONNECTIONS)
                rows = cursor.fetchall()
        except DatabaseError:
            rows = []
        up.add_metric([], bool(rows))
        if rows:
            numbers = dict.fromkeys(STATES, 0)
            for state, number, _ in rows:
                numbers[state if state in numbers else "other"] += number
            for state, number in numbers.items():
                open_.add_metric([state], number)
            limit.add_metric([], rows[0][2])
        yield from (up, open_, limit)


def may_read(request: HttpRequest) -> bool:
    """
    Say whether the caller is in `METRICS_NETWORKS`; never one whom a proxy that nobody declared hands on under its own address, nor one of
    whom a proxy reports none.
    """
    # The proxy's own address does not stand in: it is in the networks where it is on this machine.
    address = forwarded_address(request) if "HTTP_X_FORWARDED_FOR" in request.META else client_address(request)
    return bool(address) and any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in settings.METRICS_NETWORKS)
