"""
What the admin's pages share.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db import router, transaction
from django.db.models import Model, ProtectedError, QuerySet, RestrictedError
from django.db.models.deletion import Collector
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst

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
        Name the rows, and count what goes with them, of which there may be hundreds of thousands. Records that nobody may delete on their
        own, such as sessions, go with what they belong to.
        """
        rows = list(objs)
        collector = Collector(using=router.db_for_write(self.model), origin=objs)
        try:
            collector.collect(rows)
        except (ProtectedError, RestrictedError):
            # What is in the way is named.
            return super().get_deleted_objects(objs, request)
        counts = Counter({model: len(found) for model, found in collector.data.items()})
        for found in collector.fast_deletes:
            counts[found.model] += found.count()
        missing = {self.opts.verbose_name for row in rows if not self.has_delete_permission(request, row)}
        missing |= {model._meta.verbose_name for model in counts if counts[model] and not self._goes_along(request, model)}
        shown = {model._meta.verbose_name_plural: count for model, count in counts.items() if count}
        return [self._link(row) for row in rows], shown, missing, []

    def _goes_along(self, request: HttpRequest, model: type[Model]) -> bool:
        page = self.admin_site._registry.get(model)
        return page is None or page is self or isinstance(page, ReadOnlyAdmin) or page.has_delete_permission(request)

    def _link(self, row: Any) -> str:
        url = reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(row.pk)])
        return format_html('{}: <a href="{}">{}</a>', capfirst(self.opts.verbose_name), url, row)

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
