"""
Who may. Views that anyone may call say `permission_classes = [AllowAny]`; the default is a signed-in user.
"""

from typing import Any

from django.conf import settings
from django.http import Http404
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from .exceptions import Forbidden, Unauthorized

PRIVILEGES = "You do not have enough privileges."


class IsSuperuser(IsAuthenticated):
    """
    Allow superusers.
    """

    message = PRIVILEGES

    def has_permission(self, request: Request, view: APIView) -> bool:
        return super().has_permission(request, view) and request.user.is_superuser


class IsOwner(IsAuthenticated):
    """
    Allow the user whose object it is: the object itself, or what its model's `owner_field` (by default `user`) names.
    """

    message = Forbidden.default_detail

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        owner_id = obj.pk if obj._meta.model is type(request.user) else getattr(obj, f"{obj.owner_field}_id")
        return bool(owner_id == request.user.pk)


class MayReadDocs(BasePermission):
    """
    Open the API's documentation to anyone in local mode, to superusers in staging, to nobody in production.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if settings.ENVIRONMENT == "production":
            raise Http404
        if settings.ENVIRONMENT == "local":
            return True
        user = request.user if request.user.is_authenticated else getattr(request._request, "user", request.user)
        if not user.is_authenticated:
            raise Unauthorized
        if not user.is_superuser:
            raise Forbidden(PRIVILEGES)
        return True
