"""How long an instance ran, day by day, and what that costs: whatever the order in which it is heard of.

What was seen of an instance on one UTC day, and what is recorded of that day, is one item: a `UsageDay`. Its
intervals follow from all that was seen of the day, and from whether the instance ran when the day began; so it
makes no difference in which order, how late or how often something is seen. What the records say and the intervals
do not, is corrected by another record. A day costs the same to record, however old the instance is.

Times are whole seconds, as EC2 tells them; amounts are exact decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

import msgspec

from gonogo.core import canonical, event
from gonogo.core.event import Metered, StopSource
from gonogo.core.item import Item, Listed

GRACE = timedelta(minutes=15)
"""How long after its end a day is recorded for what runs on: what is heard of late needs no correction by then."""
STARTING = timedelta(minutes=10)
"""How long after it was asked to start, as a look at it tells, an event that it runs may still be of that start."""
PLACES = Decimal("1e-10")
DAY = timedelta(days=1)

Source = Literal["event", "look", "vanished", "reported"]
_SOURCES: dict[Source, StopSource] = {
    "event": "event",
    "look": "reconciled",
    "vanished": "vanished",
    "reported": "reported",
}
_TOLD: tuple[Source, ...] = ("event", "reported")


class Sight(msgspec.Struct, frozen=True, order=True):
    """The instance was seen to have come into this state at that time, by an event, or by a look at it.

    A look knows when it was asked to start or to stop, which is a little before it did: where an event tells
    when it did, that counts.
    """

    at: datetime
    state: Literal["running", "stopped", "terminated"]
    source: Source


class Interval(msgspec.Struct, frozen=True):
    """It ran from `begin` until `end` (None: it runs on), says `source`; `told` whether an event said that it began."""

    begin: datetime
    end: datetime | None = None
    source: StopSource | None = None
    told: bool = True


class Carry(msgspec.Struct, frozen=True):
    """How a day begins: the interval that was open then, or that the instance is gone."""

    running: Interval | None = None
    gone: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One usage record of the day; `interval` is when its interval began. A correction's amounts are differences."""

    id: str
    corrects: str | None
    interval: datetime
    interval_end: datetime | None
    begin: datetime
    end: datetime
    seconds: int
    cost: Decimal
    stop_source: StopSource | None
    at: datetime


class UsageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of usage shows of one instance's day; `cost` and `seconds` are those of all its records."""

    id: str
    instance: str
    launch: str
    day: str
    cost_center: str
    currency: str
    seconds: int
    cost: Decimal


class UsageDay(Item, frozen=True, kw_only=True):
    """One instance's UTC day: what was seen, what is recorded; `handed` is what the next day was told of its end.

    `least` is how many seconds each start is billed for at least.
    """

    kind = "usage"

    day: str
    facts: Metered
    least: int = 0
    carry: Carry = Carry()
    sights: tuple[Sight, ...] = ()
    records: tuple[Record, ...] = ()
    handed: Carry | None = None

    @property
    def begin(self) -> datetime:
        """When the day begins."""
        return datetime.combine(date.fromisoformat(self.day), datetime.min.time(), tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """When the next day begins."""
        return self.begin + DAY

    @property
    def month(self) -> str:
        """The month, such as 2026-11."""
        return self.day[:7]

    @property
    def seconds(self) -> int:
        """How many seconds are billed."""
        return sum(one.seconds for one in self.records)

    @property
    def cost(self) -> Decimal:
        """What they cost."""
        return sum((one.cost for one in self.records), Decimal(0))

    @property
    def intervals(self) -> list[Interval]:
        """The intervals in which it ran, as far as they touch the day."""
        return intervals(self.carry, self.sights)[0]

    @property
    def leaves(self) -> Carry:
        """How the day ends, and so how the next begins."""
        return intervals(self.carry, self.sights)[1]

    def listed(self) -> Listed:
        """Stand in the bill of its cost center and month, and in the list of all that ran in that month."""
        return Listed(
            feed=bill(self.facts.cost_center, self.month),
            state=ran_in(self.month),
            summary=UsageSummary(
                id=self.id,
                instance=self.facts.instance,
                launch=self.facts.launch,
                day=self.day,
                cost_center=self.facts.cost_center,
                currency=self.facts.currency,
                seconds=self.seconds,
                cost=self.cost,
            ),
        )


def bill(cost_center: str, month: str) -> str:
    """Return the feed of a cost center's month."""
    return f"bill#{cost_center}#{month}"


def ran_in(month: str) -> str:
    """Return the list of all usage of a month, whoever pays for it."""
    return f"usage:{month}"


def usage_id(instance: str, day: str) -> str:
    """Return the one id of an instance's day."""
    return canonical.name("u", instance, day)


def day_of(at: datetime) -> str:
    """Return the UTC day of a time, such as 2026-11-27."""
    return at.astimezone(UTC).date().isoformat()


def to_the_second(at: datetime) -> datetime:
    """Return the time in UTC without what is less than a second: EC2 tells no more."""
    return at.astimezone(UTC).replace(microsecond=0)


def opened(facts: Metered, day: str, least: int, at: datetime) -> UsageDay:
    """Return a day of which nothing is known yet; it is not stored."""
    begin = datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=UTC)
    return UsageDay(
        id=usage_id(facts.instance, day),
        version=0,
        at=begin,
        updated_at=at,
        day=day,
        facts=facts,
        least=least,
    )


