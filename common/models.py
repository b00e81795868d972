"""
Abstract models that resources derive from, and the one table of this app: what the cache is still owed. Whatever writes needs it.
"""

from typing import Any, Self

from django.db import DatabaseError, models, transaction
from django.utils import timezone

from .exceptions import NotFound


def model_title(model: type[models.Model]) -> str:
    return str(model._meta.verbose_name).title()


class TimestampedModel(models.Model):
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def save(self, **kwargs: Any) -> None:
        """
        Save; with `update_fields`, raises `NotFound` for a row that was removed since it was read.
        """
        if kwargs.get("update_fields"):
            kwargs["update_fields"] = {*kwargs["update_fields"], "updated_at"}
        try:
            super().save(**kwargs)
        except DatabaseError as exc:
            # What the database itself raises has a cause and is, but for this one, of a more special type.
            if type(exc) is not DatabaseError or exc.__cause__ is not None:
                raise
            raise NotFound(f"{model_title(type(self))} not found") from None


class DeleteEachQuerySet(models.QuerySet[Any]):
    """
    Rows of which a bulk delete deletes each, so that what the model's `delete()` does besides is done too.
    """

    def delete(self) -> tuple[int, dict[str, int]]:
        counts: dict[str, int] = {}
        with transaction.atomic(using=self.db):
            for row in self.order_by("pk"):
                for label, count in row.delete()[1].items():
                    counts[label] = counts.get(label, 0) + count
        return sum(counts.values()), counts

    delete.queryset_only = True  # type: ignore[attr-defined]


class SoftDeleteQuerySet(DeleteEachQuerySet):
    """
    Rows that can be marked as deleted.
    """

    def alive(self) -> Self:
        return self.filter(deleted_at__isnull=True)


class SoftDeleteModel(models.Model):
    """
    A row that is hidden by `soft_delete()`, returns by `restore()` and is removed by `delete()`.
    """

    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at is not None

    def soft_delete(self) -> None:
        self.deleted_at = timezone.now()
        self.save(update_fields=["deleted_at"])

    def restore(self) -> None:
        self.deleted_at = None
        self.save(update_fields=["deleted_at"])


class PendingInvalidation(models.Model):
    """
    A prefix of cached answers that a transaction changed while the cache's Redis was away; it is removed once that was made good.
    """

    prefix = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.prefix
