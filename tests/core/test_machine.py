"""Whatever anybody does in whatever order, some things never happen: tried in random steps.

GONOGO_STEPS says how many: tens of thousands by default, a million in a night.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

import pytest

from gonogo.core import clock, commands
from gonogo.core.actor import Actor
from gonogo.core.errors import ConflictError, NotPermittedError
from gonogo.core.gates import Gate, GateState
from gonogo.core.launch import Launch, Wanted
from gonogo.core.states import State
from tests.core.builders import (
    AT,
    BOSS,
    DEV,
    FINANCE,
    LEAD,
    LEAD2,
    LEAD3,
    OPS,
    STRANGER,
    approve,
    gate,
    launch,
    question,
    revoke,
    schemas,
)

STEPS = int(os.environ.get("GONOGO_STEPS", "50000"))
SEEDS = range(4)
LONGEST_LIFE = 120
AFTERLIFE = 6
PEOPLE = (DEV, BOSS, LEAD, LEAD2, LEAD3, FINANCE, OPS, STRANGER)
APPROVERS = (LEAD, LEAD2, LEAD3, FINANCE, OPS)
ENDS = frozenset({State.TERMINATED, State.REJECTED, State.EXPIRED, State.CANCELLED})
APPROVED = frozenset(
    {State.PENDING, State.LAUNCHING, State.RUNNING, State.STOPPED, State.TERMINATED, State.FAILED}
)
APT = {
    State.PENDING_APPROVAL: ("decide",) * 9 + ("revoke", "cancel", "tick"),
    State.PENDING: ("claim", "claim", "claim", "reopen", "reopen", "fail", "cancel", "tick"),
    State.LAUNCHING: ("start", "start", "fail", "tick"),
    State.RUNNING: ("change", "observe", "refuse", "tick"),
    State.STOPPED: ("change", "observe", "refuse", "tick"),
    State.FAILED: ("retry",),
}
"""What is likely tried in a state; everything else is tried too."""
CUED = {
    State.PENDING_APPROVAL: "gate.opened",
    State.PENDING: "launch.cleared",
    State.LAUNCHING: "launch.cleared",
    State.RUNNING: "launch.change_requested",
    State.STOPPED: "launch.change_requested",
}


@dataclass
class Said:
    """What the world knows of who said go, kept apart from the launch: by gate, for its one digest."""

    go: dict[str, set[Actor]] = field(default_factory=dict)
    started: Counter[int] = field(default_factory=Counter)
    terminal: State | None = None


class World:
    """Random people, a clock that jumps, a launch at a time; after each step all must still hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.now = AT
        self.did: Counter[str] = Counter()
        self.reached: Counter[State] = Counter()
        self.begin()

    def begin(self) -> None:
        """Submit another launch, behind up to four gates of up to three stages."""
        pick = self.random
        gates: list[Gate] = []
        for name in pick.sample(("lead", "audit", "finance", "risk"), pick.choice((0, 1, 1, 2, 2, 3, 4))):
            some = tuple(pick.sample(APPROVERS, pick.randint(1, 4)))
            gates.append(
                gate(
                    name,
                    *some,
                    stage=pick.randint(1, 3),
                    quorum=pick.randint(1, min(3, len(some))),
                    expires_after=pick.choice(("1h", "1d", "7d")),
                )
            )
        asks = question(
            on_behalf_of=pick.choice((None, None, BOSS, LEAD)), lease=pick.choice(("1h", "1d", "30d"))
        )
        self.said = Said({one.name: set() for one in gates})
        self.launch = launch(*gates, at=self.now, asks=asks, id=f"l-{pick.getrandbits(64):x}")
        assert self.launch.version == 1
        self.holds(None)

    def step(self) -> None:
        """Let a moment pass, let somebody do something, and look."""
        self.now += timedelta(seconds=self.random.choice((0, 0, 1, 1, 60, 301, 1200)))
        before = self.launch
        apt = APT.get(before.state)
        name = self.random.choice(apt if apt and self.random.random() < 0.8 else tuple(self.commands))
        command = self.commands[name]
        try:
            after = command(self, before)
        except (ConflictError, NotPermittedError):
            self.did[f"{name} refused"] += 1
            return
        self.did[name if after is not before else f"{name} in vain"] += 1
        if after is before:
            return
        self.launch = after
        self.holds(before)
        self.launch = after.changed(history=after.kept)

    # What somebody may do

    def who(self) -> Actor:
        """Return somebody, approver or not."""
        return self.random.choice(PEOPLE)

    def which(self, this: Launch) -> Gate:
        """Return a gate, mostly an open one; of a direct launch one that it does not have."""
        opened = [one for one in this.gates if one.state is GateState.OPEN]
        if opened and self.random.random() < 0.9:
            return self.random.choice(opened)
        return self.random.choice(this.gates) if this.gates else gate("lead")

    def decide(self, this: Launch) -> Launch:
        """Say go or no, for the right digest or another, with authority or without."""
        which = self.which(this)
        who = self.random.choice(APPROVERS) if self.random.random() < 0.8 else self.who()
        eligible = frozenset(self.random.sample(PEOPLE, 2) if self.random.random() < 0.2 else APPROVERS)
        digest = "0" * 64 if self.random.random() < 0.05 else this.digest
        if not this.gates:
            raise NotPermittedError
        after = commands.decide(
            this,
            gate=which.name,
            actor=who,
            verdict="reject" if self.random.random() < 0.04 else "approve",
            digest=digest,
            channel=self.random.choice(("api", "link", "webhook")),
            comment=None,
            eligible=eligible,
            at=self.now,
        )
        assert digest == this.digest
        assert who in eligible
        assert who not in this.askers
        if after is not this:
            opened = next(one for one in this.gates if one.name == which.name)
            assert opened.state is GateState.OPEN
            assert opened.expires_at is not None
            assert self.now < opened.expires_at
            decision = after.gate(which.name).decision_of(who)
            assert decision is not None
            if decision.verdict == "approve":
                self.said.go[which.name].add(who)
        return after

    def revoke(self, this: Launch) -> Launch:
        """Take back what somebody said."""
        if not this.gates:
            raise NotPermittedError
        which = self.which(this)
        who = self.random.choice([one.actor for one in which.counting] or [self.who()])
        after = commands.revoke(this, gate=which.name, actor=who, channel="link", at=self.now)
        self.said.go[which.name].discard(who)
        return after

    def reopen(self, this: Launch) -> Launch:
        """Take authority from some of those who said go."""
        lost = {
            one.name: frozenset(decision.actor for decision in one.counting if self.random.random() < 0.5)
            for one in this.gates
            if self.random.random() < 0.6
        }
        after = commands.reopen(this, lost={name: gone for name, gone in lost.items() if gone}, at=self.now)
        for name, gone in lost.items():
            self.said.go[name] -= gone
        return after

    def claim(self, this: Launch) -> Launch:
        """Take it for launching."""
        return commands.claim(this, at=self.now)

    def start(self, this: Launch) -> Launch:
        """Make one or two instances."""
        made = tuple(f"i-{n}" for n in range(self.random.randint(1, 2)))
        after = commands.record_started(this, resources=made, at=self.now)
        self.said.started[this.attempt] += 1
        return after

    def fail(self, this: Launch) -> Launch:
        """Refuse it, seldom before it was claimed."""
        if this.state is State.PENDING and self.random.random() < 0.8:
            raise NotPermittedError
        return commands.record_failed(this, code="No", message="No.", at=self.now)

    def retry(self, this: Launch) -> Launch:
        """Try again."""
        return commands.retry(this, at=self.now)

    def cancel(self, this: Launch) -> Launch:
        """Think better of it, seldom."""
        if self.random.random() < 0.9:
            raise NotPermittedError
        return commands.cancel(this, actor=DEV, at=self.now)

    def change(self, this: Launch) -> Launch:
        """Want something of what runs."""
        options: tuple[Wanted, ...] = ("stop", "start", "stop", "start", "terminate")
        wanted = self.random.choice(options)
        return commands.change(this, wanted=wanted, actor=OPS, at=self.now)

    def refuse_change(self, this: Launch) -> Launch:
        """Refuse what is wanted."""
        return commands.change_failed(this, code="No", message="No.", at=self.now)

    def observe(self, this: Launch) -> Launch:
        """See an instance, perhaps one of another launch."""
        return commands.observe(
            this,
            resource=f"i-{self.random.randint(0, 2)}",
            state=self.random.choice(
                ("pending", "running", "stopped", "stopped", "terminated", "terminated")
            ),
            changed_at=self.now,
            at=self.now,
        )

    def tick(self, this: Launch) -> Launch:
        """Let the clock do what it must, often exactly when the alarm rings."""
        if this.due_at is not None and self.random.random() < 0.3:
            self.now = max(self.now, this.due_at)
        return clock.tick(this, at=self.now)

    commands: ClassVar[Mapping[str, Callable[[World, Launch], Launch]]] = {
        "decide": decide,
        "revoke": revoke,
        "reopen": reopen,
        "claim": claim,
        "start": start,
        "fail": fail,
        "retry": retry,
        "cancel": cancel,
        "change": change,
        "refuse": refuse_change,
        "observe": observe,
        "tick": tick,
    }

    # What must hold

    def holds(self, before: Launch | None) -> None:
        """Assert everything that must hold of the launch, and of the change that made it what it is."""
        this = self.launch
        self.reached[this.state] += 1
        self.holds_of_history(before)
        self.holds_of_gates(before)
        self.holds_of_alarm()
        if this.state in APPROVED:
            for one in this.gates:
                assert len(self.said.go[one.name] - this.askers) >= one.quorum, (
                    f"{this.state} without {one.name}"
                )
        if self.said.terminal is not None:
            assert this.state is self.said.terminal, "an end is an end"
        elif this.state in ENDS:
            self.said.terminal = this.state
        assert all(times == 1 for times in self.said.started.values()), "one attempt is launched once"
        assert this.digest == this.question.digest

    def holds_of_history(self, before: Launch | None) -> None:
        """Assert that versions and events grow by one, without a gap, and that events are of their schema."""
        this = self.launch
        if before is not None:
            assert this.version == before.version + 1
            assert this.history[: len(before.history)] == before.history
            assert this.attempt in (before.attempt, before.attempt + 1)
        first = this.seq - len(this.history) + 1
        assert [one.seq for one in this.history] == list(range(first, this.seq + 1))
        for one in this.history[len(before.history) if before else 0 :]:
            schemas()(one)
            assert one.data["launch"]["digest"] == this.digest

    def holds_of_gates(self, before: Launch | None) -> None:
        """Assert that each actor counts once, for this digest, and that no stage opens before its turn."""
        this = self.launch
        for one in this.gates:
            counting = [decision.actor for decision in one.counting]
            assert len(counting) == len(set(counting))
            assert not set(counting) & this.askers
            assert all(decision.digest == this.digest for decision in one.decisions)
            assert {
                decision.actor for decision in one.counting if decision.verdict == "approve"
            } == self.said.go[one.name]
            assert len(one.decisions) <= len(PEOPLE)
            if one.state is GateState.GO:
                assert one.approvals >= one.quorum
            if one.state is GateState.OPEN:
                assert one.approvals < one.quorum
            opened = one.round - (before.gate(one.name).round if before else 0)
            assert opened in (0, 1)
            if opened:
                earlier = [other for other in this.gates if other.stage < one.stage]
                assert all(other.state is GateState.GO for other in earlier), "a stage opened before its turn"
        if this.state is State.PENDING_APPROVAL:
            assert any(one.state is GateState.OPEN for one in this.gates), "it waits for nobody"
        else:
            assert not any(one.state in (GateState.OPEN, GateState.WAITING) for one in this.gates)

    def holds_of_alarm(self) -> None:
        """Assert that what is not over rings in time, and that what it would give again is there."""
        this = self.launch
        if this.state in ENDS or this.state is State.FAILED:
            assert (this.due_at, this.cue) == (None, ())
            return
        assert this.due_at is not None
        found = [one for one in this.kept if one.seq in this.cue]
        assert len(found) == len(this.cue)
        assert {one.type for one in found} <= {CUED[this.state]}
        if this.state is State.PENDING_APPROVAL:
            waiting = {(one.name, one.round) for one in this.gates if one.state is GateState.OPEN}
            assert {(one.data["gate"], one.data["round"]) for one in found} == waiting
            assert all(
                one.expires_at is None or this.due_at <= one.expires_at
                for one in this.gates
                if one.state is GateState.OPEN
            )
        if this.state in (State.PENDING, State.LAUNCHING):
            assert len(found) == 1
            assert found[0].data["attempt"] == this.attempt
        if this.state in (State.RUNNING, State.STOPPED):
            assert bool(this.cue) == (this.wanted is not None)
            assert this.lease_ends_at is not None
            assert this.wanted == "terminate" or this.due_at <= max(
                this.lease_ends_at, self.now + timedelta(hours=6)
            )


