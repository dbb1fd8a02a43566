"""Whatever anybody does in whatever order, some things never happen: tried in random steps.

GONOGO_STEPS says how many: tens of thousands by default, a million in a night (`make nightly`).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gonogo.core import attempts, clock, commands, course, duration, life
from gonogo.core.actor import Actor
from gonogo.core.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError
from gonogo.core.gates import Decision, Gate, GateState, Verdict
from gonogo.core.launch import Launch, Promise, Wanted
from gonogo.core.plan import Question
from gonogo.core.states import TABLE, Command, State
from gonogo.core.window import Window
from tests.core.builders import (
    AT,
    BOSS,
    DEV,
    FINANCE,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    OPS,
    SCANNER,
    SCANNER2,
    STRANGER,
    approve,
    gate,
    hook,
    launch,
    question,
    review,
    revoke,
    schemas,
    timer,
)

STEPS = int(os.environ.get("GONOGO_STEPS", "50000"))
SEEDS = range(4)
ENOUGH = 100_000
LONGEST_LIFE = 120
AFTERLIFE = 6
APPROVERS = (LEAD, LEAD2, LEAD3, FINANCE, OPS)
SYSTEMS = (SCANNER, SCANNER2)
PEOPLE = (DEV, BOSS, STRANGER, *APPROVERS, *SYSTEMS)
ENDS = frozenset({State.TERMINATED, State.REJECTED, State.EXPIRED, State.CANCELLED})
STARTED = frozenset({State.RUNNING, State.STOPPED, State.TERMINATED})
CLAIMED = frozenset({State.LAUNCHING, *STARTED})
NIGHTS = Window(time_zone="Europe/Vienna", begins="22:00", ends="06:00")
APT = {
    State.PENDING_APPROVAL: ("decide",) * 16
    + ("revoke", "note", "amend", "offer", "offer", "cancel", "tick", "tick", "tick"),
    State.PENDING: ("claim",) * 4 + ("reopen", "reopen", "ask_more", "fail", "cancel", "expire", "tick"),
    State.LAUNCHING: (
        "start",
        "start",
        "start",
        "fail",
        "refused",
        "refused",
        "undone",
        "undone",
        "making",
        "tick",
    ),
    State.RUNNING: ("change", "change", "observe", "observe", "observe", "refuse", "extend", "tick", "tick"),
    State.STOPPED: ("change", "change", "observe", "observe", "observe", "refuse", "extend", "tick", "tick"),
    State.TERMINATED: ("tick",),
    State.FAILED: ("retry",),
}
"""What is likely tried in a state; everything else is tried too."""
APT_WHILE_OPEN = dict.fromkeys(STARTED, ("decide",) * 3 + ("revoke", "note", "note", "tick"))
"""What is likely tried besides while a gate is open after the launch."""
CUED = {
    State.PENDING_APPROVAL: {"gate.opened"},
    State.PENDING: {"launch.cleared", "glass.broken"},
    State.LAUNCHING: {"launch.cleared", "glass.broken"},
    State.RUNNING: {"launch.change_requested", "gate.opened"},
    State.STOPPED: {"launch.change_requested", "gate.opened"},
    State.TERMINATED: {"gate.opened"},
}


@dataclass
class Said:
    """What the world knows of who said what, kept apart from the launch.

    `words` has, by gate and actor, the decisions for the digest of now that nobody took back or lost. `there` is what
    was made of the attempt and is not terminated, `ends` which ends were told ahead.
    """

    words: dict[str, dict[Actor, Decision]] = field(default_factory=dict)
    barred: set[Actor] = field(default_factory=set)
    rounds: dict[str, int] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)
    claimed: str | None = None
    started: Counter[int] = field(default_factory=Counter)
    terminal: State | None = None
    there: set[str] = field(default_factory=set)
    ends: list[str] = field(default_factory=list)

    def of(
        self, name: str, verdict: Verdict, at: datetime | None = None, valid_for: str | None = None
    ) -> int:
        """Return in how many people's right this was said of a gate, and stands at this time."""
        return len(
            {
                one.instead_of or one.actor
                for one in self.words.get(name, {}).values()
                if one.verdict == verdict
                and (at is None or valid_for is None or at < one.at + duration.parse(valid_for))
            }
        )


