"""
The rate limits on a user's page in the admin.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from common.throttling import outage
from tiers.limits import reset_usages, usages_of

from .models import User


class LimitsMixin(admin.ModelAdmin[Any]):
    """
    Show which limits hold for a user and what of them is used, and let the user begin anew.
    """

    def get_urls(self) -> list[URLPattern]:
        page = path("<path:object_id>/reset_limits/", self.admin_site.admin_view(self.reset_limits_view), name="accounts_user_reset_limits")
        return [page, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: Any, add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> HttpResponse:
        if obj is not None:
            now = timezone.now()
            context["limits"] = [(usage, now + timedelta(seconds=usage.reset)) for usage in usages_of(obj)]
            context["are_limits_off"] = not settings.RATE_LIMIT_ENABLED
            context["is_redis_away"] = outage.is_on
        return super().render_change_form(request, context, add, change, form_url, obj)

    def reset_limits_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        user = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        if user is None:
            raise Http404
        self._reset(request, [user])
        return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))

    @admin.action(description="Reset usage of rate limits", permissions=["change"])
    def reset_limits(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._reset(request, list(queryset.order_by("pk")))

    def _reset(self, request: HttpRequest, users: list[User]) -> None:
        done = [user for user in users if reset_usages(user)]
        for user in done:
            self.log_change(request, user, "Usage of rate limits reset.")
        if done:
            self.message_user(request, f"{len(done)} may use their rate limits anew.")
        if len(done) < len(users):
            sentence = "Redis of the rate limits is away: each process counts on its own, and nothing was reset."
            self.message_user(request, sentence, messages.ERROR)
