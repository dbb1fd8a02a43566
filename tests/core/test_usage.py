"""One instance's day: what was seen of it becomes intervals, and intervals become records that are never rewritten."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.core import instance as instances
from gonogo.core import usage
from gonogo.core.usage import GRACE, Carry, Interval, Sight, UsageDay
from tests.core.builders import DAY, HOUR, MINUTE, SECOND, assert_well_told, running, told

DAWN = datetime(2026, 11, 25, tzinfo=UTC)
HOURLY = Decimal("0.0104")
FACTS = instances.metered(
    instances.first_seen(id="i-1", launch=running(), instance_type="t3.micro", hourly=HOURLY, at=DAWN),
    running(),
)


def new(least: int = 0) -> UsageDay:
    """Return a day of which nothing is known."""
    return usage.opened(FACTS, "2026-11-25", least, DAWN)


def event(at: datetime, state: Any) -> Sight:
    """Return what an event says."""
    return Sight(at, state, "event")


def hours(*turns: float) -> list[Sight]:
    """Return events of an instance that starts at the first of these hours, stops at the next, and so on."""
    states = itertools.cycle(("running", "stopped"))
    return [event(DAWN + turn * HOUR, state) for turn, state in zip(turns, states, strict=False)]


def of(day: UsageDay) -> list[tuple[int, str | None]]:
    """Return the seconds of each record, and who said that its interval ended."""
    return [(one.seconds, one.stop_source) for one in day.records]


def after(*sights: Sight, at: datetime = DAWN + 23 * HOUR, least: int = 0) -> UsageDay:
    """Return the day after these were seen, one by one."""
    day = new(least)
    for one in sights:
        day = usage.seen(day, [one], at)
    return day


# What follows from what was seen


@pytest.mark.parametrize(
    ("seen", "runs"),
    [
        (hours(1, 2), [(1, 2)]),
        (hours(1, 2, 3, 4), [(1, 2), (3, 4)]),
        (hours(1), [(1, None)]),
        ([event(DAWN + HOUR, "stopped")], []),
        ([event(DAWN + HOUR, "terminated"), event(DAWN + 2 * HOUR, "running")], []),
        ([*hours(1), event(DAWN + 2 * HOUR, "running"), event(DAWN + 3 * HOUR, "stopped")], [(1, 2), (2, 3)]),
        ([*hours(1, 2), event(DAWN + 3 * HOUR, "terminated")], [(1, 2)]),
    ],
)
def test_intervals(seen: list[Sight], runs: list[tuple[int, int | None]]) -> None:
    """A stop ends what runs, a start while it runs ends it too, and what is gone runs no more."""
    expected = [(DAWN + a * HOUR, None if b is None else DAWN + b * HOUR) for a, b in runs]
    for order in itertools.permutations(seen):
        assert [(one.begin, one.end) for one in after(*order).intervals] == expected


@pytest.mark.parametrize("runs", [False, True])
def test_of_one_second_that_counts_first_which_can_be(runs: bool) -> None:  # noqa: FBT001 - a fact
    """EC2 tells whole seconds: a start and a stop in one are in the order in which they can have been."""
    carry = Carry(Interval(DAWN - HOUR)) if runs else Carry()
    both = [event(DAWN + HOUR, "running"), event(DAWN + HOUR, "stopped")]
    for order in itertools.permutations(both):
        found, leaves = usage.intervals(carry, order)
        assert (leaves.running is not None) is runs
        assert len(found) == (2 if runs else 1)
    _, leaves = usage.intervals(carry, [*both, event(DAWN + HOUR, "terminated")])
    assert leaves == Carry(gone=True)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_what_an_event_says_counts_instead_of_what_a_look_made_of_it(state: Any) -> None:
    """A look knows when it was asked for and that it was so; the event in between says when it was."""
    asked = DAWN + 2 * HOUR
    looked = usage.look(asked, state, asked + 4 * MINUTE)
    truly = event(asked + 40 * SECOND, state)
    begin = hours(1) if state == "stopped" else []
    end = [event(DAWN + 3 * HOUR, "stopped")] if state == "running" else []
    for order in itertools.permutations([*begin, looked, truly, *end]):
        (one,) = after(*order).intervals
        assert (one.begin if state == "running" else one.end) == truly.at
    (one,) = after(*begin, looked, *end).intervals
    assert (one.begin if state == "running" else one.end) == asked


@pytest.mark.parametrize(
    ("seconds", "refuted"), [(-1, False), (0, True), (240, True), (245, True), (246, False), (3600, False)]
)
def test_only_what_came_between_asking_and_looking_is_the_same_stop(
    seconds: int,
    refuted: bool,  # noqa: FBT001 - a fact
) -> None:
    """An event from before it was asked for, or after it was seen so, is of another stop."""
    looked = usage.look(DAWN, "stopped", DAWN + 4 * MINUTE)
    assert usage.refutes(event(DAWN + seconds * SECOND, "stopped"), looked) is refuted
    assert not usage.refutes(event(DAWN + seconds * SECOND, "running"), looked)
    assert not usage.refutes(looked, event(DAWN + seconds * SECOND, "stopped"))


def test_what_vanished_and_is_heard_of_later_had_not_ended() -> None:
    """That it is not there is a guess of when it ended; anything later is better known."""
    gone = usage.vanished(DAWN + 2 * HOUR)
    for order in itertools.permutations([*hours(1, 3), gone]):
        assert after(*order).intervals == [Interval(DAWN + HOUR, DAWN + 3 * HOUR, "event")]
    assert after(*hours(1), gone).intervals == [Interval(DAWN + HOUR, DAWN + 2 * HOUR, "vanished")]
    assert after(*hours(1, 2), gone).intervals == [Interval(DAWN + HOUR, DAWN + 2 * HOUR, "event")]


def test_who_says_the_same_of_one_second_is_believed_in_the_same_order_always() -> None:
    """An event before a report, a report before a look, a look before a guess; what is refuted stays so."""
    end = DAWN + 2 * HOUR
    same = [
        Sight(end, "terminated", "refuted"),
        Sight(end, "terminated", "event"),
        Sight(end, "terminated", "reported"),
        usage.look(end, "terminated", end),
        usage.look(end, "terminated", end + HOUR),
        usage.vanished(end),
    ]
    for first in range(len(same)):
        for order in itertools.permutations(same[first:]):
            assert after(*order).sights == (same[first],)


# Records


def test_a_record_is_made_once_it_has_ended_and_never_changed() -> None:
    """What comes late is another record, which names the first and says the difference."""
    first = after(*hours(1, 4))
    assert of(first) == [(3 * 3600, "event")]
    late = usage.seen(
        first, [event(DAWN + 2 * HOUR, "stopped"), event(DAWN + 3 * HOUR, "running")], DAWN + DAY
    )
    assert late.records[:1] == first.records
    assert of(late)[1:] == [(-2 * 3600, "event"), (3600, "event")]
    assert [one.corrects for one in late.records] == [None, first.records[0].id, None]
    assert late.seconds == 2 * 3600
    assert_well_told(late)
    assert told(late) == ["usage.recorded"] * 3


def test_what_turns_out_not_to_have_run_is_taken_back() -> None:
    """A look took it for a start of its own; the event says that it was another."""
    looked = usage.look(DAWN + HOUR, "running", DAWN + HOUR + 5 * MINUTE)
    day = after(looked, event(DAWN + 2 * HOUR, "stopped"))
    day = usage.seen(day, [event(DAWN + HOUR + 30 * SECOND, "running")], DAWN + DAY)
    assert [one.seconds for one in day.records] == [3600, 3570, -3600]
    assert [one.corrects is not None for one in day.records] == [False, False, True]


def test_known_news_are_the_very_same_day() -> None:
    """What comes twice must not be written twice."""
    day = after(*hours(1, 2))
    assert usage.seen(day, hours(1, 2), DAWN + DAY) is day
    assert usage.seen(day, [event(DAWN + 2 * DAY, "running")], DAWN + DAY) is day
    assert usage.carried(day, Carry(), 0, DAWN) is day
    assert usage.handed_on(day.changed(handed=Carry()), Carry(), DAWN).handed == Carry()


@pytest.mark.parametrize(
    ("ran", "least", "billed"),
    [(1, 60, 60), (59, 60, 60), (60, 60, 60), (61, 60, 61), (0, 60, 60), (1, 0, 1)],
)
def test_each_start_costs_at_least_its_minimum(ran: int, least: int, billed: int) -> None:
    """Linux on EC2 is billed by the second, sixty at least (Amazon EC2 pricing, "On-Demand")."""
    begin = DAWN + HOUR
    day = after(event(begin, "running"), event(begin + ran * SECOND, "stopped"), least=least)
    assert day.seconds == billed
    assert day.cost == usage.cost(HOURLY, billed)


def test_the_minimum_counts_once_over_midnight() -> None:
    """Twenty seconds before midnight and ten after it are one start: sixty seconds in all."""
    begin = DAWN + DAY - 20 * SECOND
    first = after(event(begin, "running"), least=60)
    first = usage.handed_on(first, first.leaves, DAWN + DAY + GRACE)
    second = usage.carried(
        usage.opened(FACTS, "2026-11-26", 60, DAWN), first.leaves, first.version, DAWN + DAY
    )
    second = usage.seen(second, [event(DAWN + DAY + 10 * SECOND, "stopped")], DAWN + DAY + HOUR)
    assert (first.seconds, second.seconds) == (20, 40)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_exactly_midnight_is_of_the_new_day(state: Any) -> None:
    """A day begins at 00:00:00 and ends before the next: no second is in two, and none in neither."""
    at = DAWN + DAY
    assert usage.day_of(at) == "2026-11-26"
    assert usage.day_of(at - SECOND) == "2026-11-25"
    day = new()
    assert usage.seen(day, [event(at, state)], at) is day


# Alarms, and the next day


def test_what_runs_on_is_recorded_and_handed_on_a_little_after_the_day() -> None:
    """By then nearly all has been heard of it; before, nothing is recorded of what has not ended."""
    day = after(*hours(1))
    assert (day.records, day.due_at) == ((), day.end + GRACE)
    assert not usage.is_to_hand_on(day, day.end + GRACE - SECOND)
    assert usage.is_to_hand_on(day, day.end + GRACE)
    handed = usage.handed_on(day, day.leaves, day.end + GRACE)
    assert of(handed) == [(23 * 3600, None)]
    assert (handed.due_at, usage.is_to_hand_on(handed, day.end + DAY)) == (None, False)


def test_what_has_ended_needs_no_alarm() -> None:
    """Without being told otherwise, the next day begins with nothing running."""
    assert after(*hours(1, 2)).due_at is None
    assert after(*hours(1), event(DAWN + 2 * HOUR, "terminated")).due_at is None


def test_a_late_stop_is_handed_on_too() -> None:
    """The next day had been told that it runs; it must hear that it does not."""
    day = usage.handed_on(after(*hours(1)), Carry(Interval(DAWN + HOUR)), DAWN + DAY + GRACE)
    late = usage.seen(day, [event(DAWN + 2 * HOUR, "terminated")], DAWN + 3 * DAY)
    assert late.due_at == DAWN + 3 * DAY
    assert usage.is_to_hand_on(late, DAWN + 3 * DAY)
    assert late.seconds == 3600


def test_who_heard_the_alarm_may_be_telling_the_next_day_now() -> None:
    """A stop that comes while that is so leaves the alarm: the next day may hear the old news after the new."""
    rung = after(*hours(1))
    stopped = usage.seen(rung, [event(DAWN + 2 * HOUR, "stopped")], rung.end + GRACE + SECOND)
    assert (stopped.handed, stopped.leaves) == (None, Carry())
    assert stopped.due_at is not None
    assert usage.is_to_hand_on(stopped, rung.end + GRACE + SECOND)


def test_old_news_of_the_day_before_are_passed_over() -> None:
    """Two tell the next day at once, the slower what it knew before: the later version counts."""
    day = usage.opened(FACTS, "2026-11-26", 0, DAWN)
    knows = usage.carried(day, Carry(), 3, DAWN + DAY)
    assert usage.carried(knows, Carry(Interval(DAWN)), 2, DAWN + DAY) is knows
    assert usage.carried(knows, Carry(Interval(DAWN)), 4, DAWN + DAY).carry == Carry(Interval(DAWN))


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    """What was recorded as running on stays recorded, though another clock says that the day is not over."""
    day = usage.handed_on(after(*hours(1)), Carry(Interval(DAWN + HOUR)), DAWN + DAY + GRACE)
    again = usage.seen(day, [event(DAWN + MINUTE, "stopped")], DAWN + DAY)
    assert again is not day
    assert again.records == day.records


# The bill


def test_a_day_is_in_the_bill_of_its_month_once_there_is_something_to_bill() -> None:
    """A list of usage shows what was used."""
    assert new().listed().feed is None
    day = after(*hours(1, 2))
    assert day.listed().feed == usage.bill("4711", "2026-11")
    assert new().id == day.id == usage.usage_id("i-1", "2026-11-25")


def test_what_days_come_to_is_whole_before_they_are_handed_on() -> None:
    """It ran from one month into the next, and neither day knows of the other yet."""
    first = usage.seen(
        usage.opened(FACTS, "2026-11-30", 0, DAWN), [event(DAWN + 5 * DAY + 20 * HOUR, "running")], DAWN
    )
    end = datetime(2026, 12, 2, 6, tzinfo=UTC)
    last = usage.seen(usage.opened(FACTS, "2026-12-02", 0, DAWN), [event(end, "terminated")], end)
    days = {"2026-11-30": first, "2026-12-02": last}
    assert usage.comes_to(days, DAWN, end + HOUR) == {
        "2026-11": usage.cost(HOURLY, 4 * 3600),
        "2026-12": usage.cost(HOURLY, 86400) + usage.cost(HOURLY, 6 * 3600),
    }
    assert usage.comes_to({"2026-11-30": first}, DAWN, first.begin + 22 * HOUR) == {
        "2026-11": usage.cost(HOURLY, 2 * 3600)
    }
    assert usage.comes_to({}, DAWN, end) == {}


def test_a_day_of_a_thousand_starts_is_one_item() -> None:
    """An instance that starts and stops every 86 seconds, all day, must not grow over what DynamoDB takes (400 KB)."""
    sights = [
        event(DAWN + number * 43 * SECOND, "running" if number % 2 == 0 else "stopped")
        for number in range(2000)
    ]
    day = usage.seen(new(60), sights, DAWN + DAY)
    assert len(day.records) == 1000
    size = sum(
        len(msgspec.json.encode(getattr(day, name))) for name in day.__struct_fields__ if name != "history"
    )
    assert size < 350 * 1024


@given(
    st.lists(st.integers(0, 86399), min_size=1, max_size=8, unique=True),
    st.randoms(use_true_random=False),
    st.booleans(),
)
@settings(max_examples=150)
def test_whatever_the_order_the_records_are_the_intervals(
    times: Sequence[int],
    draw: Any,
    runs: bool,  # noqa: FBT001 - a fact
) -> None:
    """One by one, in any order, some twice: the sums of the records are those of the intervals, to the last place."""
    states = ("stopped", "running") if runs else ("running", "stopped")
    true = [event(DAWN + at * SECOND, states[number % 2]) for number, at in enumerate(sorted(times))]
    heard = [*true, *draw.sample(true, len(true) // 2)]
    draw.shuffle(heard)
    day = new(60)
    if runs:
        day = usage.carried(day, Carry(Interval(DAWN - timedelta(days=40))), 1, DAWN)
    for one in heard:
        before, day = day, usage.seen(day, [one], DAWN + HOUR)
        assert day.records[: len(before.records)] == before.records
    day = usage.handed_on(day, day.leaves, DAWN + DAY + GRACE)
    assert len({one.id for one in day.records}) == len(day.records)
    expected, cost, since = 0, Decimal(0), DAWN if runs else None
    for one in true:
        if one.state == "running":
            since = one.at
        elif since is not None:
            started_before = runs and since == DAWN
            ran = max((one.at - since) // SECOND, 0 if started_before else 60)
            expected, cost, since = expected + ran, cost + usage.cost(HOURLY, ran), None
    if since is not None:
        ran = (DAWN + DAY - since) // SECOND
        expected, cost = expected + ran, cost + usage.cost(HOURLY, ran)
    assert (day.seconds, day.cost) == (expected, cost)


# What is easily overlooked


@pytest.fixture
def _in_vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine into another time zone than Lambda's."""
    monkeypatch.setenv("TZ", "Europe/Vienna")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_vienna")
