from common.routing import path

from .views import RateLimitViewSet, TierViewSet

urlpatterns = [
    path("tier", TierViewSet.as_view({"post": "create"}), name="tier-create"),
    path("tiers", TierViewSet.as_view({"get": "list"}), name="tier-list"),
    path("tier/<str:name>", TierViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}), name="tier-detail"),
    path("tier/<str:tier_name>/rate_limit", RateLimitViewSet.as_view({"post": "create"}), name="ratelimit-create"),
    path("tier/<str:tier_name>/rate_limits", RateLimitViewSet.as_view({"get": "list"}), name="ratelimit-list"),
    path(
        "tier/<str:tier_name>/rate_limit/<str:id>",
        RateLimitViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="ratelimit-detail",
    ),
]
