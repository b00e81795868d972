from collections.abc import Collection, Iterable, Iterator
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator, RegexValidator, URLValidator
from django.db import models, transaction
from django.db.models.functions import Lower

from common.cache import invalidate, word
from common.exceptions import Conflict
from common.fields import MAX_URL, URL_SCHEMES
from common.models import SoftDeleteModel, SoftDeleteQuerySet, TimestampedModel
from common.routing import first_path_words
from tiers.models import Tier

from .sessions import Session as Session  # Django looks for an app's models here.

DEFAULT_PROFILE_IMAGE_URL = "https://profileimageurl.com"
USERNAME_PATTERN = r"^[a-z0-9]+\Z"
USERNAME_TAKEN = "Username not available"
EMAIL_TAKEN = "Email is already registered"
# What a user had when they were read, or saved last, tells what a change ends.
TRACKED = ("is_active", "is_superuser", "deleted_at", "email", "is_email_verified")


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
    def usable(self) -> Self:
        """
        Return the users who may log in.
        """
        return self.alive().filter(is_active=True)

    def active_superusers(self) -> Self:
        return self.usable().filter(is_superuser=True)

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
        # Who may run this vouches for the address.
        return self.create_user(username, email, password, **{"is_staff": True, "is_superuser": True, "is_email_verified": True, **fields})


