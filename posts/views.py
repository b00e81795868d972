from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet, Subquery
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from common.cache import word
from common.caching import cached
from common.counts import count_entry, kept_count
from common.pagination import PageQuerySerializer
from common.permissions import IsOwner, IsSuperuser
from common.views import ViewSet, find, named

from .models import Post
from .serializers import PostInputSerializer, PostSerializer

User = get_user_model()
POST_COUNT = "post_counts:{username}:all"


class PostViewSet(ViewSet):
    queryset = Post.objects.all()
    serializer_class = PostSerializer
    input_serializers = {"create": PostInputSerializer, "partial_update": PostInputSerializer}

    def get_permissions(self) -> list[BasePermission]:
        if self.action in ("list", "retrieve"):
            return [AllowAny()]
        return [IsSuperuser()] if self.action == "destroy_row" else [IsOwner()]

    @cached_property
    def author(self) -> Any:
        return find(User.objects.alive(), username=self.kwargs["username"])

    def get_queryset(self) -> QuerySet[Post]:
        if "username" not in self.kwargs:
            return Post.objects.none()
        # Author and posts are looked up in one statement, which uses the index of an author's posts as it does for a known id.
        author = named(User.objects.alive(), username=self.kwargs["username"]).order_by()
        # A deleted post can still be removed.
        posts = Post.objects.all() if self.action == "destroy_row" else Post.objects.filter(deleted_at__isnull=True)
        return posts.filter(author=Subquery(author.values("pk")))

    def get_object(self) -> Any:
        post = self.found(lambda: find(self.get_queryset(), pk=self.path_id()))
        self.check_object_permissions(self.request, post)
        return post

    def paginate_queryset(self, queryset: Any) -> Any:
        return self.found(lambda: super(PostViewSet, self).paginate_queryset(queryset.all()))

    def found(self, look: Callable[[], Any]) -> Any:
        """
        Return what is found, or refuse as `look` does; that there is no such author comes first.
        """
        try:
            if found := look():
                return found
        except APIException:
            pass
        _ = self.author
        # They are there: what was not found before may be of who has come back, or taken this name, meanwhile.
        return look()

    def count_rows(self, queryset: QuerySet[Post], rows: Sequence[Any]) -> int:
        author_id = rows[0].author_id if rows else self.author.pk
        entry = self.count_entry or count_entry(POST_COUNT.format(username=word(self.kwargs["username"])))
        return kept_count(entry, Post.objects.alive().filter(author=author_id).count, owner_id=author_id)

    def create(self, request: Request, **path: str) -> Response:
        # Who writes under their own name has just been looked up; the write locks their row.
        author = request.user if request.user.username == path["username"] else self.author
        self.check_object_permissions(request, author)
        return self.show(self.validate().save(author=author), 201)

    @cached(
        "users:{username}:posts:page_{page}_size_{items_per_page}",
        expire=60,
        query=PageQuerySerializer,
        same_for_all=True,
        count=POST_COUNT,
    )
    def list(self, request: Request, **path: str) -> Response:
        return super().list(request, **path)

    @cached("users:{username}:posts:post_{id}", same_for_all=True)
    def retrieve(self, request: Request, **path: str) -> Response:
        return super().retrieve(request, **path)
