"""
What is counted in the process while Redis is away takes a bounded part of the memory, and of the time.
"""

import time

from common.local_counter import LocalCounter


class TestLocalCounter:
    def test_the_oldest_windows_make_room(self) -> None:
        counter = LocalCounter()

        for number in range(3 * counter.MOST):
            counter.count(f"{number}", 1, 31_536_000, 1)

        assert len(counter.windows) <= counter.MOST + 1
        assert counter.read(f"{3 * counter.MOST - 1}", 31_536_000)[0] == 1
        assert counter.read("0", 31_536_000)[0] == 0

    def test_making_room_does_not_slow_each_call_down(self) -> None:
        counter = LocalCounter()
        for number in range(counter.MOST + 1):
            counter.count(f"{number}", 1, 31_536_000, 1)
        began = time.process_time()

        for number in range(counter.MOST // 2):
            counter.count(f"more {number}", 1, 31_536_000, 1)

        # Looking through all of them at each call takes several seconds.
        assert time.process_time() - began < 1

    def test_reading_does_not_count(self) -> None:
        counter = LocalCounter()
        counter.count("x", 5, 31_536_000, 2)

        assert [counter.read("x", 31_536_000)[0] for _ in range(3)] == [2, 2, 2]
