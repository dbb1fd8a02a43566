"""A small world, seen whole: each state that three approvers, two gates and two launchers can ever lead to."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import pytest

from gonogo.core import attempts, clock, commands
from gonogo.core.actor import Actor
from gonogo.core.errors import ConflictError, NotPermittedError, StaleDigestError
from gonogo.core.gates import Gate, GateState, Verdict
from gonogo.core.launch import Launch
from gonogo.core.states import State
from tests.core.builders import AT, DAY, DEV, LEAD, LEAD2, LEAD3, decide, gate, launch, question, revoke

APPROVERS = (LEAD, LEAD2, LEAD3)
QUESTIONS = (question(), question(count=2))
MOST_ATTEMPTS = 2
ENDS = {State.REJECTED, State.EXPIRED, State.CANCELLED, State.RUNNING}
"""Where this world stops: a launch that runs is a success."""

WORLDS = {
    "together": (gate("lead", quorum=2), gate("finance", quorum=1)),
    "one after the other": (gate("lead", quorum=2), gate("finance", quorum=1, stage=2)),
    "that two must refuse": (gate("lead", quorum=2, reject_quorum=2), gate("finance", quorum=2, stage=2)),
}


class World(NamedTuple):
    """The launch, what everybody around it knows, and `said`: who said go to which gate for what is asked now.

    A launcher is idle (None), or has had an answer of the engine to one attempt: whether it made it.
    `engine` is what the engine did, by attempt: it answers the same token the same.
    """

    launch: Launch
    now: datetime
    left: bool = False
    said: frozenset[tuple[str, Actor]] = frozenset()
    engine: tuple[bool, ...] = ()
    launchers: tuple[tuple[int, bool] | None, ...] = (None, None)

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
            frozenset(self.launchers),
        )


Step = tuple[str, World]


def steps(world: World, gates: tuple[Gate, ...]) -> Iterator[Step]:
    """Yield whatever can happen next, and the world as it is then."""
    yield from by_people(world, gates)
    yield from by_time(world)
    for number in range(len(world.launchers)):
        yield from by_launcher(world, number)
    if not world.left:
        yield "LEAD leaves", world._replace(left=True)


def tried(command: Callable[..., Launch], this: Launch, *said: Any, **more: Any) -> Launch | None:
    """Return what the command makes of it, if it is not refused and changes anything."""
    try:
        after = command(this, *said, **more)
    except (ConflictError, NotPermittedError):
        return None
    return None if after is this else after


def by_people(world: World, gates: tuple[Gate, ...]) -> Iterator[Step]:
    """Yield what approvers and whoever asked can do."""
    this, at = world.launch, world.now
    verdicts: tuple[Verdict, ...] = ("approve", "reject")
    for name, who in itertools.product(("lead", "finance"), APPROVERS):
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
    for asks in QUESTIONS:
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


def by_launcher(world: World, number: int) -> Iterator[Step]:
    """Yield what one launcher does, as `service.launch` does: claim, call the engine, record; or it dies."""
    this, at, holds = world.launch, world.now, world.launchers[number]

    def then(what: tuple[int, bool] | None, **more: Any) -> World:
        others = (*world.launchers[:number], what, *world.launchers[number + 1 :])
        return world._replace(launchers=others, **more)

    if holds is not None:
        yield "dies", then(None)
        attempt, made = holds
        if this.state is not State.LAUNCHING or this.attempt != attempt:
            return
        if made:
            after = attempts.record_started(this, resources=("i-1",), at=at)
        else:
            after = attempts.record_failed(this, code="No", message="No.", at=at)
        yield "records", then(None, launch=after)
    elif this.state is State.PENDING:
        lost = {one.name: frozenset(said.actor for said in one.counting) - world.may for one in this.gates}
        reopened = attempts.reopen(this, lost={name: gone for name, gone in lost.items() if gone}, at=at)
        if reopened is not this:
            yield "reopens", then(None, launch=reopened)
        else:
            yield "claims", then(None, launch=attempts.claim(this, at=at))
    elif this.state is State.LAUNCHING:
        known = world.engine[this.attempt - 1 :]
        for made in known or (True, False):
            engine = world.engine if known else (*world.engine, made)
            yield "calls the engine", then((this.attempt, made), engine=engine)


def holds_of(world: World) -> None:
    """Assert what must hold in every state."""
    this = world.launch
    if this.state in (State.PENDING, State.LAUNCHING, State.RUNNING):
        for one in this.gates:
            assert one.state is GateState.GO
            assert one.approvals >= one.quorum
            assert {said.digest for said in one.counting} == {this.digest}
            assert len({who for name, who in world.said if name == one.name}) >= one.quorum
    assert sum(world.engine) <= 1, "it was made twice"
    if this.state is State.RUNNING:
        assert world.engine[this.attempt - 1 :] == (True,)
    if this.state in (State.REJECTED, State.EXPIRED, State.CANCELLED, State.PENDING_APPROVAL):
        assert True not in world.engine, "it was made, and nobody knows"
    if this.state is State.FAILED:
        assert not any(world.engine)
    other = next(one for one in QUESTIONS if one.digest != this.digest)
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


@cache
def explored(name: str) -> tuple[dict[object, World], dict[object, list[tuple[str, object]]]]:
    """Return each world that can be reached, by its key, and the steps that lead on from it."""
    gates = WORLDS[name]
    first = World(launch(*gates, asks=QUESTIONS[0]), AT)
    seen: dict[object, World] = {first.key: first}
    leads: dict[object, list[tuple[str, object]]] = {}
    left = deque([first])
    while left:
        world = left.popleft()
        holds_of(world)
        onward = leads.setdefault(world.key, [])
        for what, after in steps(world, gates):
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
    alone = {"days pass", "tick", "reopens", "claims", "calls the engine", "records"}
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
