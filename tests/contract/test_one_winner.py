"""Sixty-four at once over the real service and the real table, on the second engine: one of them decides, once.

The engine is a server of its own, so each of the sixty-four has a line of its own to it, and their requests are
under way at the same time. In each round all are held until the last is there: at the door, before any has read
the launch, or at the write, when all have read it and each is about to write over the same version.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import cycle, islice
from threading import Barrier, Lock
from typing import Any, Literal

import msgspec
import pytest

from gonogo import ports
from gonogo.aws import engines
from gonogo.aws.table import Table
from gonogo.core import chain
from gonogo.core.actor import Actor
from gonogo.core.chain import Head
from gonogo.core.errors import ConflictError, GateNotOpenError, TransitionNotAllowedError
from gonogo.core.event import cloud_event
from gonogo.core.gates import GateState
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest, Place
from gonogo.core.states import State
from gonogo.service import change, decide, identity, read, submit, wake
from gonogo.service import launch as launcher
from local.aws import REGION, client
from tests import memory
from tests.contract import second_engine, tables
from tests.core.builders import also, policy_files, somebody
from tests.functions.quick import quick

pytestmark = [
    pytest.mark.second_engine,
    pytest.mark.skipif(not second_engine.PROGRAM.exists(), reason="there is no .venv-ministack"),
]

AT_ONCE = 64
ROUNDS = int(os.environ.get("GONOGO_ROUNDS") or 6)
LAUNCHES = max(2, ROUNDS // 10)
PATIENCE = 120
"""Seconds that one waits for the others; a round takes a fraction of one."""


class Meeting(Table):
    """The table of one of many: the first write of a round waits until all others are about to write too."""

    def __init__(self, table: Table, barrier: Barrier) -> None:
        super().__init__(table._name, REGION, 1)
        self._table = table._table
        self._barrier = barrier
        self.waits = False

    def save(self, before: Item, after: Item) -> None:
        """Meet the others, once, and save."""
        if self.waits:
            self.waits = False
            self._barrier.wait(PATIENCE)
        super().save(before, after)


class Outside(memory.Outside):
    """Everything outside in memory, but the table, and EC2 where there is a line to it."""

    def __init__(self, table: ports.Items, clock: memory.Clock, ec2: Any = None) -> None:
        self._items, self._ec2 = table, ec2
        super().__init__(CROWD, clock)

    def engine(self, engine: str) -> ports.Engine:
        """Return the real engine, on the second engine's EC2."""
        return super().engine(engine) if self._ec2 is None else engines.engine(engine, self._line)

    def _line(self, service: str, _place: Place) -> Any:
        return self._ec2 if service == "ec2" else client(service)

    @property
    def items(self) -> ports.Items:
        """The table of the second engine."""
        return self._items


CROWD = policy_files(people=also("".join(somebody(f"lead-{n:02d}", "leads") for n in range(AT_ONCE))))
"""The example policy with sixty-four leads, any one of whom decides the gate `lead`, within three days."""
ASKED = memory.BEGINNING
CLOSES = ASKED + timedelta(days=3)
REQUEST = LaunchRequest(
    template="web-small", parameters={}, reason="A page for the fair.", cost_center="4711"
)
Deed = Literal["approve", "reject", "cancel", "expire"]
Meet = Literal["at the door", "at the write"]
Answer = Launch | ConflictError | None


class One:
    """One of the sixty-four, with a table and a clock of their own: time's own is a second ahead of people's."""

    def __init__(self, number: int, table: Meeting) -> None:
        self.table, self._number = table, number
        clock = memory.Clock()
        self._outside = Outside(table, clock)
        self._clock = clock
        self._lead = identity.sign_in(self._outside, f"Bearer lead-{number:02d}")
        self._dev = identity.sign_in(self._outside, "Bearer dev")

    def do(self, deed: Deed, launch: Launch) -> Answer:
        """Do a deed; return the launch after it, or why not. Nobody is told anything of a waking."""
        self._clock.time = CLOSES if deed == "expire" else CLOSES - timedelta(seconds=1)
        try:
            if deed == "expire":
                wake.wake(self._outside)
                return None
            if deed == "cancel":
                return change.cancel(self._outside, self._dev, launch.id)
            return decide.decide(
                self._outside,
                self._lead,
                launch.id,
                gate="lead",
                verdict=deed,
                digest=launch.digest,
                comment=f"{self._number}",
            )
        except ConflictError as error:
            return error

    @property
    def actor(self) -> Actor:
        """Who decides."""
        return self._lead.actor


