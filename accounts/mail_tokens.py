"""
The tokens in mails: signed, with a life of their own, and bound to what they change, so that none outlives its use. No table holds them.
"""

import re
from typing import NamedTuple

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

from .models import User

SEPARATOR = "."


class Purpose(NamedTuple):
    """
    What a token is good for: until one of `bound_to` changes, for the seconds that the setting `timeout` gives.
    """

    name: str
    bound_to: tuple[str, ...]
    timeout: str

    def signer(self, user: User) -> TimestampSigner:
        # The salt is part of the key: a token of before a change has a signature that is wrong after it.
        values = [self.name, *(str(getattr(user, name)) for name in self.bound_to)]
        return TimestampSigner(salt="\n".join(values), sep=SEPARATOR)


PASSWORD_RESET = Purpose("accounts.password_reset", ("password", "email"), "PASSWORD_RESET_TIMEOUT")
EMAIL_VERIFICATION = Purpose("accounts.email_verification", ("email",), "EMAIL_VERIFICATION_TIMEOUT")


def make_token(purpose: Purpose, user: User) -> str:
    return purpose.signer(user).sign(str(user.pk))


def user_of_token(purpose: Purpose, token: str) -> User | None:
    """
    Return the user to whom the token was sent, or `None` for one that is bad, old or used, or whose user is gone.
    """
    user_id = token.partition(SEPARATOR)[0]
    if not re.fullmatch(r"[1-9][0-9]{0,17}", user_id):
        return None
    user: User | None = User.objects.usable().filter(pk=int(user_id)).first()
    if user is None:
        return None
    try:
        purpose.signer(user).unsign(token, max_age=getattr(settings, purpose.timeout))
    except BadSignature:
        return None
    return user
