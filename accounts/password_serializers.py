"""
What reads passwords, e-mail addresses and the tokens in mails.
"""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.fields import empty

from common.addresses import client_address
from common.fields import EmailField, StringField
from common.serializers import StrictSerializer

from .guessing import knows_password
from .mail_tokens import EMAIL_VERIFICATION, PASSWORD_RESET, Purpose, user_of_token
from .models import User
from .serializers import MAX_PASSWORD_LENGTH, NewPasswordField, check_new_password
from .services import reset_password

WRONG_PASSWORD = ErrorDetail("This is not your password.", "value_error")
EXAMPLE_TOKEN = "1.1vMxyz.Hq3kzJ1y0mX5cVb8nZt2wQe7rUi9oPaSdFg"  # noqa: S105 - what one looks like


class PasswordChangeSerializer(StrictSerializer):
    example: ClassVar[dict[str, Any]] = {"current_password": "a long and winding road", "new_password": "the fool on the hill"}

    current_password = StringField(max_length=MAX_PASSWORD_LENGTH, write_only=True)
    new_password = NewPasswordField()

    def validate_current_password(self, value: str) -> str:
        request = self.context["request"]
        if not knows_password(request.user, value, client_address(request._request)):
            raise serializers.ValidationError([WRONG_PASSWORD])
        return value

    def validate_new_password(self, value: str) -> str:
        return check_new_password(value, self.context["request"].user)

    def create(self, validated_data: dict[str, Any]) -> User:
        request = self.context["request"]
        user: User = request.user
        if not user.change_password(validated_data["new_password"], keep=request.auth):
            # Another call has changed it meanwhile.
            raise serializers.ValidationError({"current_password": [WRONG_PASSWORD]})
        return user


class EmailSerializer(StrictSerializer):
    example: ClassVar[dict[str, Any]] = {"email": "alice@example.com"}

    email = EmailField()


class TokenField(StringField):
    """
    A token out of a mail, read as the user to whom it was sent.
    """

    bad = ErrorDetail("This token is not good, or not any more.", "value_error")

    def __init__(self, purpose: Purpose, **kwargs: Any) -> None:
        self.purpose = purpose
        super().__init__(**{"max_length": 500, **kwargs})

    def run_validation(self, data: Any = empty) -> Any:
        user = user_of_token(self.purpose, super().run_validation(data))
        if user is None:
            raise serializers.ValidationError([self.bad])
        return user


class PasswordResetSerializer(StrictSerializer):
    example: ClassVar[dict[str, Any]] = {"token": EXAMPLE_TOKEN, "new_password": "the fool on the hill"}

    token = TokenField(PASSWORD_RESET)
    new_password = NewPasswordField()

    owner: User | None = None

    def validate_token(self, user: User) -> User:
        self.owner = user
        return user

    def validate_new_password(self, value: str) -> str:
        return check_new_password(value, self.owner or User())

    def create(self, validated_data: dict[str, Any]) -> User:
        user: User = validated_data["token"]
        if not reset_password(user, validated_data["new_password"]):
            raise serializers.ValidationError({"token": [TokenField.bad]})
        return user


class EmailVerificationSerializer(StrictSerializer):
    example: ClassVar[dict[str, Any]] = {"token": EXAMPLE_TOKEN}

    token = TokenField(EMAIL_VERIFICATION)

    def create(self, validated_data: dict[str, Any]) -> User:
        user: User = validated_data["token"]
        if not user.verify_email():
            raise serializers.ValidationError({"token": [TokenField.bad]})
        return user
