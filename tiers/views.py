from typing import Any

from django.db.models import QuerySet
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from common.caching import cached
from common.pagination import PageQuerySerializer
from common.permissions import IsSuperuser
from common.views import ViewSet, find

from .models import RateLimit, Tier, TierInUse
from .serializers import RateLimitInputSerializer, RateLimitSerializer, TierInputSerializer, TierSerializer


class SuperuserWritesViewSet(ViewSet):
    """
    Base of what anyone may read and superusers may write.
    """

    def get_permissions(self) -> list[BasePermission]:
        return [AllowAny()] if self.action in ("list", "retrieve") else [IsSuperuser()]


class TierViewSet(SuperuserWritesViewSet):
    queryset = Tier.objects.all()
    serializer_class = TierSerializer
    input_serializers = {"create": TierInputSerializer, "partial_update": TierInputSerializer}
    refusals = {"destroy": (TierInUse(2),)}

    @cached("tier_list:page_{page}_size_{items_per_page}", query=PageQuerySerializer, same_for_all=True)
    def list(self, request: Request, **path: str) -> Response:
        return super().list(request, **path)

    @cached("tiers:{name}:tier", same_for_all=True)
    def retrieve(self, request: Request, **path: str) -> Response:
        return super().retrieve(request, **path)

    def get_object(self) -> Tier:
        tier: Tier = find(self.get_queryset(), name=self.kwargs["name"])
        return tier


class RateLimitViewSet(SuperuserWritesViewSet):
    queryset = RateLimit.objects.all()
    serializer_class = RateLimitSerializer
    input_serializers = {"create": RateLimitInputSerializer, "partial_update": RateLimitInputSerializer}

    def get_tier(self) -> Tier:
        tier: Tier = find(Tier.objects.all(), name=self.kwargs["tier_name"])
        return tier

    def get_queryset(self) -> QuerySet[RateLimit]:
        if "tier_name" not in self.kwargs:
            return RateLimit.objects.none()
        return self.get_tier().rate_limits.all()

    def get_object(self) -> Any:
        return find(self.get_queryset(), pk=self.path_id())

    @cached("tiers:{tier_name}:limits:page_{page}_size_{items_per_page}", query=PageQuerySerializer, same_for_all=True)
    def list(self, request: Request, **path: str) -> Response:
        return super().list(request, **path)

    @cached("tiers:{tier_name}:limits:limit_{id}", same_for_all=True)
    def retrieve(self, request: Request, **path: str) -> Response:
        return super().retrieve(request, **path)

    def create(self, request: Request, **path: str) -> Response:
        tier = self.get_tier()
        return self.show(self.validate().save(tier=tier), 201)
