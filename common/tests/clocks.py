"""
A clock by which something may be said to take too long on a machine that is busy.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NAP_SECONDS, LATE_SECONDS = 0.01, 0.02


@contextmanager
def machine_clock() -> Iterator[Callable[[], float]]:
    """
    Yield a clock in seconds that stands still while the machine stalls: whoever would nap for 10 ms is not woken within 20.
    """
    lock, is_over = threading.Lock(), threading.Event()
    lost, woken = 0.0, time.monotonic()

    def now() -> float:
        with lock:
            moment = time.monotonic()
            return moment - lost - max(0.0, moment - woken - LATE_SECONDS)

    def nap() -> None:
        nonlocal lost, woken
        while not is_over.wait(NAP_SECONDS):
            with lock:
                moment = time.monotonic()
                lost, woken = lost + max(0.0, moment - woken - LATE_SECONDS), moment

    thread = threading.Thread(target=nap, daemon=True)
    thread.start()
    try:
        yield now
    finally:
        is_over.set()
        thread.join()
