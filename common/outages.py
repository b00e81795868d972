import logging
import math
import threading
import time

from .counters import REDIS_OUTAGES

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0


class Outage:
    """
    Whether a Redis is away: logged once when it goes and once when it is back, and asked again only every `PAUSE_SECONDS`.

    So a server that does not answer costs its timeout once in a while and not in every request. `state` words what it is while it is away.
    """

    def __init__(self, what: str, meanwhile: str, *, state: str = "is away") -> None:
        self.what = what
        self.meanwhile = meanwhile
        self.state = state
        self.is_on = False
        self.asked_again_at = 0.0
        self.ended_at = -math.inf
        self.lock = threading.Lock()

    @property
    def is_paused(self) -> bool:
        """
        Say whether not to ask. Where a pause is over, one caller is told so and asks; for the others the next one begins.
        """
        if not self.is_on:
            return False
        with self.lock:
            now = time.monotonic()
            if now < self.asked_again_at:
                return True
            self.asked_again_at = now + PAUSE_SECONDS
            return False

    def begin(self, exc: Exception, asked_at: float = math.inf) -> None:
        """
        Note that whoever asked then, by `time.monotonic()`, was given no answer. That is no news where somebody has found it back since.
        """
        with self.lock:
            if asked_at < self.ended_at:
                return
            self.asked_again_at = time.monotonic() + PAUSE_SECONDS
            was_on, self.is_on = self.is_on, True
        if not was_on:
            REDIS_OUTAGES.labels(self.what).inc()
            logger.error("%s %s, %s: %s", self.what, self.state, self.meanwhile, exc)

    def end(self) -> bool:
        """
        Return whether it was away before.
        """
        if not self.is_on:
            return False
        with self.lock:
            was_on, self.is_on = self.is_on, False
            self.ended_at = time.monotonic()
        if was_on:
            logger.warning("%s is back", self.what)
        return was_on
