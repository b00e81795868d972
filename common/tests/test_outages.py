import logging
import time

import pytest

from common.outages import PAUSE_SECONDS, Outage

from .concurrency import at_once


@pytest.fixture
def outage() -> Outage:
    return Outage("Redis of a test", "doing without")


def test_nothing_is_paused_before_it_begins_and_after_it_ended(outage: Outage) -> None:
    before = outage.is_paused
    outage.begin(OSError())
    during = outage.is_paused
    outage.end()

    assert (before, during, outage.is_paused) == (False, True, False)


def test_after_each_pause_one_of_many_asks(outage: Outage) -> None:
    outage.begin(OSError())
    time.sleep(PAUSE_SECONDS)

    paused = at_once(*[lambda: outage.is_paused] * 20)

    assert sorted(paused) == [False] + [True] * 19


def test_its_begin_and_its_end_are_told_once(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        at_once(*[lambda: outage.begin(OSError("refused"))] * 10)
        ended = at_once(*[outage.end] * 10)

    assert caplog.messages == ["Redis of a test is away, doing without: refused", "Redis of a test is back"]
    assert sorted(ended) == [False] * 9 + [True]
