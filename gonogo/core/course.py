"""What follows of a launch's gates as they stand: which open, what closes, what is cued, when the alarm rings.

Nothing here is a command: the version is not touched.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gonogo.core import event
from gonogo.core.actor import SYSTEM, Actor
from gonogo.core.gates import Channel, Decision, Gate, GateState, seat_for, stage_to_open
from gonogo.core.launch import Launch, Outcome
from gonogo.core.states import State

STARTED = (State.RUNNING, State.STOPPED, State.TERMINATED)
"""Where gates that stand after the launch may be open."""

_OUTCOMES: dict[GateState, Outcome] = {
    GateState.GO: "go",
    GateState.NO_GO: "no_go",
    GateState.EXPIRED: "expired",
    GateState.CANCELLED: "cancelled",
}


def with_gate(launch: Launch, changed: Gate) -> Launch:
    """Return the launch with this gate in place of the one of its name."""
    return launch.changed(gates=tuple(changed if one.name == changed.name else one for one in launch.gates))


def put(launch: Launch, changed: Gate, at: datetime, outcome: Outcome | None = None) -> Launch:
    """Return the launch with this gate, and what is told if the gate has just closed by it.

    A gate after the launch that says no may end the launch.
    """
    before = launch.gate(changed.name)
    launch = with_gate(launch, changed)
    if before.state is not GateState.OPEN or changed.state is GateState.OPEN:
        return launch
    launch = launch.happened(
        at,
        event.GateClosed(
            launch=launch.facts,
            gate=before.name,
            round=before.round,
            outcome=outcome or _OUTCOMES[changed.state],
            passed=changed.passed,
        ),
    )
    ends = changed.is_after and changed.state is GateState.NO_GO and changed.on_reject == "terminate"
    if ends and launch.state in (State.RUNNING, State.STOPPED) and launch.wanted != "terminate":
        launch = launch.changed(wanted="terminate", wanted_by=SYSTEM)
        launch = launch.happened(
            at, event.LaunchChangeRequested(launch=launch.facts, wanted="terminate", actor=SYSTEM)
        )
    return launch


def open_gates(launch: Launch) -> list[Gate]:
    """Return the gates that are open."""
    return [gate for gate in launch.gates if gate.state is GateState.OPEN]


def decision_event(
    launch: Launch, gate: Gate, decision: Decision, verdict: Literal["approve", "reject", "revoke"]
) -> event.GateDecided:
    """Return what is told of a decision."""
    return event.GateDecided(
        launch=launch.facts,
        gate=gate.name,
        round=gate.round,
        actor=decision.actor,
        verdict=verdict,
        channel=decision.channel,
        approvals=gate.approvals,
        quorum=gate.quorum,
        instead_of=decision.instead_of,
    )


def decided(launch: Launch, gate: Gate, decision: Decision, at: datetime) -> Launch:
    """Return the launch with a decision on a gate, told of; the very same launch where it says nothing new.

    Raises:
        AlreadyDecidedError, GateNotOpenError: the gate does not take it.
    """
    after = gate.decided(decision)
    if after is gate:
        return launch
    told = decision_event(with_gate(launch, after), after, decision, decision.verdict)
    launch = with_gate(launch, msgspec.structs.replace(after, state=gate.state)).happened(at, told)
    return put(launch, after, at)


def opened(launch: Launch, gate: Gate, at: datetime) -> Launch:
    """Return the launch with this gate open; what was promised for it counts at once, and this once only.

    Whoever takes back what they promised, or loses the right to it, must not have said it again by that.
    """
    launch = with_gate(launch, gate.opened(at, gate.why))
    launch = launch.happened(at, _opened_event(launch, launch.gate(gate.name)))
    promised = [one for one in launch.promised if one.gate == gate.name]
    launch = launch.changed(promised=tuple(one for one in launch.promised if one.gate != gate.name))
    for promise in promised:
        now = launch.gate(gate.name)
        fits = promise.digest == launch.digest
        if fits and now.state is GateState.OPEN and promise.actor not in launch.barred:
            seat = seat_for(now, promise.actor, frozenset(now.approvers), {})
            if seat is not None and now.decision_of(promise.actor) is None:
                launch = decided(launch, now, _promised(launch, now, promise.actor, at), at)
    return launch


def _promised(launch: Launch, gate: Gate, actor: Actor, at: datetime) -> Decision:
    channel: Channel = "offer"
    return Decision(
        actor=actor, verdict="approve", digest=launch.digest, round=gate.round, at=at, channel=channel
    )


def advance(launch: Launch, at: datetime) -> Launch:
    """Draw the consequences of the gates as they stand: reject, clear, or open those whose turn it is."""
    if launch.state is State.PENDING_APPROVAL:
        return _before(launch, at)
    if launch.state in STARTED:
        return rest(_open_in_turn(launch, at, after=True), at)
    return launch


def _before(launch: Launch, at: datetime) -> Launch:
    launch = _open_in_turn(launch, at, after=False)
    for gate in launch.gates:
        if gate.state is GateState.NO_GO:
            actor = next((one.actor for one in gate.counting if one.verdict == "reject"), SYSTEM)
            launch = end(launch, State.REJECTED, at)
            return launch.happened(at, event.LaunchRejected(launch=launch.facts, gate=gate.name, actor=actor))
    if stage_to_open(launch.gates) is None:
        return cleared(launch.changed(state=State.PENDING), at)
    return rest(launch, at)


def _open_in_turn(launch: Launch, at: datetime, *, after: bool) -> Launch:
    """Open the gates whose turn it is; those that close at once (a window that is open) let the next in."""
    while True:
        if any(gate.state is GateState.NO_GO and not gate.is_after for gate in launch.gates):
            return launch
        rank = stage_to_open(launch.gates, after=after)
        waits = [
            gate
            for gate in launch.gates
            if gate.rank == rank and gate.is_after == after and gate.state is GateState.WAITING
        ]
        if not waits:
            return launch
        for gate in waits:
            launch = gone(opened(launch, gate, at), gate.name, at)


def gone(launch: Launch, name: str, at: datetime) -> Launch:
    """Let a timer go whose time has come."""
    gate = launch.gate(name)
    if gate.state is not GateState.OPEN or gate.goes_at is None or at < gate.goes_at:
        return launch
    return put(launch, gate.closed(GateState.GO, "its time has come"), at)


def end(launch: Launch, state: State, at: datetime) -> Launch:
    """End the launch: every gate that is open or waits is cancelled, no alarm rings."""
    launch = launch.changed(state=state)
    for gate in launch.gates:
        if gate.state in (GateState.OPEN, GateState.WAITING):
            launch = put(launch, gate.closed(GateState.CANCELLED), at)
    return launch.settled()


def expired(launch: Launch, late: list[Gate], why: str | None, at: datetime) -> Launch:
    """End the launch because these gates were not decided in time, or it came too late altogether."""
    for gate in late:
        launch = put(launch, gate.closed(GateState.EXPIRED), at)
    launch = end(launch, State.EXPIRED, at)
    name = late[0].name if late else None
    return launch.happened(at, event.LaunchExpired(launch=launch.facts, gate=name, why=why))


def cleared(launch: Launch, at: datetime) -> Launch:
    """Give the launcher its cue; of a broken glass, whoever is to be told theirs too."""
    launch = launch.changed(cleared_at=at)
    launch = launch.happened(
        at, event.LaunchCleared(launch=launch.facts, approvers=launch.approvers, attempt=launch.attempt)
    )
    broken = [one.seq for one in launch.kept if one.type == event.GlassBroken.type]
    return due(launch.cued(at, *broken, launch.seq))


def rest(launch: Launch, at: datetime) -> Launch:
    """Cue whatever somebody must act on now, and set the alarm: for that, or for the first of the clocks.

    What was told so long ago that it leaves the history with this save is told anew: only what is on the
    item can be cued.
    """
    told = {
        (one.data["gate"], one.data["round"]): one.seq
        for one in launch.kept
        if one.type == event.GateOpened.type
    }
    seqs: list[int] = []
    for gate in open_gates(launch):
        if gate.kind == "timer":
            continue
        if (gate.name, gate.round) not in told:
            launch = launch.happened(at, _opened_event(launch, gate))
        seqs.append(told.get((gate.name, gate.round), launch.seq))
    if launch.wanted is not None and launch.state is not State.TERMINATED:
        asked = [one.seq for one in launch.kept if one.type == event.LaunchChangeRequested.type]
        if not asked:
            actor = launch.wanted_by or SYSTEM
            launch = launch.happened(
                at, event.LaunchChangeRequested(launch=launch.facts, wanted=launch.wanted, actor=actor)
            )
        seqs.append(asked[-1] if asked else launch.seq)
    return due(launch.cued(at, *seqs) if seqs else launch.settled())


def stands(launch: Launch, at: datetime) -> Launch:
    """Let the cue and its alarm be as they were, unless it is no longer on the item."""
    known = {one.seq for one in launch.kept}
    return due(launch) if known.issuperset(launch.cue) else rest(launch, at)


def clocks(launch: Launch) -> list[datetime]:
    """Return every time at which the clock does something to the launch, as things stand."""
    found: list[datetime | None] = []
    if launch.state is State.PENDING_APPROVAL:
        found += [launch.waits_until, launch.question.launch_by]
        found += [one for gate in launch.gates if not gate.is_after for one in gate.clocks()]
    if launch.state is State.PENDING:
        found.append(launch.question.launch_by)
    if launch.state in STARTED:
        found += [one for gate in launch.gates if gate.is_after for one in gate.clocks()]
    if launch.state in (State.RUNNING, State.STOPPED) and launch.wanted != "terminate":
        found += [launch.lease_ends_at, lease_told_at(launch)]
    return [one for one in found if one is not None]


def lease_told_at(launch: Launch) -> datetime | None:
    """Return when it is to be told that the lease ends; None where it is told already, or never is."""
    if launch.lease_ends_at is None or launch.warned or launch.warns <= 0:
        return None
    return launch.lease_ends_at - timedelta(seconds=launch.warns)


def due(launch: Launch) -> Launch:
    """Keep the alarm of the cue, unless a clock comes before it."""
    ends = [*clocks(launch), *([launch.due_at] if launch.due_at and launch.cue else [])]
    return launch.changed(due_at=min(ends, default=None))


def _opened_event(launch: Launch, gate: Gate) -> event.GateOpened:
    return event.GateOpened(
        launch=launch.facts,
        gate=gate.name,
        stage=gate.stage,
        round=gate.round,
        quorum=gate.quorum,
        approvers=gate.approvers,
        expires_at=gate.expires_at,
        kind=gate.kind,
        place=gate.place,
        goes_at=gate.goes_at,
        why=gate.why,
    )


def held_up(gates: tuple[Gate, ...]) -> bool:
    """Tell whether any of these gates stands before the launch."""
    return any(not gate.is_after for gate in gates)


def awaits(launch: Launch, at: datetime) -> Launch:
    """Let a launch that was asked for, or amended, wait for its gates, or go."""
    if launch.state is State.PENDING:
        return cleared(launch, at)
    names = tuple(gate.name for gate in launch.gates)
    launch = launch.happened(at, event.LaunchAwaitingApproval(launch=launch.facts, gates=names))
    return advance(launch, at)


def last_round(launch: Launch) -> int:
    """Return the highest round that any gate ever had: one that comes anew opens after it, so none comes again."""
    return max((launch.rounds, *(gate.round for gate in launch.gates)))


def started(launch: Launch, at: datetime) -> Launch:
    """Tell that it runs."""
    return launch.happened(
        at,
        event.LaunchStarted(
            launch=launch.facts,
            approvers=launch.approvers,
            attempt=launch.attempt,
            resources=tuple(one.id for one in launch.resources),
            choice=launch.choice,
        ),
    )


def terminated(launch: Launch, at: datetime) -> Launch:
    """End it: systems and timers after the launch have nothing to look at any more, a review still has."""
    launch = launch.changed(state=State.TERMINATED, wanted=None, wanted_by=None)
    for gate in launch.gates:
        if gate.kind != "human" and gate.state in (GateState.OPEN, GateState.WAITING):
            launch = put(launch, gate.closed(GateState.CANCELLED), at)
    return launch.happened(at, event.LaunchTerminated(launch=launch.facts))