def lives(world: World, steps: int) -> Iterator[int]:
    """Walk so many steps, each life for at most so long; yield how long each was."""
    left = steps
    while left:
        length = 0
        ends = LONGEST_LIFE
        while left and length < ends:
            world.step()
            left, length = left - 1, length + 1
            if world.launch.state in ENDS:
                ends = min(ends, length + AFTERLIFE)
        yield length
        world.begin()


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_must_never_happen_happens(seed: int, capsys: pytest.CaptureFixture[str]):
    """No launch without a quorum for its digest, one end, one decision each, no gap: in any order."""
    world = World(seed)
    steps = STEPS // len(SEEDS)
    count = sum(1 for _ in lives(world, steps))
    with capsys.disabled():
        print(f"\nseed {seed}: {steps} steps in {count} lives")  # noqa: T201 - who runs a million wants to see it
    assert set(world.reached) == set(State), "the steps must lead everywhere, or they prove nothing"
    assert set(world.commands) <= set(world.did), "every command must have done something"


def test_many_changes_of_mind_in_one_life():
    """A life far longer than a history: what is cued is still there, and nothing is told twice."""
    world = World(7)
    names = ("lead", "audit")
    world.said = Said({name: set() for name in names})
    world.launch = launch(*(gate(name, quorum=2, expires_after="7d") for name in names), at=world.now)
    closings = 0
    for n in range(500):
        world.now += timedelta(minutes=1)
        name, before = names[n // 2 % 2], world.launch
        if n % 2:
            world.launch = revoke(before, LEAD, name, at=world.now)
            world.said.go[name].discard(LEAD)
        else:
            world.launch = approve(before, LEAD, name, at=world.now)
            world.said.go[name].add(LEAD)
        world.holds(before)
        closings += sum(one.type == "gate.closed" for one in world.launch.history if one.seq > before.seq)
        world.launch = world.launch.changed(history=world.launch.kept)
    assert closings == 0
    assert world.launch.seq > 500


def test_when_time_alone_goes_on_everything_ends():
    """With nobody doing anything, each alarm leads to the next, and what waits for people expires."""
    for seed in range(200):
        world = World(seed)
        for _ in range(200):
            if world.launch.state is not State.PENDING_APPROVAL:
                break
            assert world.launch.due_at is not None
            world.now = world.launch.due_at
            world.launch = clock.tick(world.launch, at=world.now)
        assert world.launch.state in (State.EXPIRED, State.PENDING)
        assert world.now <= AT + timedelta(days=7)
