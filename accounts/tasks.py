"""
What runs in the background: the mails, and the hourly housekeeping. Arguments name users by id; no record holds an address or a token.
"""

import logging

from celery import shared_task

from common.throttling import count
from tasks.functions import background_task
from tasks.watch import current_attempt

from . import housekeeping
from .mails import EMAIL_VERIFICATION_MAIL, PASSWORD_RESET_MAIL, Mail, TemporaryMailError
from .models import User

logger = logging.getLogger(__name__)
# Of each kind to each user, whoever asks and from however many addresses.
MAILS_PER_HOUR = 5

# A mail server that refuses for now often does so for minutes. What leaves the database is no part of a transaction.
mail_task = background_task(
    queue="mail",
    retry_on=(TemporaryMailError,),
    max_retries=5,
    backoff=30,
    soft_time_limit=60,
    time_limit=70,
    atomic=False,
    runs_without_queue=True,
)


@mail_task
def send_password_reset(user_id: int | None) -> None:
    """
    Send a token that sets a new password. For an address that nobody has there is no user, and nothing to send.
    """
    user = User.objects.usable().filter(pk=user_id).first()
    # Whose password was taken away does not get another one by mail.
    if user is not None and user.has_usable_password():
        _send(PASSWORD_RESET_MAIL, user)


@mail_task
def send_email_verification(user_id: int | None) -> None:
    """
    Send a token that verifies the user's address, unless that is done.
    """
    user = User.objects.usable().filter(pk=user_id).first()
    if user is not None and not user.is_email_verified:
        _send(EMAIL_VERIFICATION_MAIL, user)


@shared_task(name="accounts.remove_expired_sessions")
def remove_expired_sessions() -> None:
    housekeeping.remove_expired()


def _send(mail: Mail, user: User) -> None:
    # Another attempt at a mail is no further mail.
    if current_attempt() > 1 or count(f"mail:{mail.template}", f"user:{user.pk}", MAILS_PER_HOUR, 3600).is_admitted:
        mail.send(user)
    else:
        logger.warning("No more mails to this user for now: user_id=%s mail=%s", user.pk, mail.template)
