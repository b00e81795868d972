from collections.abc import Sequence
from typing import Any, cast

from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.addresses import client_address
from common.caching import cached
from common.counts import count_entry, kept_count
from common.exceptions import Conflict, Forbidden, NotFound, Unauthorized
from common.handlers import OUTDATED
from common.pagination import PageQuerySerializer
from common.parsers import JSONParser
from common.permissions import IsOwner, IsSuperuser
from common.serializers import MessageSerializer
from common.views import NOT_AUTHENTICATED, View, ViewSet, find
from tiers.limits import usages_of
from tiers.models import Tier
from tiers.serializers import UsagesSerializer

from .cookies import delete_refresh_cookie, given_refresh_token, require_trusted_origin, set_refresh_cookie
from .hashers import HashingBusy
from .models import LastSuperuser, Session, User
from .schema import BY_COOKIE, BY_TOKEN_OR_COOKIE, DELETES_COOKIE, SETS_COOKIE
from .serializers import (
    LoginSerializer,
    OwnUserSerializer,
    StrictLoginSerializer,
    TokenSerializer,
    UserCreateSerializer,
    UserRateLimitsSerializer,
    UserSerializer,
    UserTierSerializer,
    UserTierUpdateSerializer,
    UserUpdateSerializer,
)
from .services import EmailNotVerified, log_in
from .throttles import LoginThrottle, RegistrationThrottle
from .tokens import access_token, rotate, session_of_refresh_token

USER_COUNT = "user_count:all"


class WrongCredentials(Unauthorized):
    default_detail = "Wrong username, email or password."


class MissingRefreshToken(Unauthorized):
    default_detail = "Refresh token missing."


class InvalidRefreshToken(Unauthorized):
    default_detail = "Invalid refresh token."


class SessionView(View):
    """
    Base of the views that start, carry on and end a session.
    """

    permission_classes: Sequence[type[BasePermission]] = (AllowAny,)
    may_be_shared = False
    tag = "Login"

    def grant(self, session: Session) -> Response:
        response = Response(TokenSerializer({"access_token": access_token(session), "token_type": "bearer"}).data)
        set_refresh_cookie(response, session)
        return response


class LoginView(SessionView):
    """
    Log in by username or e-mail address.

    Answers with an access token, and with the refresh token as a cookie that scripts cannot read. A page of an origin that is neither this
    site's nor trusted logs nobody in: its form would have the browser carry on as somebody else.
    """

    authentication_classes = ()
    throttle_classes = (LoginThrottle,)
    parser_classes = (JSONParser, FormParser, MultiPartParser)
    refusals = {"post": (Forbidden, WrongCredentials, EmailNotVerified, HashingBusy)}

    @extend_schema(
        request={
            "application/x-www-form-urlencoded": LoginSerializer,
            "multipart/form-data": LoginSerializer,
            "application/json": StrictLoginSerializer,
        },
        responses=TokenSerializer,
        parameters=[SETS_COOKIE],
    )
    def post(self, request: Request) -> Response:
        require_trusted_origin(request._request)
        body = self.read_body()
        serializer = (LoginSerializer if isinstance(body, QueryDict) else StrictLoginSerializer)(data=body)
        serializer.is_valid(raise_exception=True)
        session = log_in(request._request, **serializer.validated_data)
        if session is None:
            raise WrongCredentials
        return self.grant(session)


class RefreshView(SessionView):
    """
    Exchange the refresh cookie for a new access token and a new cookie.
    """

    authentication_classes = ()
    refusals = {"post": (MissingRefreshToken, InvalidRefreshToken, Forbidden)}

    @extend_schema(operation_id="refreshToken", responses=TokenSerializer, parameters=[SETS_COOKIE], auth=BY_COOKIE)
    def post(self, request: Request) -> Response:
        require_trusted_origin(request._request)
        raw = given_refresh_token(request._request)
        if not raw:
            raise MissingRefreshToken
        session = rotate(raw, address=client_address(request._request))
        if session is None:
            raise InvalidRefreshToken
        return self.grant(session)


