"""
Who may. Views that anyone may call say `permission_classes = [AllowAny]`; the default is a signed-in user.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from .exceptions import Forbidden

PRIVILEGES = "You do not have enough privileges."


class IsSuperuser(IsAuthenticated):
    """
    Allow superusers.
    """

    message = PRIVILEGES
    audience = "Only for superusers."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return super().has_permission(request, view) and request.user.is_superuser


class IsOwner(IsAuthenticated):
    """
    Allow the user whose object it is: the object itself, or what its model's `owner_field` (by default `user`) names.
    """

    message = Forbidden.default_detail
    audience = "Only for the user whose it is."

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        if obj._meta.model is type(request.user):
            return bool(obj.pk == request.user.pk)
        # The column, so that the owner's row is not read.
        return bool(getattr(obj, f"{getattr(obj, 'owner_field', 'user')}_id") == request.user.pk)


class MayReadDocs(BasePermission):
    """
    Open the API's documentation to anyone in local mode, else to superusers, by access token or by a session of the admin.
    """

    message = PRIVILEGES

    def has_permission(self, request: Request, view: APIView) -> bool:
        if settings.ENVIRONMENT == "local":
            return True
        # The session is asked anew: whom DRF has found nobody is that to Django's request too.
        user = request.user if request.user.is_authenticated else get_user(request._request)
        if user.is_authenticated and not user.is_superuser:
            # Who is signed in by a session only is anonymous to the API, which would answer 401.
            raise Forbidden(PRIVILEGES)
        return bool(user.is_authenticated)
