"""
Invalidations that could not reach Redis: recorded in the transaction that needs them, made good after it by this process and by beat.
"""

import logging
import threading
import time
from collections.abc import Iterable

from django.conf import settings
from django.db import DatabaseError, connections

from .cache_redis import renew, version_name
from .models import PendingInvalidation

logger = logging.getLogger(__name__)
BATCH = 1000
RETRY_SECONDS = 1.0


def record(names: Iterable[str]) -> None:
    """
    Write down which versions need a new value.
    """
    prefixes = sorted(name.removeprefix(version_name("")) for name in names)
    PendingInvalidation.objects.bulk_create([PendingInvalidation(prefix=prefix) for prefix in prefixes])


def replay() -> bool:
    """
    Invalidate what is recorded, and return whether nothing is left. It may run at any time, and several times at once.
    """
    if not settings.CACHE_ENABLED:
        return True
    while rows := list(PendingInvalidation.objects.values_list("pk", "prefix")[:BATCH]):
        if not renew(sorted({version_name(prefix) for _, prefix in rows})):
            return False
        # By key: a row of the same prefix that was committed meanwhile is owed another invalidation.
        PendingInvalidation.objects.filter(pk__in=[pk for pk, _ in rows]).delete()
    return True


class Replayer:
    """
    A thread that replays until nothing is left, once a second while Redis is away.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self.is_wanted = False

    def start(self) -> None:
        with self.lock:
            self.is_wanted = True
            # A process that was forked has the object and not the thread.
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self._run, name="cache-replay", daemon=True)
                self.thread.start()

    def _run(self) -> None:
        while True:
            with self.lock:
                self.is_wanted = False
            is_done = self._replay()
            with self.lock:
                if is_done and not self.is_wanted:
                    self.thread = None
                    return
            if not is_done:
                time.sleep(RETRY_SECONDS)

    def _replay(self) -> bool:
        try:
            return replay()
        except DatabaseError as exc:
            logger.warning("Invalidations are not replayed yet: %s", exc)
            return False
        except Exception:
            # Beat goes on trying.
            logger.exception("Invalidations are not replayed by this process")
            return True
        finally:
            connections.close_all()


_replayer = Replayer()


def start_replay() -> None:
    """
    Replay in the background. To be called outside of a transaction, whose rows would not be seen.
    """
    _replayer.start()
