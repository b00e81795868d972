from typing import Any

from django.conf import settings
from rest_framework.request import Request

from common.throttling import AddressThrottle


class LoginThrottle(AddressThrottle):
    """
    Guard the login; each attempt counts, before the password is looked at, so that slow hashing cannot be had for free.
    """

    def get_rate(self, request: Request, view: Any) -> tuple[int, int] | None:
        return settings.LOGIN_RATE_LIMIT

    def get_name(self, request: Request, view: Any) -> str:
        return "login"


class RegistrationThrottle(AddressThrottle):
    """
    Guard the registration.
    """

    def get_rate(self, request: Request, view: Any) -> tuple[int, int] | None:
        return settings.REGISTRATION_RATE_LIMIT if self.may_hold(view) else None

    def may_hold(self, view: Any) -> bool:
        # The view's other actions are not registrations.
        return bool(view.action == "create")

    def get_name(self, request: Request, view: Any) -> str:
        return "registration"


class MailThrottle(AddressThrottle):
    """
    Guard what sends mails; the view's `throttle_name` is its counter.
    """

    def get_rate(self, request: Request, view: Any) -> tuple[int, int] | None:
        return settings.REGISTRATION_RATE_LIMIT

    def get_name(self, request: Request, view: Any) -> str:
        return str(view.throttle_name)
