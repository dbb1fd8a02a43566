"""What is recorded of an instance's life is what it was, in whatever order, how often and how late it is heard of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.core import canonical
from gonogo.core import instance as instances
from gonogo.core import usage as core
from gonogo.core.errors import StoreError
from gonogo.core.usage import Interval, Record, Sight, UsageDay
from gonogo.ports import Outside
from gonogo.service import usage
from tests import memory
from tests.core.builders import HOUR, MINUTE, SECOND, running
from tests.service.true_lives import HOURLY, Bill, Run, bill

MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
LEAST = 60
FACTS = instances.metered(
    instances.first_seen(
        id="i-1", launch=running(), instance_type="t3.micro", hourly=HOURLY, at=MIDNIGHT, image="ami-1"
    ),
    running(),
)


class Days:
    """The days of one instance in a table, and a clock; what must never happen is looked for at each write."""

    def __init__(self, least: int = LEAST) -> None:
        self.least = least
        self.clock = memory.Clock(MIDNIGHT - timedelta(days=1))
        self.table = memory.Table()
        self.outside = cast("Outside", SimpleNamespace(items=self, now=self.clock))
        self.records: dict[str, Record] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def add(self, day: UsageDay) -> UsageDay:
        """Write a new day."""
        self._grew((), self.table.add(day))
        return day

    def save(self, before: UsageDay, after: UsageDay) -> None:
        """Write a changed day."""
        self.table.save(before, after)
        self._grew(before.records, after)

    def _grew(self, before: tuple[Record, ...], after: UsageDay) -> None:
        """Hold that nothing was rewritten, that ids are new, and that a correction names the first of its kind."""
        assert after.records[: len(before)] == before
        new = after.records[len(before) :]
        told = [one.data for one in after.history if one.type == "usage.recorded"]
        assert [one["record"] for one in told][-len(new) :] == [one.id for one in new] or not new
        for one in new:
            assert one.id not in self.records
            first = next(old for old in after.records if old.interval == one.interval)
            assert one.corrects == (None if first is one else first.id)
            self.records[one.id] = one

    def hear(self, *sights: Sight) -> None:
        """Take in what was seen, together."""
        usage.note(self.outside, FACTS, self.least, sights)

    def wake(self) -> bool:
        """Let every alarm ring that is due; tell if there was one."""
        due = self.table.due(self.clock(), 1000)
        for _, id_ in due:
            usage.hand_on(self.outside, id_)
        return bool(due)

    def pass_to(self, at: datetime) -> None:
        """Go on to then, and wake whenever something is due."""
        while alarms := [one for one in self.table.alarms().values() if one <= at]:
            self.clock.time = max(self.clock.time, min(alarms))
            assert self.wake()
        self.clock.time = max(self.clock.time, at)

    def days(self) -> dict[str, UsageDay]:
        """Return the days by name."""
        return {one.day: one for one in self.table.all(UsageDay)}

    def billed(self) -> dict[str, tuple[int, Decimal]]:
        """Return seconds and cost of each day that has any."""
        found = {day: (one.seconds, one.cost) for day, one in sorted(self.days().items())}
        return {day: what for day, what in found.items() if any(what)}


def truth(runs: Sequence[Run], now: datetime, least: int = LEAST) -> Bill:
    """Return what each day is to be billed."""
    return bill(runs, now, least)


class Life(msgspec.Struct, frozen=True):
    """A true life: when it ran, what is said of it, and in which order, how late and how often it is heard."""

    runs: tuple[Run, ...]
    heard: tuple[tuple[datetime, Sight], ...]


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Draw a life of up to four runs, near midnights as often as not, and what is heard of it."""
    lengths = st.one_of(
        st.integers(2, 100),
        st.integers(2, 7200),
        st.sampled_from([59, 60, 61, 3600, 86400, 86399, 86401, 2 * 86400]),
        st.integers(2, 4 * 86400),
    )
    at = MIDNIGHT + draw(st.one_of(st.integers(-90, 90), st.integers(-43200, 43200))) * SECOND
    count = draw(st.integers(1, 4))
    times = [at]
    for _ in range(2 * count - 1):
        to_midnight = (86400 - (times[-1] - MIDNIGHT) // SECOND % 86400) * SECOND
        length = draw(lengths) * SECOND
        times.append(times[-1] + (to_midnight if draw(st.integers(0, 5)) == 0 else length))
    runs: list[Run] = list(zip(times[::2], times[1::2], strict=True))
    ends = draw(st.sampled_from(["terminated", "stopped", "runs on"]))
    if ends == "runs on":
        runs[-1] = (runs[-1][0], None)
        del times[-1]
    sights: list[Sight] = []
    for number, time in enumerate(times):
        last = number == len(times) - 1
        state: Any = (
            "running" if number % 2 == 0 else "terminated" if last and ends == "terminated" else "stopped"
        )
        sights += [Sight(time, state, "event")] * draw(st.integers(1, 2))
        sights += _looks(draw, times, number, state)
    late = st.one_of(st.just(0), st.integers(0, 600), st.integers(0, 6 * 86400))
    heard = [(max(one.at, one.at + draw(late) * SECOND), one) for one in sights]
    return Life(tuple(runs), tuple(sorted(draw(st.permutations(heard)), key=lambda one: one[0])))


def _looks(draw: st.DrawFn, times: Sequence[datetime], number: int, state: Any) -> Iterator[Sight]:
    """Draw looks between this change and the next: each knows when it was asked for, and that it is so now."""
    time = times[number]
    before = times[number - 1] if number else time - HOUR
    after = times[number + 1] if number + 1 < len(times) else time + HOUR
    asked = time - draw(st.integers(0, max(0, min(600, (time - before) // SECOND - 1)))) * SECOND
    for _ in range(draw(st.integers(0, 2))):
        looked = time + draw(st.integers(0, max(0, min(900, (after - time) // SECOND - 1)))) * SECOND
        yield core.look(asked, state, looked)


@given(lives())
@settings(max_examples=100)
def test_the_records_are_the_life(life: Life) -> None:
    """Any order, any delay, twice or more, with looks in between: each day's records are its seconds, and its cost."""
    days = Days()
    for at, sight in life.heard:
        days.pass_to(at)
        days.hear(sight)
    end = max(at for at, _ in life.heard) + timedelta(days=3)
    days.pass_to(end)
    assert days.billed() == truth(life.runs, end)
    for one in days.days().values():
        assert (
            one.handed == one.leaves
            or (one.handed is None and one.due_at is not None)
            or (one.handed is None and one.leaves.running is None)
        )


@given(lives())
@settings(max_examples=30)
def test_ids_come_from_what_is_recorded_alone(life: Life) -> None:
    """Who starts anew from nothing names the same records: by instance, interval, day, and how many there were."""
    found = []
    days = Days()
    for _ in range(2):
        days = Days()
        for at, sight in life.heard:
            days.pass_to(at)
            days.hear(sight)
        found.append(list(days.records.values()))
    assert found[0] == found[1]
    for one in days.days().values():
        times: Counter[datetime] = Counter()
        for record in one.records:
            more = [str(times[record.interval])] if times[record.interval] else []
            assert record.id == canonical.name("r", "i-1", record.interval.isoformat(), one.day, *more)
            times[record.interval] += 1


def told(at: datetime, state: Any) -> Sight:
    """Return what an event says."""
    return Sight(at, state, "event")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_an_event_after_midnight_counts_for_the_look_before(order: tuple[int, int], state: Any) -> None:
    """Asked for at 23:59:55, done at 00:00:20: the two stand on two days, and only one is true."""
    days = Days(least=0)
    days.clock.time = MIDNIGHT + 10 * MINUTE
    if state == "stopped":
        days.hear(told(MIDNIGHT - HOUR, "running"))
    looked = core.look(MIDNIGHT - 5 * SECOND, state, MIDNIGHT + 2 * MINUTE)
    both = (looked, told(MIDNIGHT + 20 * SECOND, state))
    for number in order:
        days.hear(both[number])
    if state == "running":
        days.hear(told(MIDNIGHT + HOUR, "stopped"))
    days.pass_to(MIDNIGHT + timedelta(days=2))
    end = MIDNIGHT + (20 * SECOND if state == "stopped" else HOUR)
    begin = MIDNIGHT + (20 * SECOND if state == "running" else -HOUR)
    assert days.billed() == truth([(begin, end)], days.clock(), 0)


def test_a_late_stop_after_it_was_taken_to_have_vanished_counts() -> None:
    """What was last seen at ten to midnight did stop after it, days ago: the guess is corrected, on both days."""
    days = Days()
    began, last, ended = MIDNIGHT - HOUR, MIDNIGHT - 10 * MINUTE, MIDNIGHT + 5 * MINUTE
    days.clock.time = MIDNIGHT + HOUR
    days.hear(told(began, "running"))
    days.hear(core.vanished(last))
    assert days.billed() == truth([(began, last)], days.clock())
    days.pass_to(MIDNIGHT + timedelta(days=3))
    days.hear(Sight(last, "terminated", "refuted"), told(ended, "terminated"))
    days.hear(core.vanished(last))
    days.pass_to(MIDNIGHT + timedelta(days=4))
    assert days.billed() == truth([(began, ended)], days.clock())


def test_a_restart_whose_stop_nobody_told_of_ran_until_then() -> None:
    """The rule where no one can know: it is billed until it started again, as another interval."""
    days = Days(least=0)
    days.hear(told(MIDNIGHT, "running"))
    days.hear(told(MIDNIGHT + HOUR, "running"))
    days.hear(told(MIDNIGHT + 2 * HOUR, "stopped"))
    (day,) = days.days().values()
    assert [(one.seconds, one.stop_source) for one in day.records] == [(3600, "reconciled"), (3600, "event")]
    assert day.intervals == [
        Interval(MIDNIGHT, MIDNIGHT + HOUR, "reconciled"),
        Interval(MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, "event"),
    ]


def test_it_takes_as_many_calls_on_the_thousandth_day() -> None:
    """What is recorded of a day is in that day's item, however long it has run."""
    days = Days()
    days.hear(told(MIDNIGHT, "running"))
    sizes = []
    for number in (1, 1000):
        days.pass_to(MIDNIGHT + timedelta(days=number, hours=2))
        day = days.days()[f"{days.clock():%Y-%m-%d}"]
        sizes.append(len(msgspec.json.encode(day)))
    assert abs(sizes[0] - sizes[1]) < 10


class _Gone(BaseException):
    """The process ends."""


@pytest.mark.parametrize("dies_at", range(4))
def test_a_stop_that_comes_while_the_day_is_handed_on_is_not_lost(dies_at: int) -> None:
    """One tells the next day that it runs on, and dies; meanwhile it is heard that it stopped before."""
    days = Days()
    days.clock.time = MIDNIGHT + 2 * HOUR
    calls = iter(range(100))
    first = days.table

    class Slow:
        """A table whose nth write never comes back, another having heard of the stop before it."""

        def __getattr__(self, name: str) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                if name in ("add", "save") and next(calls) == dies_at:
                    days.table = first
                    days.hear(told(MIDNIGHT - HOUR, "stopped"))
                    with suppress(StoreError):
                        getattr(first, name)(*arguments, **options)
                    raise _Gone
                return getattr(first, name)(*arguments, **options)

            return call

    days.table = cast("memory.Table", Slow())
    with suppress(_Gone):
        days.hear(told(MIDNIGHT - 2 * HOUR, "running"))
        days.wake()
    days.table = first
    days.hear(told(MIDNIGHT - 2 * HOUR, "running"))
    days.hear(told(MIDNIGHT - HOUR, "stopped"))
    days.pass_to(MIDNIGHT + timedelta(days=3))
    assert days.billed() == truth([(MIDNIGHT - 2 * HOUR, MIDNIGHT - HOUR)], days.clock())
