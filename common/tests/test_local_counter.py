"""
What is counted in the process while Redis is away: as Redis counts, in a bounded part of the memory, and of the time.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from common.local_counter import LocalCounter
from common.tests.servers import wait_until

# The longest period, so that no window ends while a test runs.
YEAR = 31_536_000


def counted(counter: LocalCounter, key: str, limit: int, period: int, cost: int) -> tuple[int, int, int]:
    return counter.count_all([key], [(limit, period, cost)])[0]


class TestLocalCounter:
    def test_exactly_the_limit_is_admitted(self) -> None:
        counter = LocalCounter()

        assert [counted(counter, "x", 2, YEAR, 1)[:2] for _ in range(3)] == [(1, 1), (1, 2), (0, 2)]

    def test_limit_of_zero_refuses_all(self) -> None:
        assert counted(LocalCounter(), "x", 0, YEAR, 1)[:2] == (0, 0)

    def test_keys_and_periods_do_not_share_a_counter(self) -> None:
        counter = LocalCounter()
        counted(counter, "x", 1, YEAR, 1)

        assert (counted(counter, "y", 1, YEAR, 1)[0], counted(counter, "x", 1, YEAR - 1, 1)[0]) == (1, 1)

    def test_window_resets_after_the_time_told(self) -> None:
        counter = LocalCounter()
        *_, left = wait_until(lambda: next((told for told in [counted(counter, "x", 1, 2, 1)] if not told[0]), None))

        time.sleep(left / 1_000_000)

        assert counted(counter, "x", 1, 2, 1)[:2] == (1, 1)

    def test_exactly_the_limit_is_admitted_however_many_arrive_at_once(self) -> None:
        counter = LocalCounter()

        with ThreadPoolExecutor(20) as threads:
            admitted = sum(told[0] for told in threads.map(lambda _: counted(counter, "x", 7, YEAR, 1), range(40)))

        assert admitted == 7

    def test_windows_that_are_over_are_forgotten(self) -> None:
        counter = LocalCounter()
        for number in range(10_001):
            counted(counter, f"{number}", 1, 1, 1)
        time.sleep(1)

        counted(counter, "x", 1, 1, 1)

        assert len(counter.windows) == 1

    def test_the_oldest_windows_make_room(self) -> None:
        counter = LocalCounter()

        for number in range(3 * counter.MOST):
            counted(counter, f"{number}", 1, YEAR, 1)

        assert len(counter.windows) <= counter.MOST + 1
        assert counter.read(f"{3 * counter.MOST - 1}", YEAR)[0] == 1
        assert counter.read("0", YEAR)[0] == 0

    def test_making_room_does_not_slow_each_call_down(self) -> None:
        counter = LocalCounter()
        for number in range(counter.MOST + 1):
            counted(counter, f"{number}", 1, YEAR, 1)

        counted(counter, "x", 1, YEAR, 1)

        # A tenth is gone: else each of the calls that follow would look through all of them.
        assert len(counter.windows) <= counter.MOST * 9 // 10 + 1

    def test_reading_does_not_count(self) -> None:
        counter = LocalCounter()
        counted(counter, "x", 5, YEAR, 2)

        assert [counter.read("x", YEAR)[0] for _ in range(3)] == [2, 2, 2]
