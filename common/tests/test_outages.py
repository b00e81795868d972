"""
A Redis that is away is asked again by one caller in a while, and what is counted meanwhile takes a bounded part of the memory.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.outages import PAUSE_SECONDS, Outage
from common.throttling import LocalCounter


@pytest.fixture
def away() -> Outage:
    outage = Outage("Redis of a test", "going on")
    outage.begin(OSError("refused"))
    return outage


def asked(outage: Outage) -> list[bool]:
    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(lambda _: outage.is_paused, range(20)))


def test_nothing_is_paused_while_it_is_there() -> None:
    assert not Outage("Redis of a test", "going on").is_paused


def test_all_are_paused_right_after_it_went(away: Outage) -> None:
    assert asked(away) == [True] * 20


def test_of_many_at_once_one_asks_again_later(away: Outage) -> None:
    time.sleep(PAUSE_SECONDS)

    assert sorted(asked(away)) == [False] + [True] * 19


def test_once_it_is_back_nobody_is_paused(away: Outage) -> None:
    away.end()

    assert asked(away) == [False] * 20


@pytest.mark.parametrize(
    ("change", "line"),
    [(lambda outage: outage.begin(OSError("refused")), "is away, going on: refused"), (lambda outage: outage.end(), "is back")],
    ids=["begin", "end"],
)
def test_of_many_at_once_one_writes_the_line(caplog: pytest.LogCaptureFixture, change: Callable[[Outage], None], line: str) -> None:
    outage = Outage("Redis of a test", "going on")
    if "back" in line:
        outage.begin(OSError("refused"))
    caplog.clear()

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: change(outage), range(20)))

    assert caplog.messages == [f"Redis of a test {line}"]


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
