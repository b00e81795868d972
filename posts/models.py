from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.validators import MaxLengthValidator, MinLengthValidator, URLValidator
from django.db import models, transaction

from common.cache import invalidate, word
from common.fields import MAX_URL, URL_SCHEMES
from common.models import SoftDeleteModel, SoftDeleteQuerySet, TimestampedModel

MIN_TITLE, MAX_TITLE = 2, 30
MIN_TEXT, MAX_TEXT = 1, 63_206


class PostQuerySet(SoftDeleteQuerySet):
    def alive(self) -> Self:
        """
        Leave out deleted posts and those of deleted users.
        """
        return super().alive().filter(author__deleted_at__isnull=True)


class Post(SoftDeleteModel, TimestampedModel):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="posts", db_index=False)
    title = models.CharField(max_length=MAX_TITLE, validators=[MinLengthValidator(MIN_TITLE)])
    text = models.TextField(validators=[MinLengthValidator(MIN_TEXT), MaxLengthValidator(MAX_TEXT)])
    media_url = models.CharField(max_length=MAX_URL, null=True, blank=True, validators=[URLValidator(URL_SCHEMES)])

    objects = PostQuerySet.as_manager()
    owner_field = "author"

    class Meta:
        ordering = ("id",)
        # The only one that begins with the author: beside another the database takes that for its lists, and sorts all of their posts.
        indexes = (models.Index(fields=("author", "id"), include=("deleted_at",), name="post_author"),)

    def __str__(self) -> str:
        return self.title

    def save(self, **kwargs: Any) -> None:
        with transaction.atomic():
            names, stored = self._lock_authors()
            fields = kwargs.get("update_fields")
            is_moved = fields is None or not {"author", "author_id", "deleted_at"}.isdisjoint(fields)
            self._invalidate(names, is_counted_anew=is_moved and stored != (self.author_id, self.deleted_at))
            super().save(**kwargs)

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            self._invalidate(self._lock_authors()[0], is_counted_anew=True)
            return super().delete(using, keep_parents)

    def _lock_authors(self) -> tuple[dict[int, str], tuple[int, Any] | None]:
        """
        Lock whoever wrote this and whom it is given to, and return their names by id, and the author and the time of deletion that are
        stored; no other write of this post gets between that and the end of the transaction.
        """
        users = get_user_model().objects
        if not self.pk:
            return _locked_names(users.filter(pk=self.author_id)), None
        stored = Post.objects.filter(pk=self.pk)
        authors = models.Q(pk=self.author_id)
        while True:
            # Asked anew: since this was read, the author may have been renamed, or the post given to another one.
            names = _locked_names(users.filter(authors | models.Q(pk=models.Subquery(stored.values("author")))))
            found = stored.values_list("author", "deleted_at").first()
            if found is None or found[0] in names:
                return names, found
            # It was given away while the lock was waited for.
            authors |= models.Q(pk=found[0])

    def _invalidate(self, names: dict[int, str], *, is_counted_anew: bool) -> None:
        authors = [word(username) for username in names.values()]
        counts = [f"post_counts:{author}:*" for author in authors] if is_counted_anew else []
        invalidate(*(f"users:{author}:posts:*" for author in authors), *counts)


def _locked_names(users: models.QuerySet[Any]) -> dict[int, str]:
    return dict(users.order_by("pk").select_for_update(no_key=True).values_list("pk", "username"))
