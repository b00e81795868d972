from common.routing import path

from .views import PostViewSet

urlpatterns = [
    path("<str:username>/post", PostViewSet.as_view({"post": "create"}), name="post-create"),
    path("<str:username>/posts", PostViewSet.as_view({"get": "list"}), name="post-list"),
    path(
        "<str:username>/post/<str:id>",
        PostViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="post-detail",
    ),
    path("<str:username>/db_post/<str:id>", PostViewSet.as_view({"delete": "destroy_row"}), name="post-row"),
]