class LogoutView(SessionView):
    """
    End the session of the access token and that of the cookie; either alone is enough.
    """

    refusals = {"post": (Unauthorized(NOT_AUTHENTICATED), Unauthorized, Forbidden)}

    @extend_schema(responses=MessageSerializer, parameters=[DELETES_COOKIE], auth=BY_TOKEN_OR_COOKIE)
    def post(self, request: Request) -> Response:
        by_cookie = session_of_refresh_token(given_refresh_token(request._request))
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
    End all sessions of the user, on all devices, and in the admin.
    """

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=MessageSerializer, parameters=[DELETES_COOKIE])
    def post(self, request: Request) -> Response:
        cast("User", request.user).end_sessions()
        response = Response({"message": "Logged out everywhere"})
        delete_refresh_cookie(response)
        return response


class UserViewSet(ViewSet):
    queryset = User.objects.alive()
    serializer_class = UserSerializer
    input_serializers = {"create": UserCreateSerializer, "partial_update": UserUpdateSerializer, "set_tier": UserTierUpdateSerializer}
    output_serializers = {
        "create": OwnUserSerializer,
        "me": OwnUserSerializer,
        "my_rate_limits": UsagesSerializer,
        "rate_limits": UserRateLimitsSerializer,
        "tier": UserTierSerializer,
    }
    refusals = {
        "create": (HashingBusy,),
        "destroy": (LastSuperuser,),
        "destroy_row": (LastSuperuser,),
        "tier": (NotFound("Tier not found"),),
        "set_tier": (NotFound("Tier not found"), Conflict(OUTDATED)),
    }

    def get_permissions(self) -> list[BasePermission]:
        if self.action in ("destroy_row", "set_tier", "rate_limits"):
            return [IsSuperuser()]
        if self.action in ("partial_update", "destroy"):
            return [IsOwner()]
        return [IsAuthenticated()] if self.action in ("me", "my_rate_limits") else [AllowAny()]

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

    def count_rows(self, queryset: QuerySet[User], rows: Sequence[Any]) -> int:
        return kept_count(self.count_entry or count_entry(USER_COUNT), queryset.count)

    @cached("user_list:page_{page}_size_{items_per_page}", expire=60, query=PageQuerySerializer, count=USER_COUNT)
    def list(self, request: Request, **path: str) -> Response:
        return super().list(request, **path)

    @cached("users:{username}:profile")
    def retrieve(self, request: Request, **path: str) -> Response:
        return super().retrieve(request, **path)

    def create(self, request: Request, **path: str) -> Response:
        """
        Anyone may register. The answer shows the e-mail address, which nobody but the user and superusers will see.
        """
        return super().create(request, **path)

    @extend_schema(operation_id="getMe")
    def me(self, request: Request) -> Response:
        """
        Show the user who is signed in.
        """
        return self.show(request.user)

    @extend_schema(operation_id="getMyRateLimits")
    def my_rate_limits(self, request: Request, **path: str) -> Response:
        """
        Show the limits that hold for the user who is signed in.

        Those of their tier, and the default where the tier has none, each with what is used of it. Asking is not counted, unless a limit
        holds for this route itself.
        """
        return self.show({"data": usages_of(request.user)})

    def destroy(self, request: Request, **path: str) -> Response:
        """
        All sessions of the user end, and their posts are hidden; the username and the e-mail address stay taken.
        """
        return super().destroy(request, **path)

    def rate_limits(self, request: Request, **path: str) -> Response:
        """
        Show a user with the rate limits of their tier.
        """
        return self.show(self.get_object())

    @cached("user_tiers:{username}:tier")
    def tier(self, request: Request, **path: str) -> Response:
        """
        Show a user with their tier.
        """
        user = self.get_object()
        if user.tier is None:
            raise NotFound("Tier not found")
        return self.show(user)

    def set_tier(self, request: Request, **path: str) -> Response:
        """
        Give a user a tier, or with `null` take it away.
        """
        user = self.get_object()
        tier_id = self.validate(user).validated_data.get("tier_id", user.tier_id)
        user.tier = None if tier_id is None else find(Tier.objects.all(), pk=tier_id)
        user.save(update_fields=["tier"])
        return self.say(f"User {user.name} Tier updated")
