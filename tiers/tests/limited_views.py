"""
Views that name limits of their own, as `docs/limits.md` shows them.
"""

from collections.abc import Sequence
from typing import Any

from django.urls import include
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

import config.urls
from common.routing import path
from common.throttling import RateThrottle
from common.views import View
from tiers.throttles import TierThrottle


class ReportView(View):
    permission_classes = (AllowAny,)
    is_limited_by_default = True
    throttle_cost = 5

    def get(self, request: Request) -> Response:
        return Response({})


class ExportThrottle(RateThrottle):
    """
    Three exports of a project in a year, whoever asks.
    """

    def get_rate(self, request: Request, view: Any) -> tuple[int, int] | None:
        return 3, 31_536_000

    def get_name(self, request: Request, view: Any) -> str:
        return "exports"

    def get_subject(self, request: Request, view: Any) -> str:
        return f"project:{view.kwargs['project']}"


class ExportView(View):
    permission_classes = (AllowAny,)
    throttle_classes: Sequence[type[RateThrottle]] = (ExportThrottle,)

    def get(self, request: Request, project: str) -> Response:
        return Response({})


class ToldThrottle(ExportThrottle):
    is_told = True


class ToldView(ExportView):
    is_limited_by_default = True
    throttle_classes = (ToldThrottle, TierThrottle)


OWN = [
    path("report", ReportView.as_view()),
    path("export/<str:project>", ExportView.as_view()),
    path("told/<str:project>", ToldView.as_view()),
]
urlpatterns = [
    path("api/v1/", include(OWN)),
    *config.urls.urlpatterns,
]
