"""
Passwords and e-mail addresses: changed by who is signed in, or by who has a token out of a mail.
"""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.serializers import MessageSerializer
from common.views import View

from .hashers import HashingBusy
from .password_serializers import EmailSerializer, EmailVerificationSerializer, PasswordChangeSerializer, PasswordResetSerializer
from .services import request_email_verification, request_password_reset
from .throttles import LoginThrottle, MailThrottle

PASSWORD_CHANGED = "Password changed"  # noqa: S105 - what is said


class CredentialsView(View):
    """
    Base of the views that read one body and say what they did.
    """

    may_be_shared = False
    tag = "Login"

    def validate(self, request: Request) -> Any:
        serializer = self.input_serializers["post"](data=self.read_body(), context={"request": request})
        serializer.is_valid(raise_exception=True)
        return serializer


class ChangePasswordView(CredentialsView):
    """
    Change the password. All other sessions of the user end; this one stays.
    """

    permission_classes = (IsAuthenticated,)
    input_serializers = {"post": PasswordChangeSerializer}
    refusals = {"post": (HashingBusy,)}

    def get_throttles(self) -> list[Any]:
        return [LoginThrottle(), *super().get_throttles()]

    def post(self, request: Request) -> Response:
        self.validate(request).save()
        return Response({"message": PASSWORD_CHANGED})


class MailView(CredentialsView):
    """
    Base of the views that have a mail sent: the answer is the same, and as fast, whether or not anybody has the address.
    """

    permission_classes = (AllowAny,)
    input_serializers = {"post": EmailSerializer}
    throttle_name = ""

    def get_throttles(self) -> list[Any]:
        return [MailThrottle(), *super().get_throttles()]


class ForgotPasswordView(MailView):
    """
    Ask for a mail with a token that sets a new password.

    The token is good for an hour, and once. The answer does not tell whether anybody has the address.
    """

    throttle_name = "forgot"

    @extend_schema(responses={202: MessageSerializer})
    def post(self, request: Request) -> Response:
        request_password_reset(self.validate(request).validated_data["email"])
        return Response({"message": "If the address is known, a mail is on its way"}, status.HTTP_202_ACCEPTED)


class ResendVerificationView(MailView):
    """
    Ask for another mail with a token that verifies the address.

    The answer does not tell whether anybody has the address, nor whether it is verified.
    """

    throttle_name = "resend"

    @extend_schema(responses={202: MessageSerializer})
    def post(self, request: Request) -> Response:
        request_email_verification(self.validate(request).validated_data["email"])
        return Response({"message": "If the address waits to be verified, a mail is on its way"}, status.HTTP_202_ACCEPTED)


class ResetPasswordView(CredentialsView):
    """
    Set a new password with the token out of a mail. All sessions of the user end.
    """

    permission_classes = (AllowAny,)
    input_serializers = {"post": PasswordResetSerializer}
    refusals = {"post": (HashingBusy,)}

    def post(self, request: Request) -> Response:
        self.validate(request).save()
        return Response({"message": PASSWORD_CHANGED})


class VerifyEmailView(CredentialsView):
    """
    Verify an e-mail address with the token out of a mail.
    """

    permission_classes = (AllowAny,)
    input_serializers = {"post": EmailVerificationSerializer}

    def post(self, request: Request) -> Response:
        self.validate(request).save()
        return Response({"message": "E-mail address verified"})