class Crowd:
    """Sixty-four, and somebody who asks for what they decide."""

    def __init__(self, table: Table) -> None:
        self._barrier = Barrier(AT_ONCE)
        self._pool = ThreadPoolExecutor(AT_ONCE)
        clock = memory.Clock(ASKED)
        self.outside = Outside(table, clock)
        self._dev = identity.sign_in(self.outside, "Bearer dev")
        self.all = [One(number, Meeting(table, self._barrier)) for number in range(AT_ONCE)]

    def close(self) -> None:
        """Let all go home."""
        self._pool.shutdown()

    def ask(self) -> Launch:
        """Ask for a fresh launch."""
        return submit.submit(self.outside, self._dev, REQUEST, None)

    def at_once(self, deeds: Sequence[Deed], launch: Launch, meet: Meet) -> list[Answer]:
        """Let each do their deed at the same time, and return what each was answered."""

        def do(number: int) -> Answer:
            one = self.all[number]
            one.table.waits = meet == "at the write"
            if meet == "at the door":
                self._barrier.wait(PATIENCE)
            return one.do(deeds[number], launch)

        return list(self._pool.map(do, range(AT_ONCE)))

    def tidy(self, launch: Launch) -> None:
        """End what waits to be launched, so that its alarm rings in no other round."""
        with suppress(TransitionNotAllowedError):
            change.cancel(self.outside, self._dev, launch.id)


@pytest.fixture
def table(engine: str) -> Iterator[Table]:
    """A table of the second engine with nothing in it, and a line to it for each of sixty-four."""
    with quick(), tables.on_second_engine(engine) as made:
        lines: Any = made._table.connection
        lines._max_pool_connections = AT_ONCE  # else those who find no line free dial anew for each call
        yield made


@pytest.fixture
def crowd(table: Table) -> Iterator[Crowd]:
    """Sixty-four at that table."""
    made = Crowd(table)
    yield made
    made.close()


ASKED_FOR = ["launch.requested", "launch.awaiting_approval", "gate.opened"]
TOLD: Mapping[Deed, list[str]] = {
    "approve": ["gate.decided", "gate.closed", "launch.cleared"],
    "reject": ["gate.decided", "gate.closed", "launch.rejected"],
    "cancel": ["gate.closed", "launch.cancelled"],
    "expire": ["gate.closed", "launch.expired"],
}
"""What is told of whoever wins, and nothing else."""
BECOMES: Mapping[Deed, tuple[State, GateState]] = {
    "approve": (State.PENDING, GateState.GO),
    "reject": (State.REJECTED, GateState.NO_GO),
    "cancel": (State.CANCELLED, GateState.CANCELLED),
    "expire": (State.EXPIRED, GateState.EXPIRED),
}


def winner(crowd: Crowd, launch: Launch, deeds: Sequence[Deed], answers: Sequence[Answer]) -> str:
    """Return which deed won, after asserting that one did, and that all were told so.

    What is cleared may still be cancelled, once, until it is launched: that is a second write, and no second winner.
    """
    told, head = read.history(crowd.outside, launch.id)
    after = read.launch(crowd.outside, launch.id)
    kinds = [one.type for one in told]
    (won,) = [one for one in TOLD if kinds[len(ASKED_FOR) :][: len(TOLD[one])] == TOLD[one]]
    later = kinds[len(ASKED_FOR) + len(TOLD[won]) :]
    assert kinds[: len(ASKED_FOR)] == ASKED_FOR
    assert later in ([], ["launch.cancelled"] if won == "approve" and "cancel" in deeds else [])
    state, gate_state = BECOMES["cancel" if later else won]
    gate = after.gate("lead")
    assert (after.state, after.version) == (state, launch.version + 1 + len(later))
    assert gate.state is BECOMES[won][1]
    assert [one.seq for one in told] == list(range(1, len(kinds) + 1))
    exported = [msgspec.json.decode(msgspec.json.encode(cloud_event(launch.id, one))) for one in told]
    assert head is not None
    assert chain.verify(exported, [Head(launch.id, len(told), head)]).bad == ()

    done = [
        n for n, one in enumerate(answers) if isinstance(one, Launch) and deeds[n] in ("approve", "reject")
    ]
    assert [deeds[n] for n in done] == [won] * (won in ("approve", "reject"))
    assert [one.actor for one in gate.decisions] == [crowd.all[n].actor for n in done]
    assert [one.comment for one in gate.decisions] == [f"{n}" for n in done]
    true = {str(one) for one in (state, gate_state, BECOMES[won][0], BECOMES[won][1])}
    for number, (deed, answer) in enumerate(zip(deeds, answers, strict=True)):
        if deed == "expire":
            continue
        if isinstance(answer, Launch):
            assert answer.state is (State.CANCELLED if deed == "cancel" else BECOMES[won][0])
            assert number in done or after.state is State.CANCELLED
        else:
            assert isinstance(answer, GateNotOpenError | TransitionNotAllowedError)
            assert answer.state in true, answer
    if after.state is State.CANCELLED:
        cancelled = [one for one, deed in zip(answers, deeds, strict=True) if deed == "cancel"]
        assert all(isinstance(one, Launch) for one in cancelled)
    return won


