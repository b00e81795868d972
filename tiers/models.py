import difflib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import IntegrityError, models, transaction

from common.cache import invalidate, word
from common.exceptions import Conflict, DuplicateValue
from common.models import DeleteEachQuerySet, TimestampedModel
from common.routing import api_routes, readable, stored_form

MAX_LIMIT = 2_147_483_647
MAX_PERIOD = 31_536_000
# What a bulk write, of which the rows are not looked at, may have changed.
ALL_ANSWERS = ("limits:*", "tier_list:*", "tiers:*", "user_tiers:*")
PATH_TAKEN = "There is already a rate limit for this path"


class TierInUse(Conflict):
    default_code = "tier_in_use"

    def __init__(self, users: int) -> None:
        super().__init__(f"Tier cannot be deleted: {users} {'user is' if users == 1 else 'users are'} in it.")


class LimitsQuerySet(DeleteEachQuerySet):
    """
    Tiers or limits whose bulk writes, too, are in force on the next call.
    """

    def update(self, **values: Any) -> int:
        with transaction.atomic(using=self.db):
            invalidate(*ALL_ANSWERS)
            return super().update(**values)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, *args: Any, **options: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            invalidate(*ALL_ANSWERS)
            return super().bulk_create(*args, **options)


class Tier(TimestampedModel):
    """
    A named plan, with its own rate limits.
    """

    name = models.CharField(max_length=64, validators=[RegexValidator(r"^[^/\x00]+\Z", "Use no slash.")])

    objects = LimitsQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("name",), name="tier_unique_name", violation_error_message="Tier Name not available"),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, **kwargs: Any) -> None:
        with transaction.atomic():
            stored = locked_names(models.Q(pk=self.pk)) if self.pk else set()
            super().save(**kwargs)
            # Its name is kept beside its limits, and what says which tier a user has names it too.
            invalidate("limits:*", "tier_list:*", *answers_about({self.name, *stored}), *(["user_tiers:*"] if stored - {self.name} else []))

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """
        Remove the tier with its rate limits; raises `TierInUse` while users are in it, deleted ones included.
        """
        try:
            with transaction.atomic():
                stored = locked_names(models.Q(pk=self.pk))
                deleted = super().delete(using, keep_parents)
                invalidate("limits:*", "tier_list:*", *answers_about({self.name, *stored}))
                return deleted
        except models.ProtectedError as exc:
            raise TierInUse(len(exc.protected_objects)) from None


def locked_names(tiers: models.Q) -> set[str]:
    """
    Return the names that these tiers have now, and keep everybody from renaming them before the transaction ends.
    """
    return set(Tier.objects.filter(tiers).order_by("pk").select_for_update(no_key=True).values_list("name", flat=True))


def answers_about(names: Iterable[str], part: str = "") -> list[str]:
    return [f"tiers:{word(name)}:{part}*" for name in sorted(names)]


def normalize_path(text: str) -> str:
    """
    Return the stored form of a route of the API, `api_v1_user_{username}`, or raise `ValidationError` naming the nearest route.

    Taken are `api/v1/user/{username}` with or without outer slashes, with any name between the braces, and the stored form itself.
    """
    routes = _stored_forms()
    wanted = _anonymous(text.strip("/").replace("/", "_"))
    if wanted in routes:
        return routes[wanted]
    nearest = difflib.get_close_matches(wanted, routes, n=1, cutoff=0.0)
    raise ValidationError(f"This is no route of the API; the nearest is {routes[nearest[0]]}.", code="value_error")


def _anonymous(path: str) -> str:
    return re.sub(r"\{[^{}]*\}", "{}", path)


@cache
def _stored_forms() -> dict[str, str]:
    return {_anonymous(stored_form(route)): stored_form(route) for route in api_routes()}


def route_choices() -> list[tuple[str, str]]:
    """
    Return every route of the API, in its stored form and as `api/v1/user/{username}`, for a form's choices.
    """
    shown = {stored_form(route): readable(route).strip("/") for route in api_routes()}
    return sorted(shown.items(), key=lambda choice: choice[1])


def made_name(path: str, limit: int, period: int) -> str:
    """
    Return the name of a rate limit to which nobody gave one.
    """
    return f"{path}:{limit}:{period}"


class RateLimit(TimestampedModel):
    """
    `limit` requests in `period` seconds on one route, for each user of a tier. A limit of 0 refuses all.
    """

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="rate_limits")
    name = models.CharField(max_length=255, blank=True, help_text="Left blank: path:limit:period.")
    path = models.CharField(max_length=200)
    limit = models.PositiveIntegerField(validators=[MaxValueValidator(MAX_LIMIT)])
    period = models.PositiveIntegerField("period in seconds", validators=[MinValueValidator(1), MaxValueValidator(MAX_PERIOD)])

    objects = LimitsQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("tier", "name"), name="ratelimit_unique_tier_name", violation_error_message="Rate Limit Name not available"
            ),
            models.UniqueConstraint(
                fields=("tier", "path"),
                name="ratelimit_unique_tier_path",
                violation_error_message=PATH_TAKEN,
            ),
            models.CheckConstraint(condition=models.Q(period__gte=1, period__lte=MAX_PERIOD), name="ratelimit_period_in_range"),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        try:
            self.path = normalize_path(self.path)
        except ValidationError as exc:
            raise ValidationError({"path": exc.message}) from None

    def save(self, **kwargs: Any) -> None:
        # A name that was made from the values follows them.
        is_made = not self.name or re.fullmatch(r"api_v1_\S*:\d+:\d+", self.name)
        if is_made:
            self.name = made_name(self.path, self.limit, self.period)
            if kwargs.get("update_fields"):
                kwargs["update_fields"] = {*kwargs["update_fields"], "name"}
        try:
            with transaction.atomic():
                stored = self._tier_names()
                super().save(**kwargs)
                invalidate("limits:*", *answers_about(stored, "limits:"))
        except IntegrityError as exc:
            # Nobody chose a name that was made: it is taken because its path is.
            if is_made and "ratelimit_unique_tier_name" in str(exc):
                raise DuplicateValue(PATH_TAKEN) from exc
            raise

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            invalidate("limits:*", *answers_about(self._tier_names(), "limits:"))
            return super().delete(using, keep_parents)

    def _tier_names(self) -> set[str]:
        # The tier that it is in, and the one that it is given to.
        tiers = models.Q(pk=self.tier_id)
        if self.pk:
            tiers |= models.Q(pk=models.Subquery(RateLimit.objects.filter(pk=self.pk).values("tier")))
        return locked_names(tiers)
