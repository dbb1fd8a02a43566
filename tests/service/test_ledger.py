"""Thousands of instances live, and EC2 tells of it twice, in disorder, or not at all: the ledger is exact.

GONOGO_LIVES says how many: a thousand by default, ten thousand in a night (`make nightly`). What an instance is to
be billed is reckoned from its true life (tests/service/true_lives.py), and from when anybody looked at it.

What no one can know: that it stopped, where EC2's word of it was lost and it ran again before anybody looked; and
that it ran, where that was lost and it had stopped, and begun again, before anybody looked. Of the first it is taken
to have run until it started again; of the second, not to have run. Looks are five minutes apart, so either is wrong
by less than that, and by what it takes to start and stop.
"""

from __future__ import annotations

import heapq
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from gonogo.core import attempts, watch
from gonogo.core.errors import LaterError
from gonogo.core.launch import Launch
from gonogo.core.plan import Place
from gonogo.core.usage import UsageDay
from gonogo.ports import Seen
from gonogo.service import observe, wake
from gonogo.service.observe import Said
from tests import memory
from tests.core.builders import LEAD, approve, gate, launch, policy_files, question
from tests.service.true_lives import Bill, Run, bill

LIVES = int(os.environ.get("GONOGO_LIVES", "500"))
SEED = int(os.environ.get("GONOGO_SEED", "4"))
BATCH = 250
EACH = 10
"""Instances of one launch."""
LOST, TWICE, SHUFFLED = 0.02, 0.3, 0.3
LEAST = 60
SLOWEST_START, SLOWEST_STOP = 40, 90
NOON = datetime(2026, 11, 27, 18, tzinfo=UTC)
COUNTED = "lives of instances"


def seconds(count: float) -> timedelta:
    """Return so many whole seconds."""
    return timedelta(seconds=int(count))


class Phase(msgspec.Struct):
    """One run: when it was asked to start, and did; was asked to stop, and had; None where it does not."""

    asked_at: datetime
    ran_at: datetime
    told_to_stop_at: datetime | None
    stopped_at: datetime | None
    start_is_lost: bool
    stop_is_lost: bool
    ends: bool


class Machine(msgspec.Struct):
    """One instance, its true life, and when it was looked at."""

    id: str
    launch: str
    phases: list[Phase]
    looks: list[datetime] = []

    def seen(self, now: datetime) -> Seen | None:
        """Return what DescribeInstances shows: an ended instance for an hour."""
        begun = [one for one in self.phases if one.asked_at <= now]
        if not begun:
            return None
        phase = begun[-1]
        state: Literal["pending", "running", "stopped", "terminated"] | None = "running"
        stopped_at, asked = phase.stopped_at, phase.told_to_stop_at
        if now < phase.ran_at:
            state = "pending"
        elif stopped_at is not None and now >= stopped_at:
            state = "terminated" if phase.ends else "stopped"
            if phase.ends and now - stopped_at >= timedelta(hours=1):
                return None
        elif asked is not None and now >= asked:
            state = None
        self.looks.append(now)
        return Seen(
            id=self.id,
            kind="t3.micro",
            state=state,
            client_token="",
            launch=self.launch,
            ending=state is None and phase.ends,
            image="ami-1",
            began_at=phase.asked_at,
            changed_at=asked if asked is not None and now >= asked else None,
        )

    def true_runs(self) -> list[Run]:
        """Return when it truly ran."""
        return [(one.ran_at, one.stopped_at) for one in self.phases]

    def known_runs(self) -> list[Run]:
        """Return when it ran as far as anybody can know it, by the rule."""
        found: list[Run] = []
        runs_since: datetime | None = None
        for phase, following in zip(self.phases, [*self.phases[1:], None], strict=True):
            ends_at = following.asked_at if following is not None else None
            looks = self._shown(phase, ends_at)
            asked_to_run = phase.asked_at if looks else None
            begun = asked_to_run if phase.start_is_lost else phase.ran_at
            if begun is not None:
                found += [(runs_since, begun)] if runs_since is not None else []
                runs_since = begun
            if phase.stopped_at is None or phase.told_to_stop_at is None:
                continue
            after = any(one >= phase.stopped_at for one in looks)
            asked = phase.told_to_stop_at if after else None
            stopped = asked if phase.stop_is_lost else phase.stopped_at
            if stopped is not None:
                found += [(runs_since, stopped)] if runs_since is not None else []
                runs_since = None
        return [*found, (runs_since, None)] if runs_since is not None else found

    def _shown(self, phase: Phase, ends_at: datetime | None) -> list[datetime]:
        """Return the looks that could tell of this phase: not those at what is on its way."""
        way = (phase.told_to_stop_at, phase.stopped_at)
        return [
            one
            for one in self.looks
            if phase.ran_at <= one
            and (ends_at is None or one < ends_at)
            and not (way[0] is not None and way[1] is not None and way[0] <= one < way[1])
        ]

    def lost(self) -> int:
        """Return how much was lost of it."""
        return sum(one.start_is_lost + one.stop_is_lost for one in self.phases)

    def unknown(self) -> int:
        """Return how much of what was lost nobody could see."""
        changes = sum(2 if one.stopped_at is not None else 1 for one in self.phases)
        known = self.known_runs()
        ends = {one for run in known for one in run if one is not None}
        told = sum(
            (one.ran_at in ends or one.asked_at in ends)
            + (one.stopped_at in ends or one.told_to_stop_at in ends)
            for one in self.phases
        )
        return max(0, changes - told)