SIDES: Mapping[str, tuple[Deed, ...]] = {
    "32 for go and 32 for no": ("approve", "reject"),
    "16 each for go, for no, who cancel, and who wake": ("approve", "reject", "cancel", "expire"),
}


def test_of_sixty_four_at_once_one_decides(
    crowd: Crowd, record_property: Callable[[str, object], None]
) -> None:
    """Whoever is first ends it, is told so alone, and all others hear what became of it; nothing is told twice."""
    won: Counter[str] = Counter()
    for number in range(ROUNDS):
        sides = tuple(SIDES.values())[number % len(SIDES)]
        deeds = list(
            islice(cycle(sides), number // 2, number // 2 + AT_ONCE)
        )  # so that each kind comes first in turn
        launch = crowd.ask()
        meet: Meet = "at the write" if number // len(SIDES) % 2 else "at the door"
        answers = crowd.at_once(deeds, launch, meet)
        won[winner(crowd, launch, deeds, answers)] += 1
        crowd.tidy(launch)
    assert won.total() == ROUNDS
    told = ", ".join(f"{one}: {count}" for one, count in sorted(won.items()))
    record_property("at once", f"{ROUNDS:,} rounds of {AT_ONCE} decisions at once, one winner each ({told})")


class Faithful:
    """A line to the second engine's EC2, which ignores client tokens, that honours them as EC2 does.

    Here the same token is answered with what it made (EC2 User Guide, "Ensuring idempotency"); whatever is asked
    under a token is kept, for who counts it.
    """

    def __init__(self, ec2: Any) -> None:
        self._ec2 = ec2
        self._lock = Lock()
        self._made: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []

    def run_instances(self, **asked: Any) -> Any:
        """Run instances, or answer with those of this token."""
        with self._lock:
            self.asked.append(asked)
            token = asked["ClientToken"]
            if token not in self._made:
                self._made[token] = self._ec2.run_instances(**asked)
            return self._made[token]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ec2, name)


CUES = 16


def test_of_sixteen_cues_at_once_one_launch_comes(
    table: Table, record_property: Callable[[str, object], None]
) -> None:
    """A cue that is given sixteen times at once makes one set of instances, under one token, on record once."""
    ec2 = Faithful(client("ec2"))
    clock, barrier = memory.Clock(), Barrier(CUES)
    all_of_them = []
    for _ in range(CUES):
        own = Meeting(table, barrier)
        all_of_them.append((own, Outside(own, clock, ec2)))
    asker = Outside(table, clock)
    ops = identity.sign_in(asker, "Bearer ops")
    for number in range(LAUNCHES):
        launch = submit.submit(asker, ops, REQUEST, None)
        assert launch.state is State.PENDING

        def cue(one: tuple[Meeting, Outside], launch: Launch = launch, number: int = number) -> None:
            own, outside = one
            own.waits = bool(number % 2)
            if not own.waits:
                barrier.wait(PATIENCE)
            launcher.launch(outside, launch.id)

        with ThreadPoolExecutor(CUES) as pool:
            list(pool.map(cue, all_of_them))
        after = read.launch(asker, launch.id)
        assert (after.state, after.version) == (State.RUNNING, launch.version + 2)
        tags = [{"Name": "tag:gonogo:launch", "Values": [launch.id]}]
        found = client("ec2").describe_instances(Filters=tags)["Reservations"]
        ids = [one["InstanceId"] for each in found for one in each["Instances"]]
        assert [one.id for one in after.resources] == ids
        assert len(ids) == launch.plan.spec["count"]
        told = [one.type for one in read.history(asker, launch.id)[0]]
        assert told.count("launch.started") == 1
    assert len({one["ClientToken"] for one in ec2.asked}) == LAUNCHES
    told_of = f"{LAUNCHES} launches of {CUES} cues at once, one set of instances each"
    record_property("at once", f"{told_of} ({len(ec2.asked)} calls of RunInstances, {LAUNCHES} tokens)")