def intervals(carry: Carry, sights: Iterable[Sight]) -> tuple[list[Interval], Carry]:
    """Return the intervals that follow from what was seen, and what is so at the end.

    Of a start and a stop in the same second, that counts first which can be. A start while it runs means that
    nobody told of a stop: it is taken to have run until then. What is seen after its end was seen before it.
    """
    found: list[Interval] = []
    running, gone = carry.running, carry.gone
    for sight in _in_order(carry, sights):
        if gone:
            break
        if sight.state != "running":
            if running is not None:
                found.append(Interval(running.begin, sight.at, _SOURCES[sight.source], running.told))
            elif found and _tells_better(found[-1], sight):
                found[-1] = Interval(found[-1].begin, sight.at, _SOURCES[sight.source], found[-1].told)
            running, gone = None, sight.state == "terminated"
        elif running is None:
            running = Interval(sight.at, told=sight.source in _TOLD)
        elif not running.told and sight.source in _TOLD and sight.at - running.begin <= STARTING:
            running = Interval(sight.at)
        elif sight.at > running.begin:
            found.append(Interval(running.begin, sight.at, "reconciled", running.told))
            running = Interval(sight.at, told=sight.source in _TOLD)
    if running is not None:
        found.append(running)
    return found, Carry(running, gone)


def _tells_better(last: Interval, sight: Sight) -> bool:
    """Tell whether an event says when that stop was done which a look only knew to be asked for."""
    soon = last.end is not None and sight.at - last.end <= STARTING
    return soon and last.source == "reconciled" and sight.source in _TOLD


def _in_order(carry: Carry, sights: Iterable[Sight]) -> Iterator[Sight]:
    """Return the sights by time; in one second, those that change something first."""
    by_second: dict[datetime, list[Sight]] = {}
    for sight in sorted(sights):
        by_second.setdefault(sight.at, []).append(sight)
    runs = carry.running is not None
    for second in by_second.values():
        left = list(second)
        while left:
            ends = [one for one in left if one.state == "terminated"]
            turns = [one for one in left if (one.state == "running") != runs and one not in ends]
            one = (turns or [this for this in left if this not in ends] or ends)[0]
            left.remove(one)
            runs = one.state == "running"
            yield one


def seen(day: UsageDay, sights: Sequence[Sight], at: datetime) -> UsageDay:
    """Record what was seen on the day; the very same day where all of it is known."""
    known = {(one.at, one.state): one for one in day.sights}
    new = [
        one
        for one in sights
        if day_of(one.at) == day.day
        and ((one.at, one.state) not in known or _says_more(one, known[one.at, one.state]))
    ]
    if not new:
        return day
    merged = {**known, **{(one.at, one.state): one for one in new}}
    return _recorded(day.changed(sights=tuple(sorted(merged.values()))), at)


