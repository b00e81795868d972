from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from common.exceptions import DuplicateValue
from common.fields import EmailField, IntegerField, StringField, URLField
from common.serializers import StrictModelSerializer, StrictSerializer

from .models import EMAIL_TAKEN, USERNAME_PATTERN, USERNAME_TAKEN, User, is_reserved, validate_not_blank


class UserSerializer(serializers.ModelSerializer[User]):
    """
    A user; the e-mail address is null unless the reader is that user or a superuser.
    """

    email = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: tuple[str, ...] = ("id", "name", "username", "email", "profile_image_url", "tier_id")

    def get_email(self, user: User) -> str | None:
        reader = self.context["request"].user
        return user.email if reader.is_superuser or reader.pk == user.pk else None


class OwnUserSerializer(UserSerializer):
    """
    A user as they see themselves.
    """

    def get_email(self, user: User) -> str | None:
        return user.email


class UserInputSerializer(StrictModelSerializer):
    name = StringField(min_length=2, max_length=30, validators=[validate_not_blank])
    username = StringField(min_length=2, max_length=20, pattern=USERNAME_PATTERN)
    email = EmailField()

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
    password = StringField(min_length=8, max_length=128, write_only=True)

    class Meta(UserInputSerializer.Meta):
        fields = ("name", "username", "email", "password")

    def validate_password(self, value: str) -> str:
        named = {name: text for name in ("name", "username", "email") if isinstance(text := self.initial_data.get(name), str)}
        try:
            validate_password(value, User(**named))
        except DjangoValidationError as exc:
            raise serializers.ValidationError(exc.messages[0], code="value_error") from None
        return value

    def create(self, validated_data: dict[str, Any]) -> User:
        return User.objects.create_user(**validated_data)


class UserUpdateSerializer(UserInputSerializer):
    profile_image_url = URLField()

    class Meta(UserInputSerializer.Meta):
        fields = ("name", "username", "email", "profile_image_url")


class UserTierUpdateSerializer(StrictSerializer):
    tier_id = IntegerField(allow_null=True)


class UserTierSerializer(UserSerializer):
    tier_name = serializers.CharField(source="tier.name")
    tier_created_at = serializers.DateTimeField(source="tier.created_at")

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "tier_name", "tier_created_at")


class LoginSerializer(serializers.Serializer[Any]):
    """
    A username or an e-mail address, and a password.
    """

    username = StringField(max_length=254)
    password = StringField(max_length=128)

    def to_internal_value(self, data: Any) -> Any:
        # A form is a QueryDict, whose repeated fields count once: the last.
        return super().to_internal_value(data.dict() if hasattr(data, "dict") else data)


class StrictLoginSerializer(StrictSerializer, LoginSerializer):
    """
    The same as JSON, where unknown fields are refused; a form passes over what OAuth2 clients add to it.
    """


class TokenSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    token_type = serializers.CharField(default="bearer")
