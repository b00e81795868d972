from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import SoftDeleteAdmin, SoftDeleteFilter
from tasks.services import enqueue

from .models import Post
from .tasks import export_posts


@admin.register(Post)
class PostAdmin(SoftDeleteAdmin):
    actions = (*SoftDeleteAdmin.actions, "export")
    list_display = ("title", "author", "created_at", "is_deleted")
    list_filter = (SoftDeleteFilter, "created_at")
    list_select_related = ("author",)
    search_fields = ("title", "author__username")
    autocomplete_fields = ("author",)
    readonly_fields = ("created_at", "updated_at", "deleted_at")

    @admin.action(description="Export all posts of their authors as CSV", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        """
        Start a task for each author of the chosen posts; it belongs to whoever asks.
        """
        authors = sorted(set(queryset.order_by().values_list("author_id", flat=True)))
        tasks = [enqueue(export_posts, author_id, owner_id=request.user.pk) for author_id in authors]
        self.message_user(request, "The result will be in: " + ", ".join(f"task {task.pk.hex}" for task in tasks))
