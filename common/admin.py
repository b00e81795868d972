"""
What the admin's pages share.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from .exceptions import Conflict


class ConflictMessagesMixin(admin.ModelAdmin[Any]):
    """
    Show what a model refuses, such as the end of the last superuser, as a message on the page.
    """

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._explain(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._explain(request, super().delete_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._explain(request, super().changelist_view, *args, **kwargs)

    def _explain(self, request: HttpRequest, view: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, *args, **kwargs)
        except Conflict as exc:
            self.message_user(request, str(exc.detail), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return response


class SoftDeleteFilter(admin.SimpleListFilter):
    title = "deleted"
    parameter_name = "deleted"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() == "no")


class SoftDeleteAdmin(ConflictMessagesMixin):
    """
    Base for rows that can be marked as deleted, brought back, or removed.
    """

    actions: Sequence[str] = ("soft_delete", "restore")

    @admin.display(description="deleted", boolean=True, ordering="deleted_at")
    def is_deleted(self, row: Any) -> bool:
        return bool(row.is_deleted)

    @admin.action(description="Mark as deleted", permissions=["change"])
    def soft_delete(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset.filter(deleted_at__isnull=True), "soft_delete", "marked as deleted")

    @admin.action(description="Restore", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset.filter(deleted_at__isnull=False), "restore", "restored")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """
        Let records that nobody may delete on their own, such as sessions, go with what they belong to.
        """
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        records = {model._meta.verbose_name for model, page in self.admin_site._registry.items() if isinstance(page, ReadOnlyAdmin)}
        return deleted, counts, missing - records, protected

    def _each(self, request: HttpRequest, queryset: QuerySet[Any], method: str, done: str) -> None:
        rows = list(queryset.order_by("pk"))
        # All or none: a row that is refused leaves nothing half done.
        with transaction.atomic():
            for row in rows:
                getattr(row, method)()
                self.log_change(request, row, f"{done.capitalize()}.")
        self.message_user(request, f"{len(rows)} {done}.")


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """
    Base for records that only the code writes.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
