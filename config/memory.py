"""
How gunicorn's workers go on sharing what was loaded before they were forked, and give back what they need only for a moment.
"""

import ctypes
import gc
import sys

M_MMAP_THRESHOLD = -3
# Larger than what a request usually needs, smaller than what a password hash takes.
LARGE_BYTES = 1024 * 1024


def begin() -> None:
    """
    Do without garbage collection until the application is loaded: there is little garbage, and each collection goes over all that is there.

    Does nothing where it is loaded already, as on a reload.
    """
    if not gc.get_freeze_count():
        gc.disable()


def is_loaded() -> None:
    """
    Leave all that exists by now alone, and collect what comes after it. Call it before the fork.

    A collection writes into every object that it looks at, and by that makes the worker's own copy of the page. A process that ends would
    take all of them apart, in half a second of processor time.
    """
    gc.freeze()
    gc.enable()


def give_large_blocks_back() -> None:
    """
    Have blocks of `LARGE_BYTES` or more returned to the system as soon as they are free.

    glibc raises the size from which it does so to that of the largest block that was ever freed: after the first password hash each thread
    that hashes would keep the 19 MiB of one. Does nothing where there is no glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