def _says_more(new: Sight, old: Sight) -> bool:
    return new.source in _TOLD and old.source not in _TOLD


def carried(day: UsageDay, carry: Carry, at: datetime) -> UsageDay:
    """Record how the day begins; the very same day where that is known."""
    return day if carry == day.carry else _recorded(day.changed(carry=carry), at)


def handed_on(day: UsageDay, leaves: Carry, at: datetime) -> UsageDay:
    """Record that the next day was told that this one ended so; the very same day where that is known."""
    return day if day.handed == leaves else _recorded(day.changed(handed=leaves), at)


def is_to_hand_on(day: UsageDay, at: datetime) -> bool:
    """Tell whether the day is over, and the next does not know how it ended."""
    return at >= day.end + GRACE and _has_news(day)


def _has_news(day: UsageDay) -> bool:
    """Tell whether the next day begins otherwise than it knows: without being told, nothing runs then."""
    leaves = day.leaves
    return leaves != day.handed and (day.handed is not None or leaves.running is not None)


def _recorded(day: UsageDay, at: datetime) -> UsageDay:
    """Return the day with a record for whatever its records do not say yet, and its alarm set: its next version."""
    over = at >= day.end + GRACE
    slices = dict(_slices(day, over=over))
    for begin in dict.fromkeys((*slices, *(one.interval for one in day.records))):
        day = _corrected(day, begin, slices.get(begin), at)
    due_at = max(day.end + GRACE, at) if _has_news(day) else None
    return day.changed(due_at=due_at, updated_at=at).next_version()


class _Slice(msgspec.Struct, frozen=True):
    interval: Interval
    begin: datetime
    end: datetime
    seconds: int


def _slices(day: UsageDay, *, over: bool) -> Iterator[tuple[datetime, _Slice]]:
    """Return what of each interval falls on the day, by the interval's beginning; of an open one, once it is over.

    What a start costs at least is billed where it stopped.
    """
    for one in day.intervals:
        if one.end is None and not over:
            continue
        begin, end = max(one.begin, day.begin), min(one.end or day.end, day.end)
        seconds = _seconds(end - begin)
        if one.end is not None:
            seconds += max(0, day.least - _seconds(one.end - one.begin))
        yield one.begin, _Slice(one, begin, end, seconds)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def cost(hourly: Decimal, seconds: int) -> Decimal:
    """Return what so many seconds cost, to ten places."""
    return (hourly * seconds / 3600).quantize(PLACES, rounding=ROUND_HALF_EVEN)


def _corrected(day: UsageDay, begin: datetime, now: _Slice | None, at: datetime) -> UsageDay:
    """Return the day with a record of what its records do not say yet of the interval that began then."""
    before = [one for one in day.records if one.interval == begin]
    seconds = (now.seconds if now else 0) - sum(one.seconds for one in before)
    amount = cost(day.facts.hourly, now.seconds if now else 0) - sum((one.cost for one in before), Decimal(0))
    if seconds == 0 and amount == 0:
        return day
    parts = (day.facts.instance, begin.isoformat(), day.day)
    ends = now.interval.end if now else None
    record = Record(
        id=canonical.name("r", *parts, *([str(len(before))] if before else [])),
        corrects=before[0].id if before else None,
        interval=begin,
        interval_end=ends,
        begin=now.begin if now else before[0].begin,
        end=now.end if now else before[0].end,
        seconds=seconds,
        cost=amount,
        stop_source=now.interval.source if now else None,
        at=at,
    )
    return day.changed(records=(*day.records, record)).happened(at, told(day, record))


def told(day: UsageDay, record: Record) -> event.UsageRecorded:
    """Return what is told of a record: all that a biller needs of it."""
    return event.UsageRecorded(
        **msgspec.structs.asdict(day.facts),
        record=record.id,
        corrects=record.corrects,
        day=day.day,
        interval_begin=record.interval,
        interval_end=record.interval_end,
        begin=record.begin,
        end=record.end,
        seconds=record.seconds,
        cost=record.cost,
        stop_source=record.stop_source,
    )
