import uuid
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from redis.exceptions import RedisError

from common import broker
from common.admin import ReadOnlyAdmin

from . import counters
from .models import Status, Task
from .services import cancel, retry


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    actions = ("cancel", "retry")
    list_display = (
        "id",
        "function",
        "status",
        "progress",
        "owner",
        "queue_name",
        "attempt",
        "created_at",
        "started_at",
        "finished_at",
    )
    list_filter = ("status", "function", "queue_name", "created_at")
    list_select_related = ("owner",)
    search_fields = ("owner__username",)
    search_help_text = "A task's id, or its owner's username."
    change_list_template = "tasks/admin_task_list.html"

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Task], search_term: str) -> tuple[QuerySet[Task], bool]:
        """
        Find a task by its id, in hex as the API and the log show it or with dashes, and else by its owner.
        """
        try:
            return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Long texts are read where they are shown.
        return super().get_queryset(request).defer("result", "traceback")

    def has_run_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("tasks.change_task"))

    @admin.action(description="Cancel", permissions=["run"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        with transaction.atomic():
            cancelled = [task for task in queryset.order_by("pk") if cancel(task)]
            for task in cancelled:
                self.log_change(request, task, "Cancelled.")
        self.message_user(request, f"{len(cancelled)} cancelled.")

    @admin.action(description="Retry those that failed or were cancelled", permissions=["run"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        with transaction.atomic():
            tasks = list(queryset.filter(status__in=(Status.FAILED, Status.CANCELLED)).order_by("pk"))
            for task in tasks:
                self.log_change(request, task, f"Retried as task {retry(task).pk.hex}.")
        self.message_user(request, f"{len(tasks)} retried.")

    def get_urls(self) -> list[URLPattern]:
        return [path("queues/", self.admin_site.admin_view(self.queues_view), name="tasks_task_queues"), *super().get_urls()]

    def queues_view(self, request: HttpRequest) -> HttpResponse:
        """
        Show what waits in each queue, and which worker was lately seen to consume it.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = counters.queues()
        problems: list[str] = []
        lengths: dict[str, int] = {}
        consumers: list[broker.Consumer] = []
        try:
            lengths, consumers = broker.lengths(), broker.consumers()
            problems = [*broker.unconsumed(), *broker.hazards()]
        except RedisError as exc:
            problems = [f"The broker does not answer: {exc}"]
        rows = [{"name": name, "messages": lengths.get(name), **found[name]} for name in settings.TASK_QUEUES]
        context = {
            **self.admin_site.each_context(request),
            "title": "Queues and workers",
            "opts": self.opts,
            "rows": rows,
            "consumers": consumers,
            "problems": problems,
        }
        return render(request, "tasks/admin_queues.html", context)
