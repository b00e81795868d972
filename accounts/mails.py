"""
The mails to users, as text and HTML. Whatever fails is told without the address, which error messages of mail servers repeat.
"""

from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException, SMTPServerDisconnected
from typing import NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from .mail_tokens import EMAIL_VERIFICATION, PASSWORD_RESET, Purpose, make_token
from .models import User


class MailError(Exception):
    """
    The mail did not leave; the text names neither address nor token.
    """


class TemporaryMailError(MailError):
    """
    The mail did not leave for now: the server was not reached or asks to come again.
    """


class Mail(NamedTuple):
    """
    A mail with a token: `page` is where its link leads below `FRONTEND_URL`, `path` the API's route that takes the token.
    """

    purpose: Purpose
    template: str
    subject: str
    page: str
    path: str

    def send(self, user: User) -> None:
        """
        Send it to the user's address, or raise `MailError`; `TemporaryMailError` where another attempt may succeed.
        """
        if not settings.EMAIL_ENABLED:
            raise MailError("EMAIL_URL is not set.")
        token = make_token(self.purpose, user)
        context = {
            "app_name": settings.APP_NAME,
            # Not the name: anyone may write what they like into it and have it sent to a stranger's address.
            "username": user.username,
            "hours": getattr(settings, self.purpose.timeout) // 3600,
            "token": token,
            "path": f"/api/v1/{self.path}",
            "link": f"{settings.FRONTEND_URL}/{self.page}?token={token}" if settings.FRONTEND_URL else "",
        }
        text, html = (render_to_string(f"accounts/mail/{self.template}.{kind}", context) for kind in ("txt", "html"))
        message = EmailMultiAlternatives(f"{settings.APP_NAME}: {self.subject}", text, to=[user.email])
        message.attach_alternative(html, "text/html")
        try:
            message.send()
        except (SMTPException, OSError, ValueError) as exc:
            raise mail_error(exc) from None


def mail_error(exc: Exception) -> MailError:
    """
    Return what is raised instead of this error: it names neither address nor token, and says whether another attempt may succeed.
    """
    name = type(exc).__name__
    if isinstance(exc, SMTPResponseException):
        name, codes = f"{name} {exc.smtp_code}", [exc.smtp_code]
    elif isinstance(exc, SMTPRecipientsRefused):
        codes = [code for code, _ in exc.recipients.values()]
    else:
        # Every error of SMTP is an `OSError` too.
        is_temporary = isinstance(exc, SMTPServerDisconnected) or (isinstance(exc, OSError) and not isinstance(exc, SMTPException))
        return TemporaryMailError(name) if is_temporary else MailError(name)
    # 4xx is what a mail server says when it might take the mail later.
    return TemporaryMailError(name) if all(400 <= code < 500 for code in codes) else MailError(name)


PASSWORD_RESET_MAIL = Mail(PASSWORD_RESET, "password_reset", "Set a new password", "reset-password", "password/reset")
EMAIL_VERIFICATION_MAIL = Mail(EMAIL_VERIFICATION, "email_verification", "Verify your e-mail address", "verify-email", "email/verify")