def test_a_laptop_in_vienna_bills_as_lambda_does():
    """Ids are made of times: told in another zone, a second of usage would have two records."""
    begin = datetime(2026, 11, 25, 0, 30, 0, 5, tzinfo=timezone(HOUR))
    assert usage.to_the_second(begin).isoformat() == "2026-11-24T23:30:00+00:00"
    assert usage.day_of(begin) == "2026-11-24"
    assert new().at.isoformat() == "2026-11-25T00:00:00+00:00"
    assert usage.vanished(begin).at.isoformat() == "2026-11-24T23:30:00+00:00"


@pytest.mark.parametrize(
    ("sight", "other", "refuted"),
    [
        (event(DAWN + HOUR, "running"), usage.vanished(DAWN), True),
        (event(DAWN + HOUR, "stopped"), usage.vanished(DAWN), True),
        (event(DAWN, "running"), usage.vanished(DAWN), False),
        (usage.look(DAWN + HOUR, "running", DAWN + HOUR), usage.vanished(DAWN), True),
        (usage.vanished(DAWN + HOUR), usage.vanished(DAWN), False),
        (Sight(DAWN + HOUR, "running", "refuted"), usage.vanished(DAWN), False),
        (event(DAWN + MINUTE, "stopped"), Sight(DAWN, "stopped", "look", DAWN + MINUTE), True),
        (event(DAWN, "stopped"), Sight(DAWN, "stopped", "look", DAWN + MINUTE), True),
        (event(DAWN - SECOND, "stopped"), Sight(DAWN, "stopped", "look", DAWN + MINUTE), False),
        (event(DAWN + MINUTE + SECOND, "stopped"), Sight(DAWN, "stopped", "look", DAWN + MINUTE), False),
        (event(DAWN, "stopped"), Sight(DAWN, "terminated", "look", DAWN + MINUTE), True),
        (event(DAWN, "terminated"), Sight(DAWN, "stopped", "look", DAWN + MINUTE), False),
        (event(DAWN, "running"), Sight(DAWN, "stopped", "look", DAWN + MINUTE), False),
        (Sight(DAWN, "stopped", "look", DAWN), Sight(DAWN, "stopped", "look", DAWN + MINUTE), False),
        (event(DAWN, "stopped"), event(DAWN, "stopped"), False),
    ],
)
def test_what_makes_something_seen_untrue(sight: Sight, other: Sight, refuted: bool):  # noqa: FBT001 - a table
    """An event says when; a look said only by when; what is seen later was not gone. Nothing else takes back."""
    assert usage.refutes(sight, other) == refuted


