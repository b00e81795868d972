"""
Counters, added up over gunicorn's processes, at `/metrics` in Prometheus' format, for `METRICS_NETWORKS` only.
"""

import ipaddress
import os

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from rest_framework.request import Request

from .addresses import client_address
from .counters import SCRAPED
from .exceptions import NotFound
from .health import LiveView


class MetricsView(LiveView):
    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:  # type: ignore[override] # Prometheus' format is not JSON
        if not may_read(request._request):
            raise NotFound
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        computed = CollectorRegistry()
        for collector in SCRAPED:
            computed.register(collector)
        return HttpResponse(generate_latest(registry) + generate_latest(computed), content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    """
    Say whether the caller is in `METRICS_NETWORKS`; never one whom a proxy that nobody declared hands on under its own address.
    """
    if not settings.TRUSTED_PROXY_COUNT and "HTTP_X_FORWARDED_FOR" in request.META:
        return False
    address = client_address(request)
    return bool(address) and any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in settings.METRICS_NETWORKS)
