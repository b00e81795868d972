"""
What staff who are no superusers may not do on the pages of users, whatever their permissions: change who may do what.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from .models import User

# What superusers alone give: the rights, and as in the API the tier.
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions", "tier")


class RightsMixin(admin.ModelAdmin[Any]):
    """
    Keep rights and tiers to superusers. To who is none, superusers and other staff are only shown: their permissions could be had by
    giving them another password or e-mail address.
    """

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_within_reach(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_within_reach(request, obj)

    def has_rights_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        """
        Do an action on those of the chosen who are within reach; it says how many they were.
        """
        if not request.user.is_superuser:
            queryset = queryset.filter(Q(is_staff=False) | Q(pk=request.user.pk), is_superuser=False)
        return super().response_action(request, queryset, *args)

    def _is_within_reach(self, request: HttpRequest, user: User | None) -> bool:
        if user is None or request.user.is_superuser:
            return True
        return not user.is_superuser and (not user.is_staff or user.pk == request.user.pk)
