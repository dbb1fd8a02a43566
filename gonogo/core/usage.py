"""How long an instance ran, day by day, and what that costs: whatever the order in which it is heard of.

What was seen of an instance on one UTC day, and what is recorded of that day, is one item: a `UsageDay`. Its
intervals follow from all that was seen of the day, and from whether the instance ran when the day began; so it
makes no difference in which order, how late or how often something is seen. What the records say and the intervals
do not, is corrected by another record. A day costs the same to record, however old the instance is.

Times are whole seconds, as EC2 tells them; amounts are exact decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

import msgspec

from gonogo.core import canonical, event
from gonogo.core.event import Metered, StopSource
from gonogo.core.item import Item, Listed

GRACE = timedelta(minutes=15)
"""How long after its end a day is recorded for what runs on: what is heard of late needs no correction by then."""
SLOWEST = timedelta(hours=1)
"""How long after it was asked to start or to stop, as a look tells, an event that it did is still of just that."""
SKEW = timedelta(seconds=5)
"""How much the clock of whoever looked may be behind that of EC2."""
PLACES = Decimal("1e-10")
DAY = timedelta(days=1)

Source = Literal["refuted", "event", "reported", "look", "vanished"]
SOURCES: Mapping[Source, StopSource] = {
    "event": "event",
    "reported": "reported",
    "look": "reconciled",
    "vanished": "vanished",
}
"""What a record calls whoever said that an interval ended."""
_TOLD: tuple[Source, ...] = ("event", "reported")
_TRUST: tuple[Source, ...] = ("refuted", "event", "reported", "look", "vanished")
"""Whose word counts, of those who say the same of one second: the first."""


class Sight(msgspec.Struct, frozen=True, array_like=True):
    """The instance was seen to have come into this state at that time, by an event, or by a look at it.

    An event says when it did. A look knows only when it was asked to, and that it had done so `by` the time of the
    look; of one that is not there any more, only when it was last seen. So what an event says between these two
    counts in its stead. What is `refuted` was taken for true, and is not.
    """

    at: datetime
    state: Literal["running", "stopped", "terminated"]
    source: Source
    by: datetime | None = None


class Interval(msgspec.Struct, frozen=True):
    """It ran from `begin` until `end`, says `source`; None: it runs on."""

    begin: datetime
    end: datetime | None = None
    source: StopSource | None = None


class Carry(msgspec.Struct, frozen=True):
    """How a day begins: the interval that was open then, or that the instance is gone."""

    running: Interval | None = None
    gone: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
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

    `least` is how many seconds each start is billed for at least, `heard` the version of the day before that told
    this one how it begins.
    """

    kind = "usage"

    day: str
    facts: Metered
    least: int = 0
    carry: Carry = Carry()
    heard: int = 0
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
        """Stand in its cost center's bill of the month, and in everybody's, once there is something to bill."""
        if not self.records:
            return Listed()
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


def day_before(day: UsageDay) -> str:
    """Return the id of the same instance's day before."""
    return usage_id(day.facts.instance, day_of(day.begin - DAY))


def day_after(day: UsageDay) -> str:
    """Return the id of the same instance's next day."""
    return usage_id(day.facts.instance, day_of(day.end))


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


def look(at: datetime, state: Literal["running", "stopped", "terminated"], now: datetime) -> Sight:
    """Return what a look now says: it was asked to come into this state then, and has done so."""
    at, now = to_the_second(at), to_the_second(now)
    return Sight(at, state, "look", min(max(at, now) + SKEW, at + SLOWEST))


def vanished(at: datetime) -> Sight:
    """Return what it says that an instance is not there any more, which was there then."""
    return Sight(to_the_second(at), "terminated", "vanished")


def refutes(sight: Sight, other: Sight) -> bool:
    """Tell whether, as `sight` is known, `other` is not true: it is not when it came into its state.

    What an event says counts in the stead of what a look made of it; and what is seen later was not gone.
    """
    if other.source == "vanished":
        return sight.at > other.at and sight.source not in ("vanished", "refuted")
    if other.source != "look" or sight.source not in _TOLD or other.by is None:
        return False
    same = sight.state == other.state or (sight.state, other.state) == ("stopped", "terminated")
    return same and other.at <= sight.at <= other.by


def intervals(carry: Carry, sights: Iterable[Sight]) -> tuple[list[Interval], Carry]:
    """Return the intervals that follow from what was seen, and what is so at the end.

    Of a start and a stop in the same second, that counts first which can be. A start while it runs means that
    nobody told of a stop: it is taken to have run until then. What is seen after its end was seen before it.
    """
    found: list[Interval] = []
    running, gone = carry.running, carry.gone
    for sight in _in_order(carry, _that_count(sights)):
        if gone:
            break
        if sight.state != "running":
            if running is not None:
                found.append(Interval(running.begin, sight.at, SOURCES[sight.source]))
            running, gone = None, sight.state == "terminated"
        elif running is None:
            running = Interval(sight.at)
        elif sight.at > running.begin:
            found.append(Interval(running.begin, sight.at, "reconciled"))
            running = Interval(sight.at)
    if running is not None:
        found.append(running)
    return found, Carry(running, gone)


