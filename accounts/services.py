"""
What spans users, their sessions and their mails.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from common.addresses import client_address
from common.exceptions import Forbidden
from tasks.services import enqueue

from .models import Session, User
from .tasks import send_email_verification, send_password_reset


class EmailNotVerified(Forbidden):
    default_detail = "Verify your e-mail address first."


def log_in(request: HttpRequest, **credentials: Any) -> Session | None:
    """
    Return a new session, or `None` for wrong credentials; raises `EmailNotVerified` for right ones of who has to do that first.
    """
    # A second look, for a password that was changed, or hashed anew by another login, between the first look and the session's start.
    for _ in range(2):
        user = authenticate(request, **credentials)
        if not isinstance(user, User):
            return None
        if settings.REQUIRE_VERIFIED_EMAIL and not user.is_email_verified:
            raise EmailNotVerified
        session = Session.start(user, ip_address=client_address(request), user_agent=request.META.get("HTTP_USER_AGENT", ""))
        if session is not None:
            return session
    return None


def request_password_reset(email: str) -> None:
    """
    Have a mail sent if somebody has this address. The work is the same if nobody has, and so is the time that it takes.
    """
    enqueue(send_password_reset, _user_id(email))


def request_email_verification(email: str) -> None:
    """
    Have a mail sent if somebody has this address and has not verified it; what `request_password_reset()` promises holds here too.
    """
    send_verification(_user_id(email))


def send_verification(user_id: int | None) -> None:
    enqueue(send_email_verification, user_id)


def reset_password(user: User, new_password: str) -> bool:
    """
    Set the password of a user who was sent a token for that, and end all sessions; return whether no other call was first.
    """
    if not user.change_password(new_password):
        return False
    # Whoever has the token reads mails to that address.
    user.verify_email()
    return True


def _user_id(email: str) -> int | None:
    user_id: int | None = User.objects.filter(email=email).values_list("pk", flat=True).first()
    return user_id
