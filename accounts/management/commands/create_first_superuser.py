import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from accounts.models import User
from accounts.serializers import MAX_PASSWORD_LENGTH


class Command(BaseCommand):
    help = "Create the superuser that the ADMIN_* variables describe, unless there is one. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        first = settings.FIRST_SUPERUSER
        if User.objects.active_superusers().exists():
            self.stdout.write("There is a superuser already; nothing to do.")
            return
        names = {"name": first["name"], "email": first["email"].lower(), "username": first["username"]}
        # Who sets these variables vouches for the address.
        user = User(**names, is_staff=True, is_superuser=True, is_email_verified=True)
        password = first["password"] or self._generate_password()
        self._check_password(password, user)
        user.set_password(password)
        try:
            user.full_clean()
            user.save()
        except ValidationError as exc:
            raise CommandError(
                f"The first superuser cannot be created: {'; '.join(exc.messages)}. Change ADMIN_NAME, ADMIN_EMAIL or ADMIN_USERNAME."
            ) from None
        except IntegrityError:
            raise CommandError("ADMIN_USERNAME or ADMIN_EMAIL was taken just now; run this again.") from None
        self.stdout.write(f"Superuser '{user.username}' created.")
        if not first["password"]:
            self.stdout.write(f"Its password, shown this once: {password}")

    def _generate_password(self) -> str:
        if settings.ENVIRONMENT != "local":
            raise CommandError("ADMIN_PASSWORD is not set. Set it, or ADMIN_PASSWORD_FILE, to create the first superuser.")
        return secrets.token_urlsafe(12)

    def _check_password(self, password: str, user: User) -> None:
        problems = [f"It may have at most {MAX_PASSWORD_LENGTH} characters."] if len(password) > MAX_PASSWORD_LENGTH else []
        try:
            validate_password(password, user)
        except ValidationError as exc:
            problems += exc.messages
        if problems:
            raise CommandError(f"ADMIN_PASSWORD is no password for the first superuser: {' '.join(problems)} Choose another.")
