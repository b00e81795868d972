from django.contrib import admin

from common.admin import SoftDeleteAdmin, SoftDeleteFilter

from .models import Post


@admin.register(Post)
class PostAdmin(SoftDeleteAdmin):
    list_display = ("title", "author", "created_at", "is_deleted")
    list_filter = (SoftDeleteFilter, "created_at")
    list_select_related = ("author",)
    search_fields = ("title", "author__username")
    autocomplete_fields = ("author",)
    readonly_fields = ("created_at", "updated_at", "deleted_at")
