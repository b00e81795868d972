from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.validators import MaxLengthValidator, MinLengthValidator, URLValidator
from django.db import models, transaction

from common.cache import invalidate, word
from common.models import SoftDeleteModel, SoftDeleteQuerySet, TimestampedModel


class PostQuerySet(SoftDeleteQuerySet):
    def alive(self) -> Self:
        """
        Leave out deleted posts and those of deleted users.
        """
        return super().alive().filter(author__deleted_at__isnull=True)


class Post(SoftDeleteModel, TimestampedModel):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="posts")
    title = models.CharField(max_length=30, validators=[MinLengthValidator(2)])
    text = models.TextField(validators=[MinLengthValidator(1), MaxLengthValidator(63_206)])
    media_url = models.CharField(max_length=2048, null=True, blank=True, validators=[URLValidator(["http", "https", "ftp"])])

    objects = PostQuerySet.as_manager()
    owner_field = "author"

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("author", "id"), name="post_author_id", condition=models.Q(deleted_at__isnull=True)),)

    def __str__(self) -> str:
        return self.title

    def save(self, **kwargs: Any) -> None:
        with transaction.atomic():
            self._invalidate()
            super().save(**kwargs)

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            self._invalidate()
            return super().delete(using, keep_parents)

    def _invalidate(self) -> None:
        # Asked anew and locked: since this was read, the author may have been renamed, or the post given to another one.
        authors = models.Q(pk=self.author_id)
        if self.pk:
            authors |= models.Q(pk=models.Subquery(Post.objects.filter(pk=self.pk).values("author")))
        users = get_user_model().objects.filter(authors).order_by("pk").select_for_update(no_key=True)
        invalidate(*(f"users:{word(username)}:posts:*" for username in users.values_list("username", flat=True)))
