import uuid

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin

from .models import Task


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = ("id", "function", "status", "owner", "queue_name", "attempt", "created_at", "started_at", "finished_at")
    list_filter = ("status", "function", "queue_name")
    list_select_related = ("owner",)
    search_fields = ("owner__username",)
    search_help_text = "A task's id, or its owner's username."

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Task], search_term: str) -> tuple[QuerySet[Task], bool]:
        """
        Find a task by its id, in hex as the API and the log show it or with dashes, and else by its owner.
        """
        try:
            return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