def _that_count(sights: Iterable[Sight]) -> list[Sight]:
    """Return the sights that nothing else refutes."""
    known = list(sights)
    return [
        one
        for one in known
        if one.source != "refuted"
        and (one.source in _TOLD or not any(refutes(other, one) for other in known))
    ]


def by_time(sights: Iterable[Sight]) -> list[Sight]:
    """Return the sights by time; of one second, always in the same order."""
    return sorted(sights, key=lambda one: (one.at, one.state, one.source))


def _in_order(carry: Carry, sights: Iterable[Sight]) -> Iterator[Sight]:
    """Return the sights by time; in one second, those that change something first."""
    by_second: dict[datetime, list[Sight]] = {}
    for sight in by_time(sights):
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
    merged = dict(known)
    for one in sights:
        if day_of(one.at) == day.day:
            before = merged.get((one.at, one.state))
            merged[one.at, one.state] = one if before is None else _truer(before, one)
    if merged == known:
        return day
    return _recorded(day.changed(sights=tuple(by_time(merged.values()))), at)


def _truer(one: Sight, other: Sight) -> Sight:
    """Return whose word counts; of several looks, the first."""
    return min(one, other, key=lambda this: (_TRUST.index(this.source), this.by or this.at))


def refuted(day: UsageDay, by: Sight) -> list[Sight]:
    """Return, as refuted, what the day takes for true and this sight, of another day, refutes."""
    return [Sight(one.at, one.state, "refuted") for one in day.sights if refutes(by, one)]


def carried(day: UsageDay, carry: Carry, version: int, at: datetime) -> UsageDay:
    """Record how the day begins, as that version of the day before says; the very same day where that is no news."""
    return day if version <= day.heard else _recorded(day.changed(carry=carry, heard=version), at)


def handed_on(day: UsageDay, leaves: Carry, at: datetime) -> UsageDay:
    """Record that the next day was told that this one ended so; the very same day where that is known."""
    return day if day.handed == leaves else _recorded(day.changed(handed=leaves), at)


def is_to_hand_on(day: UsageDay, at: datetime) -> bool:
    """Tell whether the day is over, and the next does not know how it ended."""
    return day.due_at is not None and at >= day.due_at and day.leaves != day.handed


def _has_news(day: UsageDay) -> bool:
    """Tell whether the next day begins otherwise than it knows: without being told, nothing runs then."""
    leaves = day.leaves
    return leaves != day.handed and (day.handed is not None or leaves.running is not None)


def _recorded(day: UsageDay, at: datetime) -> UsageDay:
    """Return the day with a record for whatever its records do not say yet, and its alarm set: its next version.

    An alarm that has rung is not taken off before the next day has been told: who heard it may be telling it now
    how the day ended as it was known before.
    """
    over = day.handed is not None or at >= day.end + GRACE
    slices = dict(_slices(day, over=over))
    for begin in dict.fromkeys((*slices, *(one.interval for one in day.records))):
        day = _corrected(day, begin, slices.get(begin), at)
    rings = day.due_at is not None and day.due_at <= at and day.leaves != day.handed
    due_at = max(day.end + GRACE, at) if _has_news(day) or rings else None
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


def comes_to(days: Mapping[str, UsageDay], begin: datetime, at: datetime) -> dict[str, Decimal]:
    """Return what one instance costs by month, as its days say it: from `begin` until it ended, or until `at`.

    It is reckoned from what was seen, day by day, so that it is whole before the days are handed on: what runs over
    midnight is counted on both sides.
    """
    found: dict[str, Decimal] = {}
    known = next(iter(days.values()), None)
    carry, name = Carry(), day_of(begin)
    while known is not None and name <= day_of(at):
        day = days.get(name) or opened(known.facts, name, known.least, at)
        day = day.changed(carry=carry)
        for _, one in _slices(day, over=True):
            late = max(0, _seconds(one.end - max(one.begin, at))) if one.interval.end is None else 0
            found[day.month] = found.get(day.month, Decimal(0)) + cost(day.facts.hourly, one.seconds - late)
        carry, name = day.leaves, day_of(day.end)
    return found


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
    day = day.changed(records=(*day.records, record))
    return day.happened(at, told(day, record))


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
        day_seconds=day.seconds,
        day_cost=day.cost,
    )
