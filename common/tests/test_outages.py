import logging
import time

import pytest

from common.outages import PAUSE_SECONDS, Outage

from .concurrency import at_once


@pytest.fixture
def outage() -> Outage:
    return Outage("Redis of a test", "doing without")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("Redis of a test")]


def test_nothing_is_paused_before_it_begins_and_after_it_ended(outage: Outage) -> None:
    before = outage.is_paused
    outage.begin(OSError())
    during = outage.is_paused
    outage.end()

    assert (before, during, outage.is_paused) == (False, True, False)


def test_after_each_pause_one_of_many_asks(outage: Outage) -> None:
    outage.begin(OSError())
    time.sleep(PAUSE_SECONDS)
    began = time.monotonic()

    paused = at_once(*[lambda: outage.is_paused] * 20)

    # One, and another for each further pause that the machine makes of it.
    assert 1 <= paused.count(False) <= 1 + (time.monotonic() - began) / PAUSE_SECONDS


def test_its_begin_and_its_end_are_told_once(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        at_once(*[lambda: outage.begin(OSError("refused"))] * 10)
        ended = at_once(*[outage.end] * 10)

    assert told(caplog) == ["Redis of a test is away, doing without: refused", "Redis of a test is back"]
    assert sorted(ended) == [False] * 9 + [True]


def test_who_asked_before_its_end_and_failed_after_it_begins_none(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        outage.begin(OSError("refused"))
        asked_at = time.monotonic()
        outage.end()
        outage.begin(OSError("late"), asked_at)
        is_paused = outage.is_paused
        outage.begin(OSError("again"), time.monotonic())

    assert not is_paused
    assert [message.rpartition(" ")[2] for message in told(caplog)] == ["refused", "back", "again"]
