"""
Sessions: each login on each device, and the statements that decide its races.
"""

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.utils import timezone

from common.cache import invalidate

if TYPE_CHECKING:
    from .models import User

# For so long it can still be seen how a session ended.
KEPT_AFTER_END = timedelta(days=1)
# A statement has `DATABASE_STATEMENT_TIMEOUT` to run; this many take a second or two.
BATCH = 50_000


class SessionQuerySet(models.QuerySet["Session"]):
    def alive(self) -> Self:
        """
        Return the sessions that log somebody in.
        """
        return self.filter(ended_at__isnull=True, expires_at__gt=timezone.now(), user__is_active=True, user__deleted_at__isnull=True)

    def end(self, batch: int = BATCH) -> int:
        """
        End these sessions with all their tokens, and return how many were not ended before.

        The database does it, by a batch in a statement: whoever has hundreds of thousands is still switched off within seconds.
        """
        ended: Counter[int] = Counter()
        chosen = self.filter(ended_at__isnull=True).select_for_update(of=("self",)).order_by("pk").only("pk")[:batch]
        with transaction.atomic(), connection.cursor() as cursor:
            try:
                sql, parameters = chosen.query.sql_with_params()
            except EmptyResultSet:
                # An empty list of keys: nothing to ask the database about.
                return 0
            count = batch
            while count == batch:
                cursor.execute(END.format(chosen=sql) + RECORD, parameters)
                counts = Counter(dict(cursor.fetchall()))
                count = counts.total()
                ended += counts
            # Last, so that the marks are young when this is committed.
            invalidate(*(f"auth:{user_id}:*" for user_id in ended))
        return ended.total()

    def over(self) -> Self:
        """
        Return the sessions that ended or expired more than `KEPT_AFTER_END` ago; none of them comes back.
        """
        before = timezone.now() - KEPT_AFTER_END
        return self.filter(models.Q(ended_at__lt=before) | models.Q(expires_at__lt=before))


# What ended is entered into SimpleJWT's blacklist by its token's id alone: of the token itself nothing is kept, and none is signed for it.
RECORD = """
outstanding AS (
    INSERT INTO token_blacklist_outstandingtoken (user_id, jti, token, created_at, expires_at)
    SELECT user_id, encode(sha256(convert_to(id || ':' || generation, 'UTF8')), 'hex'), '', rotated_at, expires_at FROM ended
    ON CONFLICT (jti) DO UPDATE SET jti = EXCLUDED.jti RETURNING id
), blacklisted AS (
    INSERT INTO token_blacklist_blacklistedtoken (token_id, blacklisted_at) SELECT id, statement_timestamp() FROM outstanding
    ON CONFLICT (token_id) DO NOTHING
)
SELECT user_id, count(*) FROM ended GROUP BY user_id
"""

# Locked in one order, so that two that end the same sessions do not wait for each other. An array, and no join: joined, the keys might be
# looked through for each row where the planner believes in few of either.
END = """
WITH ended AS (
    UPDATE accounts_session SET ended_at = statement_timestamp() WHERE id = ANY(ARRAY({chosen}))
    RETURNING id, user_id, generation, rotated_at, expires_at
),
"""
RECORD_ENDED = "WITH ended AS (SELECT id, user_id, generation, rotated_at, expires_at FROM accounts_session WHERE id = ANY(%s)),"

# One statement that waits for whoever is changing the user's row and then looks again: a login that read its user before another password
# was committed starts nothing, and a change that comes after it finds the session and ends it.
START = """
INSERT INTO accounts_session ({columns})
SELECT {values} FROM accounts_user WHERE id = %s AND password = %s AND is_active AND deleted_at IS NULL FOR SHARE
"""

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


def record_ended(sessions: "Iterable[Session]") -> None:
    """
    Enter the current refresh token of each session into SimpleJWT's blacklist, for anything else that speaks SimpleJWT on this database.
    """
    with connection.cursor() as cursor:
        cursor.execute(RECORD_ENDED + RECORD, [[session.pk for session in sessions]])


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
    def start(cls, user: "User", *, ip_address: str = "", user_agent: str = "") -> "Session | None":
        """
        Return a new session of the user, or `None` where they are gone, or have another password than the one that was read with them.
        """
        now = timezone.now()
        lifetime = min(settings.SESSION_LIFETIME, settings.SESSION_MAX_LIFETIME)
        session = cls(
            user=user, created_at=now, rotated_at=now, expires_at=now + lifetime, ip_address=ip_address or None, user_agent=user_agent[:255]
        )
        fields = cls._meta.concrete_fields
        statement = START.format(columns=", ".join(str(field.column) for field in fields), values=", ".join(["%s"] * len(fields)))
        values = [field.get_db_prep_save(getattr(session, field.attname), connection) for field in fields]
        with connection.cursor() as cursor:
            cursor.execute(statement, [*values, user.pk, user.password])
            session._state.adding = not cursor.rowcount
        return None if session._state.adding else session

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
