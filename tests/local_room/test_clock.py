"""The clock of local/ jumps ahead and never goes back; what is due is done at once."""

from datetime import UTC, datetime, timedelta

import pytest

from local.clock import Clock, ClockError, parse_advance
from local.schedule import ALARMS_IN_A_JUMP, Ticker
from local.stack import Schedule

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_a_jump_is_a_number_and_a_unit(text, expected):
    """So it is written in the policy's durations, too."""
    assert parse_advance(text) == expected


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-2h", "0s", "2 h", "2h ", "2w", "1.5h", "٢h", "2H", "999999999d", None, 2, ["2h"]]
)
def test_any_other_jump_is_refused(text):
    """A jump of nothing, or back, or out of the calendar, is a mistake to be told of."""
    with pytest.raises(ClockError):
        parse_advance(text)


def test_the_clock_goes_on_from_where_it_jumped_to():
    """Time runs on after a jump, as it does before."""
    real = START
    clock = Clock(lambda: real)
    assert clock.advance(timedelta(hours=2)) == START + timedelta(hours=2)
    real += timedelta(seconds=5)
    assert clock.now() == START + timedelta(hours=2, seconds=5)


@pytest.mark.parametrize("jump", [timedelta(), timedelta(seconds=-1), timedelta(days=4000)])
def test_the_clock_refuses_to_go_back_or_too_far(jump):
    """An event must not be older than the one before it."""
    clock = Clock(lambda: START)
    with pytest.raises(ClockError):
        clock.advance(jump)
    assert clock.now() == START


def test_after_a_jump_the_schedule_fires_at_once():
    """Whoever jumps sees what time does, and does not wait a minute for it."""
    events: list[dict[str, str]] = []
    schedule = Schedule(rule="arn:rule", function="Wake", every=timedelta(minutes=1))
    Ticker(schedule, events.append, lambda: START).jumped()
    assert len(events) == ALARMS_IN_A_JUMP
    assert events[0]["detail-type"] == "Scheduled Event"
    assert events[0]["time"] == "2026-01-01T00:00:00Z"


def test_a_firing_that_fails_does_not_end_the_schedule():
    """The next one finds the same alarms due."""
    calls = []

    def handler(_event):
        calls.append(1)
        raise OSError

    schedule = Schedule(rule="arn:rule", function="Wake", every=timedelta(minutes=1))
    ticker = Ticker(schedule, handler, lambda: START)
    ticker.fire()
    ticker.fire()
    assert len(calls) == 2
