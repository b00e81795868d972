from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from common.admin import ReadOnlyAdmin, SoftDeleteAdmin, SoftDeleteFilter
from tiers.models import Tier

from .limit_admin import LimitsMixin
from .models import Session, User
from .rights_admin import RightsMixin

admin.site.unregister((OutstandingToken, BlacklistedToken))
admin.site.unregister(Group)


class TierActionForm(ActionForm):
    tier = forms.ModelChoiceField(Tier.objects.all(), required=False, empty_label="no tier")


class UserCreateForm(AdminUserCreationForm[User]):
    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "name", "email", "is_email_verified", "tier")


@admin.register(User)
class UserAdmin(RightsMixin, LimitsMixin, SoftDeleteAdmin, DjangoUserAdmin[User]):
    form = UserChangeForm
    add_form = UserCreateForm
    action_form = TierActionForm
    actions = (*SoftDeleteAdmin.actions, "set_tier", "reset_limits", "end_sessions")
    list_display = ("username", "name", "email", "is_email_verified", "tier", "is_active", "is_superuser", "is_deleted", "created_at")
    list_filter = (SoftDeleteFilter, "is_active", "is_email_verified", "is_superuser", "tier")
    list_select_related = ("tier",)
    search_fields = ("username", "name", "email")
    ordering = ("id",)
    readonly_fields = ("created_at", "updated_at", "deleted_at", "last_login")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Profile", {"fields": ("name", "email", "is_email_verified", "profile_image_url", "tier")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Times", {"fields": ("created_at", "updated_at", "deleted_at", "last_login")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "name", "email", "is_email_verified", "tier")}),
        ("Password", {"classes": ("wide",), "fields": ("usable_password", "password1", "password2")}),
    )

    @admin.action(description="Set the tier chosen beside", permissions=["rights"])
    def set_tier(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        tier_id = request.POST.get("tier")
        tier = Tier.objects.filter(pk=tier_id).first() if tier_id else None
        users = list(queryset.order_by("pk"))
        with transaction.atomic():
            for user in users:
                user.tier = tier
                user.save(update_fields=["tier"])
                self.log_change(request, user, f"Tier set to {tier or 'none'}.")
        self.message_user(request, f"{len(users)} now in tier {tier or 'none'}.")

    @admin.action(description="End all sessions", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = list(queryset.order_by("pk"))
        with transaction.atomic():
            ended = sum(user.end_sessions() for user in users)
            for user in users:
                self.log_change(request, user, "All sessions ended.")
        self.message_user(request, f"{ended} sessions ended.")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    actions = ("end",)
    list_display = ("user", "created_at", "rotated_at", "expires_at", "ended_at", "ip_address", "user_agent")
    list_filter = ("ended_at",)
    list_select_related = ("user",)
    search_fields = ("user__username", "ip_address")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).order_by("-created_at")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_session"))

    @admin.action(description="End", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        sessions = list(queryset.filter(ended_at=None))
        with transaction.atomic():
            ended = Session.objects.filter(pk__in=[session.pk for session in sessions]).end()
            # One statement for all, as the end of them is.
            LogEntry.objects.log_actions(cast("int", request.user.pk), sessions, CHANGE, "Ended.")
        self.message_user(request, f"{ended} ended.")