class World(memory.Outside):
    """One region of EC2 that does as it is written in the lives, over a table in memory."""

    def __init__(self, draw: random.Random, count: int) -> None:
        super().__init__(policy_files())
        self.clock.time = NOON
        self.draw = draw
        self.machines: dict[str, Machine] = {}
        self.heap: list[tuple[datetime, int, str, Said, datetime]] = []
        self.counts: Counter[str] = Counter()
        for number in range(-(-count // EACH)):
            ids = [f"i-{number:06d}{one:03d}" for one in range(min(EACH, count - number * EACH))]
            self.launch(f"l-{number}", ids)
        self.table.add(watch.begun(Place("us-east-1"), NOON))

    def launch(self, name: str, ids: Sequence[str]) -> None:
        """Launch what lives these lives."""
        this = approve(launch(gate(), id=name, asks=question(count=len(ids)), at=NOON), LEAD, at=NOON)
        this = this.changed(bundle=self.policies.current().digest)
        this = attempts.record_started(attempts.claim(this, at=NOON), resources=tuple(ids), at=NOON)
        self.table.add(this)
        for one in ids:
            self.machines[one] = Machine(one, name, list(self.phases()))
            self.tell(self.machines[one])

    def phases(self) -> Iterator[Phase]:
        """Draw a life: one run or a few, short or long, which ends or does not."""
        draw = self.draw
        at = NOON + seconds(draw.uniform(0, 5 * 3600))
        count = draw.choices((1, 2, 3, 5), (6, 3, 2, 1))[0]
        for number in range(count):
            last = number == count - 1
            ran_at = at + seconds(draw.uniform(2, SLOWEST_START))
            asked = ran_at + seconds(60 * 10 ** draw.uniform(-0.3, 2.4))
            stopped_at = asked + seconds(draw.uniform(3, SLOWEST_STOP))
            runs_on = last and draw.random() < 0.05
            yield Phase(
                asked_at=at,
                ran_at=ran_at,
                told_to_stop_at=None if runs_on else asked,
                stopped_at=None if runs_on else stopped_at,
                start_is_lost=draw.random() < LOST,
                stop_is_lost=not runs_on and draw.random() < LOST,
                ends=last and draw.random() < 0.9,
            )
            at = stopped_at + seconds(30 * 10 ** draw.uniform(0, 2))

    def tell(self, machine: Machine) -> None:
        """Put what EC2 tells of a life on its way: some of it twice, some of it late, some not at all."""
        for phase in machine.phases:
            ended: Said = "terminated" if phase.ends else "stopped"
            for at, said, lost in (
                (phase.ran_at, "running", phase.start_is_lost),
                (phase.stopped_at, ended, phase.stop_is_lost),
            ):
                if at is None:
                    continue
                self.counts["events"] += 1
                self.counts["lost"] += lost
                times = 0 if lost else 1 + (self.draw.random() < TWICE)
                self.counts["told twice"] += times > 1
                for _ in range(times):
                    late = (
                        self.draw.uniform(0, 3)
                        if self.draw.random() > SHUFFLED
                        else self.draw.uniform(0, 7200)
                    )
                    self.send(at + timedelta(seconds=late), machine.id, said, at)

    def send(self, comes_at: datetime, machine: str, said: Said, at: datetime) -> None:
        """Let a message come then."""
        heapq.heappush(self.heap, (comes_at, len(self.heap), machine, said, at))

    def observer(self, engine: str) -> Any:
        """Return the eyes on it."""
        assert engine == "ec2"
        return self

    def look(self, resource: str, place: Place) -> Seen | None:
        """Describe one instance."""
        assert place == Place("us-east-1")
        return self.machines[resource].seen(self.clock())

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Describe all, a hundred a page."""
        assert (place, ours) == (Place("us-east-1"), True)
        now = self.clock()
        shown = [seen for one in self.machines.values() if (seen := one.seen(now)) is not None]
        for start in range(0, len(shown), 100):
            yield shown[start : start + 100]

    def live(self) -> None:
        """Let all of it happen, and the waker wake every minute that it would find something."""
        ends = max(at for at, *_ in self.heap) + timedelta(hours=3)
        while self.clock() < ends:
            rings = min([*self.table.alarms().values(), ends])
            if self.heap and self.heap[0][0] <= rings:
                comes_at, _, machine, said, at = heapq.heappop(self.heap)
                self.clock.time = max(self.clock(), comes_at)
                try:
                    observe.observe(
                        self,
                        machine,
                        region="us-east-1",
                        account="1",
                        said=said,
                        said_at=at,  # type: ignore[arg-type]
                    )
                except LaterError:
                    self.counts["came again"] += 1
                    self.send(self.clock() + timedelta(minutes=6), machine, said, at)
                continue
            self.clock.time = max(self.clock(), rings)
            wake.wake(self)

    def billed(self) -> dict[str, Bill]:
        """Return what is recorded of each instance."""
        found: dict[str, Bill] = {one: {} for one in self.machines}
        for day in self.table.all(UsageDay):
            self.counts["records"] += len(day.records)
            self.counts["corrections"] += sum(one.corrects is not None for one in day.records)
            told = [
                one for one in self.table.put_aside(UsageDay, day.id) if one.seq <= day.seq - len(day.history)
            ]
            events = [one.data for one in (*told, *day.history)]
            assert [one["record"] for one in events] == [one.id for one in day.records]
            assert sum((Decimal(one["cost"]) for one in events), Decimal(0)) == day.cost
            if day.records and any((day.seconds, day.cost)):
                found[day.facts.instance][day.day] = day.seconds, day.cost
        return {one: dict(sorted(days.items())) for one, days in found.items()}


def test_the_ledger_is_exact(record_property: Callable[[str, object], None]) -> None:
    """Whatever EC2 tells twice, in disorder or not at all, each instance is billed what it ran, day by day."""
    counts: Counter[str] = Counter()
    most = 0.0
    for number, start in enumerate(range(0, LIVES, BATCH)):
        world = World(random.Random(f"{SEED}-{number}"), min(BATCH, LIVES - start))  # noqa: S311 - no secret
        world.live()
        now, found = world.clock(), world.billed()
        for one in world.machines.values():
            where = f"GONOGO_SEED={SEED}, batch {number}: {one}"
            assert found[one.id] == bill(one.known_runs(), now, LEAST), where
            off = abs(total(found[one.id]) - total(bill(one.true_runs(), now, LEAST)))
            assert one.lost() or not off, where
            bound = (300 + SLOWEST_START + SLOWEST_STOP) * one.lost() + LEAST * one.lost()
            assert off <= bound, where
            most = max(most, off)
            world.counts["lives with a lost event"] += one.lost() > 0
            world.counts["not known to anybody"] += one.unknown()
        counts += world.counts
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    record_property(COUNTED, f"{LIVES}: exact; {said}; the most that a loss made of one life is {most:.0f} s")


def total(days: Bill) -> int:
    """Return all seconds."""
    return sum(one for one, _ in days.values())


def test_what_is_told_of_a_life_is_what_is_drawn() -> None:
    """The simulation itself must lose and repeat as much as it says, or it proves nothing."""
    world = World(random.Random(1), BATCH)  # noqa: S311 - no secret
    told = world.counts
    assert 0.01 < told["lost"] / told["events"] < 0.03
    assert 0.25 < told["told twice"] / told["events"] < 0.35
    assert {one.id for one in world.table.all(Launch)} == {one.launch for one in world.machines.values()}
