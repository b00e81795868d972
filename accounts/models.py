import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator, RegexValidator, URLValidator
from django.db import connection, models, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from common.cache import invalidate
from common.exceptions import Conflict
from common.models import SoftDeleteModel, SoftDeleteQuerySet, TimestampedModel
from common.routing import first_path_words
from tiers.models import Tier

DEFAULT_PROFILE_IMAGE_URL = "https://profileimageurl.com"
USERNAME_PATTERN = r"^[a-z0-9]+\Z"
USERNAME_TAKEN = "Username not available"
EMAIL_TAKEN = "Email is already registered"
# What a user had when they were read, or saved last, tells what a change ends.
TRACKED = ("is_active", "is_superuser", "deleted_at")


class LastSuperuser(Conflict):
    default_detail = "The last active superuser cannot be deleted, deactivated or demoted."
    default_code = "last_superuser"


def is_reserved(username: str) -> bool:
    """
    Say whether a user of this name would be hidden behind a route of the API.
    """
    return username == "me" or username in first_path_words()


def validate_not_reserved(username: str) -> None:
    if is_reserved(username):
        raise ValidationError(USERNAME_TAKEN, code="reserved")


def validate_not_blank(value: str) -> None:
    if not value.strip():
        raise ValidationError("Input should not be blank.", code="value_error")


class UserQuerySet(SoftDeleteQuerySet):
    def active_superusers(self) -> Self:
        return self.alive().filter(is_superuser=True, is_active=True)

    def with_login(self, name: str) -> "User | None":
        """
        Return the user whose username or e-mail address this is, in any case.
        """
        field = "email" if "@" in name else "username"
        return self.filter(**{field: name.lower()}).first()


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]
    def create_user(self, username: str, email: str, password: str | None = None, **fields: Any) -> "User":
        user: User = self.model(username=username, email=email.lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(username, email, password, is_staff=True, is_superuser=True, **fields)


class User(SoftDeleteModel, TimestampedModel, AbstractBaseUser, PermissionsMixin):
    name = models.CharField(max_length=30, validators=[MinLengthValidator(2), validate_not_blank])
    username = models.CharField(
        max_length=20,
        validators=[MinLengthValidator(2), RegexValidator(USERNAME_PATTERN, "Use only a-z and 0-9."), validate_not_reserved],
    )
    email = models.EmailField(max_length=254)
    profile_image_url = models.CharField(
        max_length=2048, default=DEFAULT_PROFILE_IMAGE_URL, validators=[URLValidator(["http", "https", "ftp"])]
    )
    tier = models.ForeignKey(Tier, null=True, blank=True, on_delete=models.PROTECT, related_name="users")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("may enter the admin", default=False)

    objects = UserManager()
    limits_version: bytes | None = None

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name", "email"]

    class Meta:
        ordering = ("id",)
        constraints = (
            # Checked in this order: an address that is taken is told before a name that is.
            models.UniqueConstraint(fields=("email",), name="user_unique_email", violation_error_message=EMAIL_TAKEN),
            models.UniqueConstraint(fields=("username",), name="user_unique_username", violation_error_message=USERNAME_TAKEN),
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_lower_email", violation_error_message="Use lower case."
            ),
        )

    def __str__(self) -> str:
        return self.username

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> "User":
        user = super().from_db(db, field_names, values, **options)
        user._loaded = {name: user.__dict__.get(name) for name in TRACKED}
        return user

    def refresh_from_db(self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None) -> None:
        names = None if fields is None else list(fields)
        super().refresh_from_db(using, names, from_queryset)
        self._loaded |= {name: self.__dict__.get(name) for name in TRACKED if names is None or name in names}

    def clean(self) -> None:
        self.email = self.email.lower()

    def save(self, **kwargs: Any) -> None:
        """
        Save, and end what the change ends: cached answers, and the sessions of a user who is gone, deactivated or given another password.

        Raises `LastSuperuser` where nobody would be left to administer the site.
        """
        loaded = getattr(self, "_loaded", None)
        # A password that was taken away leaves no trace but an unusable one.
        has_new_password = self._password is not None or not self.has_usable_password()  # type: ignore[attr-defined]
        if self._state.adding and self.tier_id is None and settings.DEFAULT_TIER:
            self.tier = Tier.objects.filter(name=settings.DEFAULT_TIER).first()
        with transaction.atomic():
            if loaded and self._was_superuser(loaded) and not self.is_active_superuser:
                self._require_another_superuser()
            if loaded:
                # A new user has no cached answers, and an attempt to take a name does not touch those of who has it.
                self._invalidate()
            super().save(**kwargs)
            if loaded and (has_new_password or not self.is_usable):
                self.sessions.all().end()
        self._loaded = {name: getattr(self, name) for name in TRACKED}

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            if self.is_active_superuser:
                self._require_another_superuser()
            self._invalidate()
            self.sessions.all().end()
            return super().delete(using, keep_parents)

    @property
    def is_usable(self) -> bool:
        return self.is_active and not self.is_deleted

    @property
    def is_active_superuser(self) -> bool:
        return self.is_superuser and self.is_usable

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    def _invalidate(self) -> None:
        # Asked anew and locked: the user may have been renamed since this was read.
        stored = User.objects.filter(pk=self.pk).select_for_update(no_key=True).values_list("username", flat=True)
        invalidate(f"auth:{self.pk}:*", *(f"users:{username}:*" for username in {self.username, *stored}))

    @staticmethod
    def _was_superuser(loaded: dict[str, Any]) -> bool:
        return bool(loaded["is_superuser"] and loaded["is_active"] and loaded["deleted_at"] is None)

    def _require_another_superuser(self) -> None:
        # All are locked, in one order: two superusers who delete each other at once do not both succeed.
        superusers = User.objects.active_superusers().select_for_update().order_by("pk").values_list("pk", flat=True)
        if not set(superusers) - {self.pk}:
            raise LastSuperuser