class World:
    """Random people, a clock that jumps, a launch at a time; after each step all must still hold."""

    def __init__(self, random: random.Random) -> None:
        self.random = random
        self.now = AT
        self.did: Counter[str] = Counter()
        self.moves: set[tuple[Command, State, State]] = set()
        self.reached: Counter[State] = Counter()
        self.begin()

    def begin(self) -> None:
        """Submit another launch, behind up to four gates of all kinds; or break the glass."""
        pick = self.random
        asks = self.asks(pick.choice((None, None, BOSS, LEAD)))
        gates = self.gates(pick.choice((0, 1, 1, 2, 2, 3, 4)))
        if asks.break_glass:
            gates = tuple(one for one in gates if one.is_after) or (review(),)
        self.said = Said(barred={asks.requester, *([asks.on_behalf_of] if asks.on_behalf_of else [])})
        self.launch = launch(
            *gates,
            at=self.now,
            asks=asks,
            id=f"l-{pick.getrandbits(64):x}",
            waits_until=self.now + pick.choice((12, 400)) * HOUR,
            owners=pick.choice(((), (), (OPS,))),
            tells=("security",),
            warns=pick.choice((0, 600, 7200)),
        )
        self.said.barred |= set(self.launch.owners)
        assert self.launch.version == 1
        self.holds(None)

    def asks(self, on_behalf_of: Actor | None) -> Question:
        """Return what somebody asks for, dear or cheap."""
        pick = self.random
        return question(
            on_behalf_of=on_behalf_of,
            lease=pick.choice(("1h", "1d", "30d", "never")),
            count=pick.randint(1, 3),
            choices=pick.choice((0, 0, 1, 2)),
            launch_by=pick.choice((None, None, None, self.now + 2 * HOUR, self.now + 48 * HOUR)),
            break_glass=pick.random() < 0.1,
        )

    def gates(self, most: int) -> tuple[Gate, ...]:
        """Return so many gates of random rules, of names that come again when a launch is amended."""
        names = self.random.sample(("lead", "audit", "finance", "risk", "scan", "cool"), most)
        return tuple(self.rule(name) for name in names)

    def rule(self, name: str) -> Gate:
        """Return a gate of random rules."""
        pick = self.random
        stage, after = pick.randint(1, 2), pick.random() < 0.25
        match pick.choice(("human", "human", "human", "hook", "timer")):
            case "hook":
                systems = tuple(pick.sample(SYSTEMS, pick.randint(1, 2)))
                end = pick.choice(("reject", "approve", "escalate"))
                return hook(
                    name,
                    *systems,
                    stage=stage,
                    place="after_launch" if after else pick.choice(("before_approval", "before_launch")),
                    quorum=pick.randint(1, len(systems)),
                    expires_after=pick.choice(("10m", "2h")),
                    on_expiry=end,
                    on_reject=pick.choice(("warn", "terminate")),
                    fallback=gate("people") if end == "escalate" else None,
                )
            case "timer":
                place = "after_launch" if after else "before_launch"
                if pick.random() < 0.3:
                    return timer(None, name, stage=stage, place=place, window=NIGHTS)
                return timer(pick.choice(("1m", "1h")), name, stage=stage, place=place)
        some = tuple(pick.sample(APPROVERS, pick.randint(1, 4)))
        quorum = pick.randint(1, min(3, len(some)))
        return gate(
            name,
            *some,
            stage=stage,
            place="after_launch" if after else pick.choice(("approval", "approval", "before_launch")),
            quorum=quorum,
            reject_quorum=pick.choice((1, 1, 2)),
            expires_after=pick.choice(("1h", "1d", "7d")),
            remind_every=pick.choice((None, "20m")),
            escalate_after=pick.choice((None, "30m")),
            escalate_to="operators",
            reserve=(OPS,),
            valid_for=pick.choice((None, None, "1h", "1d")),
            on_reject=pick.choice(("warn", "terminate")),
        )

    def step(self) -> None:
        """Let a moment pass, let somebody do something, and look."""
        self.now += timedelta(seconds=self.random.choice((0, 0, 1, 1, 60, 301, 1200)))
        self.do(self.random.choice(self.apt() if self.random.random() < 0.9 else tuple(self.commands)))

    def apt(self) -> tuple[str, ...]:
        """Return what somebody would do now."""
        this = self.launch
        found = APT.get(this.state, tuple(self.commands))
        if any(one.state is GateState.OPEN for one in this.gates):
            found += APT_WHILE_OPEN.get(this.state, ())
        return found + (("accept",) * 4 if this.offers else ())

    def do(self, name: str) -> None:
        """Give this command, and look."""
        before = self.launch
        command = self.commands[name]
        try:
            after = command(self, before)
        except (ConflictError, NotPermittedError, NotFoundError, InvalidError):
            self.did[f"{name} refused"] += 1
            return
        self.did[name if after is not before else f"{name} in vain"] += 1
        if after is before:
            return
        self.moves.add((self.meant(name, after), before.state, after.state))
        leads = TABLE[self.meant(name, after)].leads
        assert after.state in leads[before.state], f"{name} leads from {before.state} to {after.state}"
        self.launch = after
        self.holds(before)
        self.launch = after.changed(history=after.kept)

    def meant(self, name: str, after: Launch) -> Command:
        """Return the command of the table."""
        if name == "change":
            return Command(after.wanted or "")
        return Command(
            {"start": "record_started", "fail": "record_failed", "refuse": "change_failed"}.get(name, name)
        )

    # What somebody may do

    def who(self) -> Actor:
        """Return somebody, approver or not."""
        return self.random.choice(PEOPLE)

    def which(self, this: Launch) -> Gate:
        """Return a gate, mostly an open one.

        Raises:
            NotPermittedError: the launch has none.
        """
        if not this.gates:
            raise NotPermittedError
        opened = [one for one in this.gates if one.state is GateState.OPEN]
        if opened and self.random.random() < 0.9:
            return self.random.choice(opened)
        return self.random.choice(this.gates)

    def may(self, which: Gate) -> frozenset[Actor]:
        """Return whom policy lets decide the gate now, mostly all that it is for."""
        all_ = SYSTEMS if which.kind == "hook" else APPROVERS
        return frozenset(self.random.sample(all_, 2) if self.random.random() < 0.2 else all_)

    def delegated(self, may: frozenset[Actor]) -> Mapping[Actor, frozenset[Actor]]:
        """Return who lets whom decide in their place: now and then the wrong ones, or for nothing."""
        if self.random.random() < 0.6:
            return {}
        return {one: frozenset(self.random.sample(PEOPLE, 2)) for one in (STRANGER, BOSS, DEV, *sorted(may))}

    def decide(self, this: Launch) -> Launch:
        """Say go or no, for the right digest or another, with authority, in another's, or without."""
        which = self.which(this)
        may = self.may(which)
        delegated = self.delegated(may)
        who = self.random.choice(sorted(may)) if self.random.random() < 0.7 else self.who()
        digest = "0" * 64 if self.random.random() < 0.05 else this.digest
        after = commands.decide(
            this,
            gate=which.name,
            actor=who,
            verdict="reject" if self.random.random() < 0.06 else "approve",
            digest=digest,
            channel=self.random.choice(("api", "link", "webhook")),
            comment=None,
            eligible=may,
            delegated=delegated,
            at=self.now,
        )
        assert digest == this.digest
        assert who not in self.said.barred
        if after is not this:
            assert which.state is GateState.OPEN
            assert which.kind != "timer"
            assert which.expires_at is not None
            assert self.now < which.expires_at
            made = after.gate(which.name).decision_of(who)
            assert made is not None
            assert made.seat == who or made.seat in delegated[who]
            assert made.seat in may - self.said.barred
            self.said.words.setdefault(which.name, {})[who] = made
        return after

    def revoke(self, this: Launch) -> Launch:
        """Take back what somebody said, or what was said in somebody's place."""
        which = self.which(this)
        who = self.random.choice(
            [*(one.actor for one in which.counting), *(one.seat for one in which.counting)] or [self.who()]
        )
        taken = which.decision_of(who)
        after = commands.revoke(this, gate=which.name, actor=who, channel="link", at=self.now)
        if taken is not None:
            del self.said.words[which.name][taken.actor]
        return after

    def note(self, this: Launch) -> Launch:
        """Say how far a system is."""
        which = self.which(this)
        who = self.random.choice(SYSTEMS) if self.random.random() < 0.8 else self.who()
        text = f"{self.random.randint(1, 99)} %"
        after = commands.note(
            this, gate=which.name, actor=who, text=text, eligible=self.may(which), at=self.now
        )
        assert len(after.gate(which.name).notes) <= 10
        return after

    def offer(self, this: Launch) -> Launch:
        """Say what one would say go to instead."""
        which = self.which(this)
        may = self.may(which)
        who = self.random.choice(sorted(may))
        return commands.offer(
            this,
            gate=which.name,
            actor=who,
            question=question(
                on_behalf_of=this.question.on_behalf_of,
                lease=self.random.choice(("1h", "1d")),
                count=self.random.randint(1, 3),
            ),
            comment=None,
            eligible=may,
            delegated=self.delegated(may),
            at=self.now,
        )

    def amend(self, this: Launch) -> Launch:
        """Ask for something else, or for what was asked before; whoever it is for may do so too."""
        by = self.random.choice((DEV, STRANGER))
        asks = self.asks(this.question.on_behalf_of)
        if this.was is not None and self.random.random() < 0.5:
            asks = this.was
        asks = msgspec.structs.replace(asks, break_glass=False)
        after = commands.amend(
            this,
            question=asks,
            gates=self.gates(self.random.choice((0, 1, 2, 3))),
            bundle=this.bundle,
            groups=(),
            actor=by,
            at=self.now,
        )
        return self.asked_anew(this, after, by)

    def accept(self, this: Launch) -> Launch:
        """Ask for what was offered."""
        found = self.random.choice(this.offers).digest if this.offers else "0" * 64
        promises = [Promise(one.gate, one.actor, one.digest) for one in this.offers if one.digest == found]
        kept = tuple(self.rule(name) for name in dict.fromkeys(one.gate for one in promises))
        after = commands.accept(
            this,
            digest=found,
            gates=kept if self.random.random() < 0.8 else self.gates(2),
            bundle=this.bundle,
            groups=(),
            actor=DEV,
            at=self.now,
        )
        if after is not this:
            self.said.promises = promises
        return self.asked_anew(this, after, DEV)

    def asked_anew(self, before: Launch, after: Launch, by: Actor) -> Launch:
        """Forget all that was said of another question."""
        if after is before:
            return after
        self.said.words = {}
        if after.digest not in {one.digest for one in self.said.promises}:
            self.said.promises = []
        self.said.barred.add(by)
        return after

    def reopen(self, this: Launch) -> Launch:
        """Take authority from some of those who said go."""
        lost = {
            one.name: frozenset(
                said.actor if self.random.random() < 0.5 else said.seat
                for said in one.counting
                if said.verdict == "approve" and self.random.random() < 0.3
            )
            for one in this.gates
            if not one.is_after and one.passed is None
        }
        after = attempts.reopen(this, lost={name: gone for name, gone in lost.items() if gone}, at=self.now)
        for name, gone in lost.items():
            said = self.said.words.get(name, {})
            for one in [one for one in said.values() if gone & {one.actor, one.instead_of}]:
                del said[one.actor]
        return after

    def ask_more(self, this: Launch) -> Launch:
        """Find that policy asks more by now."""
        return attempts.ask_more(this, gates=self.gates(self.random.randint(1, 2)), at=self.now)

    def claim(self, this: Launch) -> Launch:
        """Take it for launching: only if the world, too, knows that every gate says go to just this, now."""
        after = attempts.claim(this, at=self.now)
        assert this.question.launch_by is None or self.now < this.question.launch_by
        for one in this.gates:
            if one.is_after:
                continue
            if one.kind == "timer":
                assert one.opened_at is not None
                assert one.wait is None or self.now >= one.opened_at + duration.parse(one.wait)
                assert one.window is None or one.window.is_open(self.now)
            elif one.passed is not None:
                assert (one.kind, one.on_expiry) == ("hook", "approve")
                assert one.expires_at is not None
                assert self.now >= one.expires_at
            else:
                assert self.said.of(one.name, "approve", self.now, one.valid_for) >= one.quorum
        self.said.claimed = this.digest
        return after

    def expire(self, this: Launch) -> Launch:
        """Find that it comes too late."""
        if self.random.random() < 0.5:
            raise NotPermittedError
        return attempts.expire(this, why="It is too late.", at=self.now)

    def refused(self, this: Launch) -> Launch:
        """Say no to a choice, for want of capacity or not, after some of it was made or nothing."""
        if this.undo is not None:
            raise NotPermittedError
        made = self.random.choice(((), (), ("i-7",), ("i-7", "i-8")))
        after = attempts.refused(
            this, code="Full", message="No.", full=self.random.random() < 0.7, made=made, at=self.now
        )
        self.said.there |= set(made)
        assert after.choice == this.choice if made else not made
        return after

    def undone(self, this: Launch) -> Launch:
        """Terminate what was made of a choice that was refused: the next is tried only then."""
        after = attempts.undone(this, at=self.now)
        if after is not this:
            assert this.undo is not None
            assert self.said.there == set(this.undo.resources)
            self.said.there = set()
        return after

    def making(self, this: Launch) -> Launch:
        """Go on making it."""
        return attempts.making(this, at=self.now)

    def extend(self, this: Launch) -> Launch:
        """Let it run for longer, or for less, or without an end."""
        until = self.random.choice((None, *(self.now + n * timedelta(hours=1) for n in (1, 30, 900))))
        if until is None and self.random.random() < 0.8:
            raise NotPermittedError
        after = life.extend(this, until=until, actor=DEV, at=self.now)
        if after is not this:
            assert this.lease_ends_at is not None
            assert until is None or until > this.lease_ends_at
            assert (after.lease_ends_at, after.warned, after.wanted) == (until, False, this.wanted)
        return after

    def start(self, this: Launch) -> Launch:
        """Make up to two instances, of a choice of which nothing is there yet."""
        if this.state is State.LAUNCHING and this.undo is not None:
            raise NotPermittedError
        made = tuple(f"i-{n}" for n in range(self.random.choice((0, 1, 1, 2, 2))))
        after = attempts.record_started(this, resources=made, at=self.now)
        self.said.started[this.attempt] += 1
        return after

    def fail(self, this: Launch) -> Launch:
        """Refuse it, seldom before it was claimed; never while something of it is there."""
        if this.undo is not None:
            raise NotPermittedError
        if this.state is State.PENDING and self.random.random() < 0.8:
            raise NotPermittedError
        return attempts.record_failed(this, code="No", message="No.", at=self.now)

    def retry(self, this: Launch) -> Launch:
        """Try again."""
        return attempts.retry(this, at=self.now)

    def cancel(self, this: Launch) -> Launch:
        """Think better of it, seldom."""
        if self.random.random() < 0.9:
            raise NotPermittedError
        return commands.cancel(this, actor=DEV, at=self.now)

    def change(self, this: Launch) -> Launch:
        """Want something of what runs."""
        options: tuple[Wanted, ...] = ("stop", "start", "stop", "start", "terminate")
        wanted = self.random.choice(options)
        return life.change(this, wanted=wanted, actor=OPS, at=self.now)

    def refuse_change(self, this: Launch) -> Launch:
        """Refuse what is wanted."""
        return life.change_failed(this, code="No", message="No.", at=self.now)

    def observe(self, this: Launch) -> Launch:
        """See an instance, perhaps one of another launch."""
        return life.observe(
            this,
            resource=f"i-{self.random.randint(0, 2)}",
            state=self.random.choice(
                ("pending", "running", "running", "stopped", "terminated", "terminated")
            ),
            changed_at=self.now,
            at=self.now,
        )

    def tick(self, this: Launch) -> Launch:
        """Let the clock do what it must, often exactly when the alarm rings, and always twice."""
        if this.due_at is not None and self.random.random() < 0.3:
            self.now = max(self.now, this.due_at)
        after = clock.tick(this, at=self.now)
        told = course.lease_told_at(this)
        if told is not None and this.state in (State.RUNNING, State.STOPPED) and this.wanted != "terminate":
            assert this.lease_ends_at is not None
            rang = this.due_at is not None and self.now >= this.due_at
            if rang and told <= self.now < this.lease_ends_at and after.wanted != "terminate":
                assert after.warned, "it is to end, and nobody is told"
        if after is not this:
            self.said.words = {
                name: said
                for name, said in self.said.words.items()
                if after.gate(name).kind == this.gate(name).kind
            }
            assert after.due_at is None or after.due_at > self.now or after.gates != this.gates
        return after

    commands: ClassVar[Mapping[str, Callable[[World, Launch], Launch]]] = {
        "decide": decide,
        "revoke": revoke,
        "note": note,
        "amend": amend,
        "offer": offer,
        "accept": accept,
        "reopen": reopen,
        "ask_more": ask_more,
        "claim": claim,
        "expire": expire,
        "refused": refused,
        "undone": undone,
        "making": making,
        "extend": extend,
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
        self.holds_of_promises()
        for one in this.gates:
            self.holds_of_gate(one)
        self.holds_of_turns()
        self.holds_of_rounds(before)
        self.holds_of_alarm()
        self.holds_of_attempts(before)
        self.holds_of_lease(before)
        if this.state in CLAIMED:
            assert self.said.claimed == this.digest, "it was never claimed as it is"
        if this.state in CLAIMED or this.state is State.PENDING:
            assert all(one.says_go for one in this.gates if not one.is_after)
        if this.state is State.REJECTED:
            assert any(one.state is GateState.NO_GO for one in this.gates)
        if self.said.terminal is not None:
            assert this.state is self.said.terminal, "an end is an end"
        elif this.state in ENDS:
            self.said.terminal = this.state
        assert all(times == 1 for times in self.said.started.values()), "one attempt is launched once"
        assert this.digest == this.question.digest

    def holds_of_history(self, before: Launch | None) -> None:
        """Assert that versions and events grow by one, without a gap, and that events are of their schema."""
        this = self.launch
        digests = {this.digest}
        if before is not None:
            digests.add(before.digest)
            assert this.version == before.version + 1
            assert this.history[: len(before.history)] == before.history
            assert this.attempt in (before.attempt, before.attempt + 1)
        first = this.seq - len(this.history) + 1
        assert [one.seq for one in this.history] == list(range(first, this.seq + 1))
        for one in this.history[len(before.history) if before else 0 :]:
            schemas()(one)
            assert one.data["launch"]["digest"] in digests

    def holds_of_promises(self) -> None:
        """Assert that what was decided by an offer was offered, for just this digest; and let it count once."""
        for one in self.launch.gates:
            said = self.said.words.setdefault(one.name, {})
            for made in one.counting:
                if made.channel == "offer" and made.actor not in said:
                    promise = Promise(one.name, made.actor, self.launch.digest)
                    assert made.actor in one.approvers
                    self.said.promises.remove(promise)
                    said[made.actor] = made

    def holds_of_gate(self, one: Gate) -> None:
        """Assert that nobody barred counts, everybody once, for this digest; and that it adds up."""
        counting, said = one.counting, self.said.words[one.name]
        for whose in ([made.actor for made in counting], [made.seat for made in counting]):
            assert len(whose) == len(set(whose)), "somebody counts twice"
            assert not set(whose) & self.said.barred, "somebody barred counts"
        assert all(made.digest == self.launch.digest for made in one.decisions)
        assert all(said.get(made.actor) == made for made in counting), "nobody said so"
        for made in [made for made in said.values() if made not in counting]:
            assert one.valid_for is not None, "what was said does not count"
            assert self.now >= made.at + duration.parse(one.valid_for)
            del said[made.actor]
        assert len(one.decisions) <= len(PEOPLE)
        assert one.kind != "timer" or not one.decisions
        assert one.kind != "human" or not {made.actor for made in counting} & set(SYSTEMS)
        late = one.expires_at is not None and self.now >= one.expires_at
        yes, no = self.said.of(one.name, "approve"), self.said.of(one.name, "reject")
        if one.state is GateState.GO:
            assert no < one.reject_quorum
            assert yes >= one.quorum or one.kind == "timer" or (one.on_expiry == "approve" and late)
        if one.state is GateState.NO_GO:
            assert no >= one.reject_quorum or (one.kind == "hook" and late)
        if one.state is GateState.OPEN:
            assert yes < one.quorum or one.kind == "timer"
            assert no < one.reject_quorum

    def holds_of_turns(self) -> None:
        """Assert that just the gates whose turn it is are open."""
        this = self.launch
        for one in this.gates:
            earlier = [
                other for other in this.gates if other.is_after == one.is_after and other.rank < one.rank
            ]
            if one.state is GateState.OPEN and one.is_after:
                assert not [x for x in earlier if x.state in (GateState.OPEN, GateState.WAITING)]
            if one.state is GateState.OPEN and one.is_after:
                assert this.state in STARTED
            if one.state is GateState.OPEN and not one.is_after:
                assert this.state is State.PENDING_APPROVAL
        before = [one for one in this.gates if not one.is_after]
        after = [one for one in this.gates if one.is_after]
        if this.state is State.PENDING_APPROVAL:
            assert any(one.state is GateState.OPEN for one in before), "it waits for nobody"
        else:
            assert not any(one.state in (GateState.OPEN, GateState.WAITING) for one in before)
        if this.state in (State.REJECTED, State.EXPIRED, State.CANCELLED):
            assert not any(one.state in (GateState.OPEN, GateState.WAITING) for one in after)
        if this.state in STARTED and any(one.state is GateState.WAITING for one in after):
            assert any(one.state is GateState.OPEN for one in after), "a gate after the launch never opens"
        if this.state is State.TERMINATED:
            assert all(one.kind == "human" for one in after if one.state is GateState.OPEN)

    def holds_of_rounds(self, before: Launch | None) -> None:
        """Assert that no gate of a name opens twice in one round, and none before those of an earlier turn."""
        this = self.launch
        asked = before is not None and before.digest == this.digest
        was = {(one.name, one.round, one.opened_at) for one in before.gates} if before and asked else set()
        for one in this.gates:
            if one.opened_at is None or (one.name, one.round, one.opened_at) in was:
                continue
            assert one.round > self.said.rounds.get(one.name, 0), "a round came again"
            self.said.rounds[one.name] = one.round
            if not one.is_after:
                earlier = [other for other in this.gates if other.rank < one.rank]
                assert all(other.says_go for other in earlier), "a gate opened before its turn"

    def holds_of_attempts(self, before: Launch | None) -> None:
        """Assert that of all choices one at most is there, and that none is tried before what was made is undone."""
        this = self.launch
        assert self.said.there == set(this.undo.resources if this.undo else ())
        assert this.undo is None or this.state is State.LAUNCHING
        assert 1 <= this.choice <= 1 + len(this.question.plan.choices)
        assert not {one.id for one in this.resources} & set(this.rolled_back)
        if before is not None and (this.attempt, this.choice) != (before.attempt, before.choice):
            assert this.undo is None, "the next is tried before the last is undone"
            assert this.attempt > before.attempt or this.choice in (1, before.choice + 1)

    def holds_of_lease(self, before: Launch | None) -> None:
        """Assert that each end is told ahead once, in time, and that nothing is terminated by it before its end."""
        this = self.launch
        new = this.history[len(before.history) if before else 0 :]
        for one in new:
            if one.type == "lease.expiring":
                assert one.data["ends_at"] not in self.said.ends, "an end is told twice"
                self.said.ends.append(one.data["ends_at"])
                assert self.now < datetime.fromisoformat(one.data["ends_at"])
        if this.state not in (State.RUNNING, State.STOPPED) or this.wanted == "terminate":
            return
        told = course.lease_told_at(this)
        if told is not None:
            assert this.due_at is not None
            assert this.due_at <= max(told, self.now + timedelta(hours=6)), (
                "nothing rings before the end is told"
            )

    def holds_of_alarm(self) -> None:
        """Assert that what is not over rings in time, and that what it would give again is there."""
        this = self.launch
        open_ = [one for one in this.gates if one.state is GateState.OPEN]
        over = this.state in ENDS or this.state is State.FAILED
        endless = this.state in (State.RUNNING, State.STOPPED) and this.lease_ends_at is None
        if (over or (endless and this.wanted is None)) and not open_:
            assert (this.due_at, this.cue) == (None, ())
            return
        assert this.due_at is not None
        found = [one for one in this.kept if one.seq in this.cue]
        assert len(found) == len(this.cue), "what is cued is not kept"
        assert {one.type for one in found} <= CUED[this.state]
        cued = {(one.data["gate"], one.data["round"]) for one in found if one.type == "gate.opened"}
        assert cued == {(one.name, one.round) for one in open_ if one.kind != "timer"}
        ends = [one.expires_at for one in open_] + [one.goes_at for one in open_]
        if this.state is State.PENDING_APPROVAL:
            ends += [this.waits_until, this.question.launch_by]
        if this.state is State.PENDING:
            ends += [this.question.launch_by]
        assert all(one is None or this.due_at <= one for one in ends)
        if this.state in (State.PENDING, State.LAUNCHING):
            cleared = [one for one in found if one.type == "launch.cleared"]
            assert [one.data["attempt"] for one in cleared] == [this.attempt]
        if this.state in (State.RUNNING, State.STOPPED):
            wanted = [one.data["wanted"] for one in found if one.type == "launch.change_requested"]
            assert wanted == ([] if this.wanted is None else [this.wanted])
            end = this.lease_ends_at
            assert this.wanted == "terminate" or (
                end is None or this.due_at <= max(end, self.now + timedelta(hours=6))
            )


def walk(seed: int) -> World:
    """Return a world whose chances are the same each time."""
    return World(random.Random(seed))  # noqa: S311 - repeatable, not secret


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


AFTER_A_RESTORE = (Command.ADOPT, Command.ASK_ANEW, Command.GIVE_UP)
"""Commands of another timeline than this machine's: tests/simulation/test_restore.py takes its steps."""


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_must_never_happen_happens(seed: int, record_property: Callable[[str, object], None]):
    """No launch without a quorum for its digest, one end, one decision each, no gap: in any order."""
    world = walk(seed)
    steps = STEPS // len(SEEDS)
    count = sum(1 for _ in lives(world, steps))
    record_property("random steps", f"seed {seed}: {steps} in {count} lives")
    assert set(world.reached) == set(State), "the steps must lead everywhere, or they prove nothing"
    assert set(world.commands) <= set(world.did), "every command must have done something"


def test_the_steps_lead_just_where_the_table_says():
    """A cell of the table in the docs that no launch ever takes would be a promise of something that is not."""
    expected = {
        (command, state, end)
        for command in Command
        if command not in AFTER_A_RESTORE
        for state, ends in TABLE[command].leads.items()
        for end in ends
    }
    world = walk(99)
    for _ in lives(world, ENOUGH):
        if world.moves == expected:
            break
    assert world.moves == expected


@settings(max_examples=60, stateful_step_count=60)
class Anybody(RuleBasedStateMachine):
    """The same world with chances that shrink: what goes wrong is told in as few steps as there can be."""

    @initialize(chances=st.randoms(use_true_random=False))
    def begin(self, chances: random.Random) -> None:
        """Begin with a launch."""
        self.world = World(chances)

    @rule(name=st.sampled_from(sorted(World.commands)), wait=st.sampled_from((0, 1, 301, 4000)))
    def do(self, name: str, wait: int) -> None:
        """Give any command after any wait; what must hold is looked at within."""
        self.world.now += timedelta(seconds=wait)
        self.world.do(name)


TestAnybody = Anybody.TestCase


def test_many_changes_of_mind_in_one_life():
    """A life far longer than a history: what is cued is still there, and nothing is told twice."""
    world = walk(7)
    names = ("lead", "audit")
    world.said = Said(barred={DEV})
    world.launch = launch(*(gate(name, quorum=2, expires_after="7d") for name in names), at=world.now)
    world.holds(None)
    closings = 0
    for n in range(500):
        world.now += timedelta(minutes=1)
        name, before = names[n // 2 % 2], world.launch
        if n % 2:
            world.launch = revoke(before, LEAD, name, at=world.now)
            del world.said.words[name][LEAD]
        else:
            world.launch = approve(before, LEAD, name, at=world.now)
            world.said.words[name][LEAD] = world.launch.gate(name).counting[0]
        world.holds(before)
        closings += sum(one.type == "gate.closed" for one in world.launch.history if one.seq > before.seq)
        world.launch = world.launch.changed(history=world.launch.kept)
    assert closings == 0
    assert world.launch.seq > 500


def test_when_time_alone_goes_on_everything_ends():
    """With nobody doing anything, each alarm leads to the next, and what waits for people ends."""
    for seed in range(200):
        world = walk(seed)
        for _ in range(400):
            if world.launch.state is not State.PENDING_APPROVAL:
                break
            assert world.launch.due_at is not None
            world.now = world.launch.due_at
            world.do("tick")
        assert world.launch.state in (State.EXPIRED, State.PENDING, State.REJECTED)
        assert world.now <= AT + timedelta(days=17)
