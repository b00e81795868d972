from django.contrib import admin

from common.admin import ReadOnlyAdmin

from .models import Task


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = ("id", "function", "status", "owner", "queue_name", "attempt", "created_at", "started_at", "finished_at")
    list_filter = ("status", "function", "queue_name")
    list_select_related = ("owner",)
    search_fields = ("id", "owner__username")
