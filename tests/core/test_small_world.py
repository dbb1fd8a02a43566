"""A small world, seen whole: each state that three approvers, two gates and two launchers can ever lead to."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, Literal, NamedTuple

import pytest

from gonogo.core import attempts, clock, commands
from gonogo.core.actor import Actor
from gonogo.core.errors import ConflictError, NotPermittedError, StaleDigestError
from gonogo.core.gates import Gate, GateState, Verdict
from gonogo.core.launch import Launch
from gonogo.core.plan import Question
from gonogo.core.states import State
from tests.core.builders import AT, DAY, DEV, LEAD, LEAD2, LEAD3, decide, gate, launch, question, revoke
from tests.remembering import canonical_texts

APPROVERS = (LEAD, LEAD2, LEAD3)
QUESTIONS = (question(), question(count=2))
MOST_ATTEMPTS = 2
ENDS = {State.REJECTED, State.EXPIRED, State.CANCELLED, State.RUNNING}
"""Where this world stops: a launch that runs is a success."""

Answer = Literal["made", "no", "full", "part"]
"""What the engine answers: it is made, it never will be, there is none left, or none after some was made."""


class Rules(NamedTuple):
    """The gates, what can be asked for, and what the engine may answer."""

    gates: tuple[Gate, ...]
    questions: tuple[Question, ...] = QUESTIONS
    answers: tuple[Answer, ...] = ("made", "no")


SECOND = int(os.environ.get("GONOGO_SECOND_QUORUM", "1"))
"""How many must say go after two who must refuse: with two it has five times as many states."""
WORLDS = {
    "together": Rules((gate("lead", quorum=2), gate("finance", quorum=1))),
    "one after the other": Rules((gate("lead", quorum=2), gate("finance", quorum=1, stage=2))),
    "that two must refuse": Rules(
        (gate("lead", quorum=2, reject_quorum=2), gate("finance", quorum=SECOND, stage=2))
    ),
    "with another choice": Rules(
        (gate("lead", LEAD2),), (question(choices=1), question(count=2)), ("made", "part")
    ),
}
Call = tuple[int, int]
"""An attempt and a choice: one client token."""


class World(NamedTuple):
    """The launch, what everybody around it knows, and `said`: who said go to which gate for what is asked now.

    A launcher is idle (None), or has had an answer of the engine to one call; or has undone what that had made.
    `engine` is what the engine did, by attempt and choice: it answers the same token the same.
    """

    launch: Launch
    now: datetime
    left: bool = False
    said: frozenset[tuple[str, Actor]] = frozenset()
    engine: frozenset[tuple[Call, Answer]] = frozenset()
    undone: frozenset[Call] = frozenset()
    launchers: tuple[tuple[Call, Answer | None] | None, ...] = (None, None)

    @property
    def there(self) -> set[Call]:
        """The calls of which something is there."""
        return {call for call, answer in self.engine if answer in ("made", "part")} - self.undone

    @property
    def may(self) -> frozenset[Actor]:
        """Who may decide now: LEAD may leave."""
        return frozenset(APPROVERS[1:] if self.left else APPROVERS)

    @property
    def key(self) -> object:
        """All of it that matters for what can follow: no round, version, history or time of day."""
        return (
            self.launch.state,
            self.launch.digest,
            self.launch.attempt,
            self.launch.choice,
            self.launch.undo is not None,
            tuple(
                (
                    one.state,
                    one.approvers,
                    one.expires_at is not None and self.now >= one.expires_at,
                    frozenset((said.actor, said.verdict) for said in one.counting),
                )
                for one in self.launch.gates
            ),
            self.left,
            self.said,
            self.engine,
            self.undone,
            frozenset(self.launchers),
        )


Step = tuple[str, World]


def steps(world: World, rules: Rules) -> Iterator[Step]:
    """Yield whatever can happen next, and the world as it is then."""
    yield from by_people(world, rules)
    yield from by_time(world)
    for number in range(len(world.launchers)):
        yield from by_launcher(world, number, rules.answers)
    if not world.left:
        yield "LEAD leaves", world._replace(left=True)


def tried(command: Callable[..., Launch], this: Launch, *said: Any, **more: Any) -> Launch | None:
    """Return what the command makes of it, if it is not refused and changes anything."""
    try:
        after = command(this, *said, **more)
    except (ConflictError, NotPermittedError):
        return None
    return None if after is this else after


def by_people(world: World, rules: Rules) -> Iterator[Step]:
    """Yield what approvers and whoever asked can do."""
    this, at, gates = world.launch, world.now, rules.gates
    verdicts: tuple[Verdict, ...] = ("approve", "reject")
    for name, who in itertools.product((one.name for one in gates), APPROVERS):
        for verdict in verdicts:
            if after := tried(decide, this, who, name, verdict, at=at, eligible=world.may):
                go = {(name, who)} if verdict == "approve" else set()
                yield f"{who.subject} {verdict}s {name}", world._replace(launch=after, said=world.said | go)
        if after := tried(revoke, this, who, name, at=at):
            yield (
                f"{who.subject} revokes {name}",
                world._replace(launch=after, said=world.said - {(name, who)}),
            )
    anew = {"gates": gates, "bundle": this.bundle, "groups": (), "actor": DEV, "at": at}
    for asks in rules.questions:
        if after := tried(commands.amend, this, question=asks, **anew):
            yield "amend", world._replace(launch=after, said=frozenset())
    if after := tried(commands.cancel, this, actor=DEV, at=at):
        yield "cancel", world._replace(launch=after)
    if this.attempt < MOST_ATTEMPTS and (after := tried(attempts.retry, this, at=at)):
        yield "retry", world._replace(launch=after)


def by_time(world: World) -> Iterator[Step]:
    """Yield what time does: it passes, and the clock notices."""
    open_ = [one for one in world.launch.gates if one.state is GateState.OPEN]
    if any(one.expires_at is not None and world.now < one.expires_at for one in open_):
        yield "days pass", world._replace(now=world.now + 3 * DAY)
    after = clock.tick(world.launch, at=world.now)
    if after.state is not world.launch.state:
        yield "tick", world._replace(launch=after)


def recorded(this: Launch, answer: Answer | None, at: datetime) -> Launch:
    """Return the launch with what the engine answered on record; None: that what it made is undone."""
    if answer is None:
        return attempts.undone(this, at=at)
    if answer == "made":
        return attempts.record_started(this, resources=("i-1",), at=at)
    made = ("i-1",) if answer == "part" else ()
    return attempts.refused(this, code="No", message="No.", full=answer != "no", made=made, at=at)


def by_launcher(world: World, number: int, answers: tuple[Answer, ...]) -> Iterator[Step]:
    """Yield what one launcher does, as `service.launch` does: claim, call the engine, record; or it dies."""
    this, at, holds = world.launch, world.now, world.launchers[number]

    call = (this.attempt, this.choice)

    def then(what: tuple[Call, Answer | None] | None, **more: Any) -> World:
        others = (*world.launchers[:number], what, *world.launchers[number + 1 :])
        return world._replace(launchers=others, **more)

    if holds is not None:
        yield "dies", then(None)
        of, answer = holds
        if this.state is not State.LAUNCHING or of != call or (this.undo is None) != (answer is not None):
            return
        yield "records", then(None, launch=recorded(this, answer, at))
    elif this.state is State.PENDING:
        lost = {one.name: frozenset(said.actor for said in one.counting) - world.may for one in this.gates}
        reopened = attempts.reopen(this, lost={name: gone for name, gone in lost.items() if gone}, at=at)
        if reopened is not this:
            yield "reopens", then(None, launch=reopened)
        else:
            yield "claims", then(None, launch=attempts.claim(this, at=at))
    elif this.state is State.LAUNCHING and this.undo is not None:
        yield "undoes", then((call, None), undone=world.undone | {call})
    elif this.state is State.LAUNCHING:
        known = [answer for of, answer in world.engine if of == call]
        for answer in known or answers:
            yield "calls the engine", then((call, answer), engine=world.engine | {(call, answer)})


def holds_of(world: World, rules: Rules) -> None:
    """Assert what must hold in every state."""
    this = world.launch
    if this.state in (State.PENDING, State.LAUNCHING, State.RUNNING):
        for one in this.gates:
            assert one.state is GateState.GO
            assert one.approvals >= one.quorum
            assert {said.digest for said in one.counting} == {this.digest}
            assert len({who for name, who in world.said if name == one.name}) >= one.quorum
    assert len(world.there) <= 1, "more than one choice is there"
    assert len({of for of, _ in world.engine}) == len(world.engine), "one token was answered twice"
    if this.state is State.RUNNING:
        assert ((this.attempt, this.choice), "made") in world.engine
    elif this.state is not State.LAUNCHING:
        assert not world.there, "it was made, and nobody knows"
    other = next(one for one in rules.questions if one.digest != this.digest)
    with pytest.raises(StaleDigestError):
        decide(this, LEAD2, "lead", at=world.now, digest=other.digest)


def holds_between(before: World, what: str, after: World) -> None:
    """Assert what must hold of every step."""
    if before.launch.state in ENDS:
        assert after.launch.state is before.launch.state, "an end is an end"
    if what == "claims":
        for one in before.launch.gates:
            said = {who for name, who in before.said if name == one.name} & before.may
            assert len(said) >= one.quorum, "it is launched without people who said go and still may"
    if len(after.engine) > len(before.engine):
        assert before.launch.state is State.LAUNCHING
        assert not before.there, "the next was tried before the last was undone"


@pytest.fixture(autouse=True, scope="module")
def remembered() -> Iterator[None]:
    """Whatever is asked for is one of a few plans: each digest is worked out once."""
    with canonical_texts():
        yield


@cache
def explored(name: str) -> tuple[dict[object, World], dict[object, list[tuple[str, object]]]]:
    """Return each world that can be reached, by its key, and the steps that lead on from it."""
    rules = WORLDS[name]
    first = World(launch(*rules.gates, asks=rules.questions[0]), AT)
    seen: dict[object, World] = {first.key: first}
    leads: dict[object, list[tuple[str, object]]] = {}
    left = deque([first])
    while left:
        world = left.popleft()
        holds_of(world, rules)
        onward = leads.setdefault(world.key, [])
        for what, after in steps(world, rules):
            holds_between(world, what, after)
            slim = after._replace(launch=after.launch.changed(history=(), seq=0, cue=()))
            key = slim.key
            onward.append((what, key))
            if key not in seen:
                seen[key] = slim
                left.append(slim)
    return seen, leads


@pytest.mark.parametrize("name", WORLDS)
def test_every_state_of_a_small_world(name: str, record_property: Callable[[str, object], None]):
    """No launch without all gates GO for its digest, and an end is an end: not in most cases, but in all."""
    seen, leads = explored(name)
    edges = sum(len(onward) for onward in leads.values())
    record_property("small world", f"gates {name}: {len(seen)} states, {edges} steps, all of them seen")
    assert any(world.undone for world in seen.values()) == ("part" in WORLDS[name].answers)
    found = {world.launch.state for world in seen.values()}
    assert found == {*ENDS, State.PENDING_APPROVAL, State.PENDING, State.LAUNCHING, State.FAILED}
    assert {what for onward in leads.values() for what, _ in onward} >= {
        "amend",
        "cancel",
        "retry",
        "tick",
        "reopens",
        "claims",
        "records",
        "dies",
        "LEAD leaves",
    }


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_in_a_small_world_is_stranded(name: str):
    """From everywhere time and the launchers alone lead to an end, though people do nothing any more."""
    seen, leads = explored(name)
    alone = {"days pass", "tick", "reopens", "claims", "calls the engine", "undoes", "records"}
    ending = {key for key, world in seen.items() if world.launch.state in {*ENDS, State.FAILED}}
    grown = True
    while grown:
        more = {
            key
            for key, onward in leads.items()
            if key not in ending and any(what in alone and to in ending for what, to in onward)
        }
        ending |= more
        grown = bool(more)
    assert [world for key, world in seen.items() if key not in ending] == []
