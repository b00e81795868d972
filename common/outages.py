import logging
import threading
import time

from .counters import REDIS_OUTAGES

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0


class Outage:
    """
    Whether a Redis is away: logged once when it goes and once when it is back, and asked again by one caller every `PAUSE_SECONDS`.

    So a server that does not answer costs its timeout once in a while and not in every request.
    """

    def __init__(self, what: str, meanwhile: str) -> None:
        self.what = what
        self.meanwhile = meanwhile
        self.lock = threading.Lock()
        self.is_on = False
        self.asked_again_at = 0.0

    @property
    def is_paused(self) -> bool:
        """
        Say whether to go on without it. The caller to whom this is false asks for all; the others are paused until it knows.
        """
        if not self.is_on:
            return False
        with self.lock:
            now = time.monotonic()
            if now < self.asked_again_at:
                return True
            self.asked_again_at = now + PAUSE_SECONDS
            return False

    def begin(self, exc: Exception) -> None:
        with self.lock:
            self.asked_again_at = time.monotonic() + PAUSE_SECONDS
            if self.is_on:
                return
            self.is_on = True
        REDIS_OUTAGES.labels(self.what).inc()
        logger.error("%s is away, %s: %s", self.what, self.meanwhile, exc)

    def end(self) -> None:
        if not self.is_on:
            return
        with self.lock:
            was_on, self.is_on = self.is_on, False
        if was_on:
            logger.warning("%s is back", self.what)
