from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from common.caching import cached
from common.pagination import PageQuerySerializer
from common.permissions import IsOwner, IsSuperuser
from common.views import ViewSet, find

from .models import Post
from .serializers import PostInputSerializer, PostSerializer

User = get_user_model()


class PostViewSet(ViewSet):
    queryset = Post.objects.all()
    serializer_class = PostSerializer
    input_serializers = {"create": PostInputSerializer, "partial_update": PostInputSerializer}

    def get_permissions(self) -> list[BasePermission]:
        if self.action in ("list", "retrieve"):
            return [AllowAny()]
        return [IsSuperuser()] if self.action == "destroy_row" else [IsOwner()]

    def get_author(self) -> Any:
        return find(User.objects.alive(), username=self.kwargs["username"])

    def get_queryset(self) -> QuerySet[Post]:
        if "username" not in self.kwargs:
            return Post.objects.none()
        if self.action == "destroy_row":
            # A deleted post can still be removed.
            return Post.objects.filter(author=self.get_author())
        return Post.objects.alive().filter(author=self.get_author())

    def get_object(self) -> Any:
        post = find(self.get_queryset().select_related("author"), pk=self.path_id())
        self.check_object_permissions(self.request, post)
        return post

    def create(self, request: Request, **path: str) -> Response:
        author = self.get_author()
        self.check_object_permissions(request, author)
        return self.show(self.validate().save(author=author), 201)

    @cached("users:{username}:posts:page_{page}_size_{items_per_page}", expire=60, query=PageQuerySerializer, same_for_all=True)
    def list(self, request: Request, **path: str) -> Response:
        return super().list(request, **path)

    @cached("users:{username}:posts:post_{id}", same_for_all=True)
    def retrieve(self, request: Request, **path: str) -> Response:
        return super().retrieve(request, **path)