def test_what_costs_nothing_is_recorded_all_the_same():
    """A free instance runs too, and somebody counts its hours."""
    free = usage.opened(msgspec.structs.replace(FACTS, hourly=Decimal(0)), "2026-11-25", 0, DAWN)
    assert of(usage.seen(free, hours(1, 2), DAWN + DAY)) == [(3600, "event")]


@pytest.mark.parametrize(
    ("ran", "states", "ended", "runs", "gone"),
    [
        (False, "running stopped", ["now-now event"], False, False),
        (False, "running stopped terminated", ["now-now event"], False, True),
        (False, "running terminated", ["now-now event"], False, True),
        (False, "stopped", [], False, False),
        (False, "terminated", [], False, True),
        (True, "running stopped", ["before-now event"], True, False),
        (True, "running stopped terminated", ["before-now event", "now-now event"], False, True),
        (True, "running terminated", ["before-now reconciled", "now-now event"], False, True),
        (True, "stopped terminated", ["before-now event"], False, True),
        (True, "terminated", ["before-now event"], False, True),
        (True, "running", ["before-now reconciled"], True, False),
    ],
)
def test_a_second_in_which_much_happens_is_told_alike_in_every_order(
    ran: bool,  # noqa: FBT001 - a table
    states: str,
    ended: list[str],
    runs: bool,  # noqa: FBT001 - a table
    gone: bool,  # noqa: FBT001 - a table
):
    """EC2 tells whole seconds: a stop and a start in one must neither lose an hour nor bill one for ever."""
    names = {DAWN - HOUR: "before", DAWN: "now"}
    carry = Carry(Interval(DAWN - HOUR) if ran else None)
    for order in itertools.permutations(states.split()):
        found, leaves = usage.intervals(carry, [event(DAWN, state) for state in order])
        told = [f"{names[one.begin]}-{names[one.end]} {one.source}" for one in found if one.end is not None]
        assert (told, leaves.running is not None, leaves.gone) == (ended, runs, gone)
