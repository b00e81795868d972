from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from common.addresses import client_address

from .guessing import Guess
from .models import User


class UsernameOrEmailBackend(ModelBackend):
    """
    Log in by username or e-mail, in any case; never a user who is inactive or deleted.

    An unknown name takes as long as a wrong password: the given password is hashed all the same. Raises `RateLimited` for a name that was
    guessed at too often, and `HashingBusy` where the password could not be looked at.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        name = username if username is not None else kwargs.get(User.USERNAME_FIELD)
        if name is None or password is None:
            return None
        guess = Guess(name, client_address(request) if request else "")
        guess.begin()
        try:
            user = self._user_with(name, password)
        except Exception:
            guess.give_back()
            raise
        if user is not None:
            guess.succeed()
        return user

    def _user_with(self, name: str, password: str) -> User | None:
        user = None if "\x00" in name else User.objects.with_login(name)
        if user is None:
            User().set_password(password)
            return None
        is_right = user.check_password(password)
        return user if is_right and self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: Any) -> bool:
        return bool(user.is_usable)
