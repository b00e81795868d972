import logging
import time

from .counters import REDIS_OUTAGES

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0


class Outage:
    """
    Whether a Redis is away: logged once when it goes and once when it is back, and asked again only every `PAUSE_SECONDS`.

    So a server that does not answer costs its timeout once in a while and not in every request.
    """

    def __init__(self, what: str, meanwhile: str) -> None:
        self.what = what
        self.meanwhile = meanwhile
        self.is_on = False
        self.asked_again_at = 0.0

    @property
    def is_paused(self) -> bool:
        return self.is_on and time.monotonic() < self.asked_again_at

    def begin(self, exc: Exception) -> None:
        self.asked_again_at = time.monotonic() + PAUSE_SECONDS
        if not self.is_on:
            self.is_on = True
            REDIS_OUTAGES.labels(self.what).inc()
            logger.error("%s is away, %s: %s", self.what, self.meanwhile, exc)

    def end(self) -> None:
        if self.is_on:
            self.is_on = False
            logger.warning("%s is back", self.what)
