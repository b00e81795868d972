from collections.abc import Sequence
from typing import Any, cast

from django.contrib.auth import authenticate
from django.http import QueryDict
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from common.addresses import client_address
from common.exceptions import NotFound, Unauthorized
from common.parsers import JSONParser
from common.permissions import IsOwner, IsSuperuser
from common.views import View, ViewSet, find
from tiers.models import RateLimit, Tier
from tiers.serializers import RateLimitDetailSerializer

from .cookies import REFRESH_COOKIE, delete_refresh_cookie, require_trusted_origin, set_refresh_cookie
from .models import Session, User
from .serializers import (
    LoginSerializer,
    OwnUserSerializer,
    StrictLoginSerializer,
    TokenSerializer,
    UserCreateSerializer,
    UserSerializer,
    UserTierSerializer,
    UserTierUpdateSerializer,
    UserUpdateSerializer,
)
from .throttles import LoginThrottle, RegistrationThrottle
from .tokens import access_token, rotate, session_of_refresh_token


class SessionView(View):
    """
    Base of the views that start, carry on and end a session.
    """

    permission_classes: Sequence[type[BasePermission]] = (AllowAny,)
    throttle_classes: Sequence[type[BaseThrottle]] = ()
    may_be_shared = False

    def grant(self, session: Session) -> Response:
        response = Response(TokenSerializer({"access_token": access_token(session), "token_type": "bearer"}).data)
        set_refresh_cookie(response, session)
        return response


class LoginView(SessionView):
    """
    Log in by username or e-mail address.

    Answers with an access token, and with the refresh token as a cookie that scripts cannot read.
    """

    authentication_classes = ()
    throttle_classes = (LoginThrottle,)
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    def post(self, request: Request) -> Response:
        body = self.read_body()
        serializer = (LoginSerializer if isinstance(body, QueryDict) else StrictLoginSerializer)(data=body)
        serializer.is_valid(raise_exception=True)
        user = authenticate(request._request, **serializer.validated_data)
        if user is None:
            raise Unauthorized("Wrong username, email or password.")
        address = client_address(request._request)
        return self.grant(Session.start(user, ip_address=address, user_agent=request.META.get("HTTP_USER_AGENT", "")))


class RefreshView(SessionView):
    """
    Exchange the refresh cookie for a new access token and a new cookie.
    """

    authentication_classes = ()

    def post(self, request: Request) -> Response:
        require_trusted_origin(request._request)
        raw = request.COOKIES.get(REFRESH_COOKIE)
        if not raw:
            raise Unauthorized("Refresh token missing.")
        session = rotate(raw, address=client_address(request._request))
        if session is None:
            raise Unauthorized("Invalid refresh token.")
        return self.grant(session)


class LogoutView(SessionView):
    """
    End the session of the access token and that of the cookie; either alone is enough.
    """

    def post(self, request: Request) -> Response:
        by_cookie = session_of_refresh_token(request.COOKIES.get(REFRESH_COOKIE, ""))
        if request.user.is_authenticated:
            ended = {request.auth.pk, *([by_cookie.pk] if by_cookie and by_cookie.user_id == request.user.pk else [])}
        elif by_cookie is not None:
            require_trusted_origin(request._request)
            ended = {by_cookie.pk}
        else:
            self.permission_denied(request)
        Session.objects.filter(pk__in=ended).end()
        response = Response({"message": "Logged out successfully"})
        delete_refresh_cookie(response)
        return response


class LogoutAllView(SessionView):
    """
    End all sessions of the user, on all devices.
    """

    permission_classes = (IsAuthenticated,)

    def post(self, request: Request) -> Response:
        Session.objects.filter(user=cast("User", request.user)).end()
        response = Response({"message": "Logged out everywhere"})
        delete_refresh_cookie(response)
        return response


class UserViewSet(ViewSet):
    queryset = User.objects.alive()
    serializer_class = UserSerializer
    input_serializers = {"create": UserCreateSerializer, "partial_update": UserUpdateSerializer, "set_tier": UserTierUpdateSerializer}
    lookup_field = "username"

    def get_permissions(self) -> list[BasePermission]:
        if self.action in ("destroy_row", "set_tier", "rate_limits"):
            return [IsSuperuser()]
        if self.action in ("partial_update", "destroy"):
            return [IsOwner()]
        return [IsAuthenticated()] if self.action == "me" else [AllowAny()]

    def get_throttles(self) -> list[Any]:
        return [RegistrationThrottle(), *super().get_throttles()]

    def get_object(self) -> User:
        # The row of a deleted user can still be removed.
        queryset = User.objects.all() if self.action == "destroy_row" else self.get_queryset()
        if self.action == "tier":
            queryset = queryset.select_related("tier")
        user: User = find(queryset, username=self.kwargs["username"])
        self.check_object_permissions(self.request, user)
        return user

    def create(self, request: Request, **path: str) -> Response:
        user = self.validate().save()
        return Response(OwnUserSerializer(user).data, 201)

    def me(self, request: Request) -> Response:
        return Response(OwnUserSerializer(cast("User", request.user)).data)

    def rate_limits(self, request: Request, **path: str) -> Response:
        user = self.get_object()
        limits = RateLimit.objects.filter(tier_id=user.tier_id) if user.tier_id else RateLimit.objects.none()
        return Response({**self.get_serializer(user).data, "tier_rate_limits": RateLimitDetailSerializer(limits, many=True).data})

    def tier(self, request: Request, **path: str) -> Response:
        user = self.get_object()
        if user.tier is None:
            raise NotFound("Tier not found")
        return Response(UserTierSerializer(user, context=self.get_serializer_context()).data)

    def set_tier(self, request: Request, **path: str) -> Response:
        user = self.get_object()
        tier_id = self.validate(user).validated_data.get("tier_id", user.tier_id)
        user.tier = None if tier_id is None else find(Tier.objects.all(), pk=tier_id)
        user.save(update_fields=["tier"])
        return self.say(f"User {user.name} Tier updated")