class User(SoftDeleteModel, TimestampedModel, AbstractBaseUser, PermissionsMixin):
    name = models.CharField(max_length=30, validators=[MinLengthValidator(2), validate_not_blank])
    username = models.CharField(
        max_length=20,
        validators=[MinLengthValidator(2), RegexValidator(USERNAME_PATTERN, "Use only a-z and 0-9."), validate_not_reserved],
    )
    email = models.EmailField(max_length=254)
    is_email_verified = models.BooleanField("e-mail verified", default=False, db_default=False)
    profile_image_url = models.CharField(max_length=MAX_URL, default=DEFAULT_PROFILE_IMAGE_URL, validators=[URLValidator(URL_SCHEMES)])
    tier = models.ForeignKey(Tier, null=True, blank=True, on_delete=models.PROTECT, related_name="users")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("may enter the admin", default=False)
    session_endings = models.IntegerField(
        default=0, db_default=0, editable=False, help_text="How often all sessions were ended; those of the admin are bound to it."
    )

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

    def check_password(self, raw_password: str | None) -> bool:
        """
        Say whether this is the password; a hash of another kind is replaced, unless the password was changed since this was read.
        """
        read = self.password

        def replace(raw_password: str) -> None:
            self.password = make_password(raw_password)
            User.objects.filter(pk=self.pk, password=read).update(password=self.password)

        return check_password(raw_password, read, replace)

    def change_password(self, raw_password: str, *, keep: Session | None = None) -> bool:
        """
        Set another password and end all sessions but `keep`; return whether that was done: not for who is gone, nor where the password was
        changed since this was read.
        """
        read = self.password
        self.set_password(raw_password)
        with transaction.atomic():
            unchanged = User.objects.usable().filter(pk=self.pk, password=read).select_for_update(no_key=True)
            if not unchanged.values_list("pk"):
                return False
            self.save(update_fields=["password"], keep=keep)
        return True

    def verify_email(self) -> bool:
        """
        Record that the address is this user's; return whether that was done: not where the address was changed since this was read.
        """
        return bool(User.objects.usable().filter(pk=self.pk, email=self.email).update(is_email_verified=True))

    def save(self, *, keep: Session | None = None, **kwargs: Any) -> None:
        """
        Save, and end what the change ends: cached answers, and the sessions but `keep` of a user who is gone, deactivated or given another
        password. A new e-mail address has to be verified.

        Raises `LastSuperuser` where nobody would be left to administer the site.
        """
        loaded = getattr(self, "_loaded", None)
        # A password that was taken away leaves no trace but an unusable one.
        has_new_password = self._password is not None or not self.has_usable_password()  # type: ignore[attr-defined]
        has_new_email = self._take_new_email(loaded, kwargs)
        if self._state.adding and self.tier_id is None and settings.DEFAULT_TIER:
            self.tier = Tier.objects.filter(name=settings.DEFAULT_TIER).first()
        with transaction.atomic():
            if loaded and self._was_superuser(loaded) and not self.is_active_superuser:
                self._require_another_superuser()
            stored = self._stored() if self.pk else None
            has_endings = bool(loaded and (has_new_password or not self.is_usable))
            if stored:
                # By what is stored: a user who was read before others ended the sessions does not bring those of the admin back.
                self.session_endings = stored[2] + has_endings
            if has_endings and kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "session_endings"}
            super().save(**kwargs)
            # Once the row is written: an attempt to take a name does not touch the answers about who has it, nor those that list all.
            fields = kwargs.get("update_fields")
            is_counted_anew = stored is None or ((fields is None or "deleted_at" in fields) and stored[1] != self.is_deleted)
            self._invalidate(stored, is_counted_anew=is_counted_anew)
            if has_endings:
                self.sessions.exclude(pk__in=[keep.pk] if keep else []).end()
            if has_new_email and settings.REQUIRE_VERIFIED_EMAIL and not self.is_email_verified:
                self._ask_for_verification()
        self._loaded = {name: self.__dict__.get(name) for name in TRACKED}

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            if self.is_active_superuser:
                self._require_another_superuser()
            self._invalidate(self._stored(), is_counted_anew=True)
            self.sessions.all().end()
            return super().delete(using, keep_parents)

    def end_sessions(self) -> int:
        """
        End all sessions of the user, those of the admin too, and return how many of the others were not ended before.
        """
        with transaction.atomic():
            User.objects.filter(pk=self.pk).update(session_endings=models.F("session_endings") + 1)
            return Session.objects.filter(user_id=self.pk).end()

    def get_session_auth_hash(self) -> str:
        return self._bound_to_endings(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._bound_to_endings, super().get_session_auth_fallback_hash())

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

    def _bound_to_endings(self, auth_hash: str) -> str:
        # As Django's own as long as nothing was ended: an upgrade logs nobody out.
        return f"{auth_hash}:{self.session_endings}" if self.session_endings else auth_hash

    def _take_new_email(self, loaded: dict[str, Any] | None, options: dict[str, Any]) -> bool:
        """
        Return whether the save gives the user an e-mail address. One that replaces another is unverified, unless the same change says more.
        """
        if not loaded:
            return True
        fields = options.get("update_fields")
        is_saved = (fields is None or "email" in fields) and "email" in self.__dict__
        if not is_saved or self.email == loaded["email"]:
            return False
        if self.is_email_verified == loaded["is_email_verified"]:
            self.is_email_verified = False
            if fields is not None:
                options["update_fields"] = {*fields, "is_email_verified"}
        return True

    def _ask_for_verification(self) -> None:
        from .services import send_verification  # services.py knows users: here is the other arrow of that cycle.

        send_verification(self.pk)

    def _stored(self) -> tuple[str, bool, int] | None:
        """
        Lock the row, and return the username that is stored, whether the user is marked as deleted, and how often the sessions were ended;
        `None` for no row.
        """
        # Asked anew: the user may have been renamed since this was read.
        rows = User.objects.filter(pk=self.pk).select_for_update(no_key=True).values_list("username", "deleted_at", "session_endings")
        return next(((username, deleted_at is not None, endings) for username, deleted_at, endings in rows), None)

    def _invalidate(self, stored: tuple[str, bool, int] | None, *, is_counted_anew: bool) -> None:
        patterns = ["user_list:*", *(["user_count:*"] if is_counted_anew else [])]
        # About a user who is new nothing has been answered: what is not found is not stored.
        if stored:
            names = {word(self.username), word(stored[0])}
            patterns += [f"auth:{self.pk}:*", *(f"{group}:{name}:*" for name in names for group in ("users", "user_tiers"))]
            # The posts of a deleted user are not counted; and what they have written is counted under their name.
            if is_counted_anew or len(names) > 1:
                patterns += [f"post_counts:{name}:*" for name in names]
        invalidate(*patterns)

    @staticmethod
    def _was_superuser(loaded: dict[str, Any]) -> bool:
        return bool(loaded["is_superuser"] and loaded["is_active"] and loaded["deleted_at"] is None)

    def _require_another_superuser(self) -> None:
        # All are locked, in one order: two superusers who delete each other at once do not both succeed.
        superusers = User.objects.active_superusers().select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)
        if not set(superusers) - {self.pk}:
            raise LastSuperuser
