from functools import cached_property
from typing import Any, ClassVar

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from common.exceptions import DuplicateValue
from common.fields import EmailField, IntegerField, StringField, URLField
from common.serializers import RowSerializer, StrictModelSerializer, StrictSerializer
from tiers.models import RateLimit
from tiers.serializers import RateLimitDetailSerializer

from .models import (
    DEFAULT_PROFILE_IMAGE_URL,
    EMAIL_TAKEN,
    USERNAME_PATTERN,
    USERNAME_TAKEN,
    Session,
    User,
    is_reserved,
    validate_not_blank,
)

# Of a password that is asked for as of a new one: who could set a longer one could not log in with it.
MAX_PASSWORD_LENGTH = 128


class NewPasswordField(StringField):
    """
    A password to be: 8 to 128 characters, held to Django's validators by `check_new_password()`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_length": 8, "max_length": MAX_PASSWORD_LENGTH, "write_only": True, **kwargs})


def check_new_password(value: str, user: User) -> str:
    """
    Return the password, or refuse one that is too common, or too like what is known of the user.
    """
    try:
        validate_password(value, user)
    except DjangoValidationError as exc:
        raise serializers.ValidationError(exc.messages[0], code="value_error") from None
    return value


class UserSerializer(RowSerializer[User]):
    """
    A user; the e-mail address is null unless the reader is that user or a superuser.
    """

    example: ClassVar[dict[str, Any]] = {
        "id": 1,
        "name": "Alice Jones",
        "username": "alice",
        "email": None,
        "profile_image_url": DEFAULT_PROFILE_IMAGE_URL,
        "tier_id": None,
    }

    reads = ("id", "email")
    email = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: tuple[str, ...] = ("id", "name", "username", "email", "profile_image_url", "tier_id")

    @cached_property
    def reader(self) -> Any:
        return self.context["request"].user

    def get_email(self, user: User) -> str | None:
        return user.email if self.reader.is_superuser or self.reader.pk == user.id else None


class OwnUserSerializer(UserSerializer):
    """
    A user as they see themselves.
    """

    example = {**UserSerializer.example, "email": "alice@example.com"}

    def get_email(self, user: User) -> str:
        return user.email


class UserInputSerializer(StrictModelSerializer):
    name = StringField(min_length=2, max_length=30, validators=[validate_not_blank], help_text="Not only blanks.")
    username = StringField(min_length=2, max_length=20, pattern=USERNAME_PATTERN)
    email = EmailField(help_text="Kept in lower case.")

    class Meta:
        model = User
        fields: tuple[str, ...] = ("name", "username", "email")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if is_reserved(attrs.get("username", "")):
            # An address that is taken is told first, as the database does for names that are taken.
            taken = "email" in attrs and User.objects.filter(email=attrs["email"]).exclude(pk=self.instance and self.instance.pk).exists()
            raise DuplicateValue(EMAIL_TAKEN if taken else USERNAME_TAKEN)
        return attrs


class UserCreateSerializer(UserInputSerializer):
    example = {"name": "Alice Jones", "username": "alice", "email": "alice@example.com", "password": "a long and winding road"}

    password = NewPasswordField()

    class Meta(UserInputSerializer.Meta):
        fields = ("name", "username", "email", "password")

    def validate_password(self, value: str) -> str:
        return check_new_password(value, User(**self._named()))

    def _named(self) -> dict[str, str]:
        """
        Return what the body says of the user, good in form or not, that is no longer than it may be: a password is compared with each word.
        """
        fields: dict[str, Any] = {name: self.fields[name] for name in ("name", "username", "email")}
        given = {name: self.initial_data.get(name) for name in fields}
        return {name: text for name, text in given.items() if isinstance(text, str) and len(text) <= fields[name].max_length}

    def create(self, validated_data: dict[str, Any]) -> User:
        return User.objects.create_user(**validated_data)


class UserUpdateSerializer(UserInputSerializer):
    example = {"name": "Alice Smith"}

    profile_image_url = URLField()

    class Meta(UserInputSerializer.Meta):
        fields = ("name", "username", "email", "profile_image_url")


class UserTierUpdateSerializer(StrictSerializer):
    example = {"tier_id": 1}

    tier_id = IntegerField(allow_null=True, help_text="Null takes the tier away.")


class UserTierSerializer(UserSerializer):
    """
    A user with their tier.
    """

    example = {**UserSerializer.example, "tier_id": 1, "tier_name": "free", "tier_created_at": "2026-01-31T12:00:00Z"}

    tier_name = serializers.CharField(source="tier.name")
    tier_created_at = serializers.DateTimeField(source="tier.created_at")

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "tier_name", "tier_created_at")


class UserRateLimitsSerializer(UserSerializer):
    """
    A user with the rate limits of their tier, none without one.
    """

    example = {**UserSerializer.example, "tier_id": 1, "tier_rate_limits": [RateLimitDetailSerializer.example]}

    tier_rate_limits = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "tier_rate_limits")

    @extend_schema_field(RateLimitDetailSerializer(many=True))
    def get_tier_rate_limits(self, user: User) -> Any:
        limits = RateLimit.objects.filter(tier_id=user.tier_id) if user.tier_id else RateLimit.objects.none()
        return RateLimitDetailSerializer(limits, many=True).data


@extend_schema_serializer(component_name="LoginForm")
class LoginSerializer(serializers.Serializer[Any]):
    """
    A username or an e-mail address, and a password.
    """

    example = {"username": "alice", "password": "a long and winding road"}

    username = StringField(max_length=254, help_text="A username or an e-mail address, in any case.")
    password = StringField(max_length=MAX_PASSWORD_LENGTH)

    def to_internal_value(self, data: Any) -> Any:
        # A form is a QueryDict, whose repeated fields count once: the last.
        return super().to_internal_value(data.dict() if hasattr(data, "dict") else data)


@extend_schema_serializer(component_name="Login")
class StrictLoginSerializer(StrictSerializer, LoginSerializer):
    """
    The same as JSON, where unknown fields are refused; a form passes over what OAuth2 clients add to it.
    """


class SessionSerializer(RowSerializer[Session]):
    """
    One login on one device; `current` is the one that asks.
    """

    example: ClassVar[dict[str, Any]] = {
        "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "created_at": "2026-01-31T12:00:00Z",
        "last_refreshed_at": "2026-01-31T12:30:00Z",
        "expires_at": "2026-02-07T12:30:00Z",
        "ip_address": "192.0.2.1",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "current": True,
    }

    last_refreshed_at = serializers.DateTimeField(source="rotated_at", help_text="When it began, or was refreshed last.")
    reads = ("id",)
    current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = ("id", "created_at", "last_refreshed_at", "expires_at", "ip_address", "user_agent", "current")

    def get_current(self, session: Session) -> bool:
        return bool(session.id == self.context["request"].auth.pk)


class TokenSerializer(serializers.Serializer[Any]):
    example = {"access_token": "eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IV7pAx_Zmeo", "token_type": "bearer"}

    access_token = serializers.CharField()
    token_type = serializers.CharField(default="bearer")