class SessionQuerySet(models.QuerySet["Session"]):
    def alive(self) -> Self:
        """
        Return the sessions that log somebody in.
        """
        return self.filter(ended_at__isnull=True, expires_at__gt=timezone.now(), user__is_active=True, user__deleted_at__isnull=True)

    def end(self) -> int:
        """
        End these sessions with all their tokens, and return how many were not ended before.
        """
        from .tokens import record_ended  # tokens.py knows sessions: here is the other arrow of that cycle.

        with transaction.atomic():
            sessions = list(self.filter(ended_at__isnull=True).select_for_update(of=("self",)).order_by("pk"))
            if sessions:
                invalidate(*(f"auth:{user_id}:*" for user_id in {session.user_id for session in sessions}))
            self.model.objects.filter(pk__in=[session.pk for session in sessions]).update(ended_at=timezone.now())
            record_ended(sessions)
        return len(sessions)


# One statement, on the database's clock: whoever presents the current generation moves it on, whoever presents the one before within the
# grace is handed the current one again, and any other generation ends the session.
ROTATE = """
UPDATE accounts_session AS s SET
    generation = s.generation + (s.generation = %(generation)s)::int,
    rotated_at = CASE WHEN s.generation = %(generation)s THEN statement_timestamp() ELSE s.rotated_at END,
    expires_at = CASE WHEN s.generation = %(generation)s
        THEN LEAST(statement_timestamp() + %(lifetime)s, s.created_at + %(max_lifetime)s) ELSE s.expires_at END,
    ended_at = CASE WHEN s.generation = %(generation)s
        OR (s.generation = %(generation)s + 1 AND s.rotated_at > statement_timestamp() - %(grace)s)
        THEN NULL ELSE statement_timestamp() END
FROM accounts_user AS u
WHERE s.id = %(id)s AND s.ended_at IS NULL AND s.expires_at > statement_timestamp()
    AND u.id = s.user_id AND u.is_active AND u.deleted_at IS NULL
RETURNING s.id, s.user_id, s.generation, s.created_at, s.rotated_at, s.expires_at, s.ended_at
"""


class Session(models.Model):
    """
    One login on one device. Its refresh tokens are its generations; the row holds no token.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions")
    generation = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    rotated_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=255, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d %H:%M}"

    @classmethod
    def start(cls, user: User, *, ip_address: str = "", user_agent: str = "") -> "Session":
        now = timezone.now()
        lifetime = min(settings.SESSION_LIFETIME, settings.SESSION_MAX_LIFETIME)
        return cls.objects.create(
            user=user, created_at=now, rotated_at=now, expires_at=now + lifetime, ip_address=ip_address or None, user_agent=user_agent[:255]
        )

    @classmethod
    def rotate(cls, session_id: uuid.UUID, generation: int) -> "Session | None":
        """
        Return the session with its next generation, or `None` if there is no such live session.

        A generation that was rotated longer ago than the grace was stolen, or lost its answer: the session that is returned is then ended.
        """
        parameters: dict[str, Any] = {
            "id": session_id,
            "generation": generation,
            "lifetime": settings.SESSION_LIFETIME,
            "max_lifetime": settings.SESSION_MAX_LIFETIME,
            "grace": settings.REFRESH_REUSE_GRACE,
        }
        with connection.cursor() as cursor:
            cursor.execute(ROTATE, parameters)
            row = cursor.fetchone()
            names = [column.name for column in cursor.description]
        return None if row is None else cls(**dict(zip(names, row, strict=True)))

    @property
    def is_alive(self) -> bool:
        now: datetime = timezone.now()
        return self.ended_at is None and self.expires_at > now
