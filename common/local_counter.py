"""
Counting without Redis.
"""

import threading
import time
from collections.abc import Sequence


class LocalCounter:
    """
    What the scripts of `common.throttling` do, in this process' memory; over `MOST` windows the oldest are forgotten.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: dict[tuple[str, int], tuple[int, int]] = {}

    def count_all(self, keys: Sequence[str], rates: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        with self.lock:
            seen = [self._look(key, period) for key, (_, period, _) in zip(keys, rates, strict=True)]
            admits = [not cost or used + cost <= limit for (_, used, _), (limit, _, cost) in zip(seen, rates, strict=True)]
            if not all(admits):
                return [(int(is_admitted), used, left) for is_admitted, (_, used, left) in zip(admits, seen, strict=True)]
            if len(self.windows) > self.MOST:
                self._forget()
            for key, (_, period, cost), (window, used, _) in zip(keys, rates, seen, strict=True):
                self.windows[key, period] = (window, used + cost)
            return [(1, used + cost, left) for (_, used, left), (_, _, cost) in zip(seen, rates, strict=True)]

    def read(self, key: str, period: int) -> tuple[int, int]:
        with self.lock:
            return self._look(key, period)[1:]

    def _look(self, key: str, period: int) -> tuple[int, int, int]:
        now = time.time_ns() // 1000
        window = now // (period * 1_000_000)
        window_then, used = self.windows.get((key, period), (window, 0))
        return window, used if window_then == window else 0, (window + 1) * period * 1_000_000 - now

    def _forget(self) -> None:
        now = time.time_ns() // 1000
        alive = [entry for entry in self.windows.items() if entry[1][0] == now // (entry[0][1] * 1_000_000)]
        # A tenth of them at a time, or every further call would look through all.
        self.windows = dict(alive[-(self.MOST * 9 // 10) :])
