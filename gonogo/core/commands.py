"""What can become of a launch: each command, and what time does.

Every function takes a launch and answers with the launch as it is afterwards, its events appended and its
version one higher; or with the very same launch when there is nothing to do; or it raises a named error.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gonogo.core import duration, event
from gonogo.core.actor import SYSTEM, Actor
from gonogo.core.errors import (
    GateNotOpenError,
    NotEligibleError,
    SelfApprovalError,
    StaleDigestError,
    TransitionNotAllowedError,
)
from gonogo.core.gates import REVOKED, Channel, Decision, Gate, GateState, Verdict, stage_to_open
from gonogo.core.item import CUE_LONGEST
from gonogo.core.launch import Failure, InstanceState, Launch, Outcome, Resource, State, Wanted
from gonogo.core.plan import Question


def submit(
    *,
    id: str,  # noqa: A002 - the field's name
    question: Question,
    bundle: str,
    groups: tuple[str, ...],
    request_digest: str,
    gates: tuple[Gate, ...],
    at: datetime,
    nonce: str = "",
) -> Launch:
    """Return a new launch: PENDING without gates, otherwise PENDING_APPROVAL with its first stage open."""
    names = tuple(gate.name for gate in gates)
    launch = Launch(
        id=id,
        state=State.PENDING_APPROVAL if gates else State.PENDING,
        question=question,
        digest=question.digest,
        bundle=bundle,
        groups=groups,
        request_digest=request_digest,
        nonce=nonce,
        gates=gates,
        at=at,
        updated_at=at,
    )
    launch = launch.happened(at, event.LaunchRequested(launch=launch.facts, gates=names))
    if not gates:
        return _clear(launch, at)
    launch = launch.happened(at, event.LaunchAwaitingApproval(launch=launch.facts, gates=names))
    return _advance(launch, at)


def decide(
    launch: Launch,
    *,
    gate: str,
    actor: Actor,
    verdict: Verdict,
    digest: str,
    channel: Channel,
    comment: str | None,
    eligible: frozenset[Actor],
    at: datetime,
) -> Launch:
    """Record what one actor says of one gate, and what follows of it.

    `eligible` are the actors whom policy lets decide this gate now. One rule for every channel.

    Raises:
        SelfApprovalError, NotEligibleError, StaleDigestError, AlreadyDecidedError, GateNotOpenError,
        NotFoundError: nothing is changed.
    """
    this = launch.gate(gate)
    if actor in launch.askers:
        raise SelfApprovalError
    if actor not in eligible:
        raise NotEligibleError(gate)
    if digest != launch.digest:
        raise StaleDigestError
    decided = this.decided(
        Decision(
            actor=actor,
            verdict=verdict,
            digest=digest,
            round=this.round,
            at=at,
            channel=channel,
            comment=comment,
        )
    )
    if decided is this:
        return launch
    if launch.state is not State.PENDING_APPROVAL:
        raise GateNotOpenError(gate, this.state)
    launch = _with_gate(launch, decided)
    launch = launch.happened(at, _decision_event(launch, decided, actor, verdict, channel))
    if decided.state is not GateState.OPEN:
        launch = launch.happened(at, _closed_event(launch, decided))
    return _advance(launch, at).next_version()


def revoke(launch: Launch, *, gate: str, actor: Actor, channel: Channel, at: datetime) -> Launch:
    """Take back one's decision, while the launch still waits for approval; a gate that was GO may open again.

    Taking back what is taken back already changes nothing.

    Raises:
        GateNotOpenError: the actor has no decision to take back.
        TransitionNotAllowedError: the launch waits no longer.
    """
    this = launch.gate(gate)
    if this.took_back(actor):
        return launch
    before = this.decision_of(actor)
    if before is None:
        raise GateNotOpenError(gate, "without a decision of yours")
    launch.require("revoke a decision on", State.PENDING_APPROVAL)
    changed = this.voided(frozenset({actor}), REVOKED).short_of_quorum()
    launch = _with_gate(launch, changed)
    launch = launch.happened(at, _decision_event(launch, changed, actor, "revoke", channel))
    return _advance(launch, at).next_version()


def cancel(launch: Launch, *, actor: Actor, at: datetime) -> Launch:
    """End a launch that has not begun.

    Raises:
        TransitionNotAllowedError: it has begun, or has ended otherwise.
    """
    if launch.state is State.CANCELLED:
        return launch
    launch.require("cancel", State.PENDING_APPROVAL, State.PENDING)
    launch = _end(launch, State.CANCELLED, at)
    return launch.happened(at, event.LaunchCancelled(launch=launch.facts, actor=actor)).next_version()


def reopen(launch: Launch, *, lost: dict[str, frozenset[Actor]], at: datetime) -> Launch:
    """Before the launch: decisions of actors who lost their authority count no longer, by gate name.

    A gate that falls below its quorum opens again, for a new round; of several stages, the first one first.

    Raises:
        TransitionNotAllowedError: the launch is not PENDING.
    """
    launch.require("reopen", State.PENDING)
    gates = tuple(
        gate.lost(lost[gate.name]).short_of_quorum() if gate.name in lost else gate for gate in launch.gates
    )
    if gates == launch.gates:
        return launch
    launch = launch.changed(state=State.PENDING_APPROVAL, cleared_at=None, gates=gates)
    return _advance(launch, at).next_version()


def claim(launch: Launch, *, at: datetime) -> Launch:
    """Take the launch for launching.

    Raises:
        TransitionNotAllowedError: it is not PENDING, or a gate is not GO.
    """
    launch.require("launch", State.PENDING)
    for gate in launch.gates:
        if gate.state is not GateState.GO or gate.approvals < gate.quorum:
            raise TransitionNotAllowedError("launch", f"{launch.state} with gate {gate.name!r} {gate.state}")
    cleared = [one.seq for one in launch.history if one.type == event.LaunchCleared.type]
    return launch.changed(state=State.LAUNCHING).cued(at, *cleared[-1:]).changed(updated_at=at).next_version()


def record_started(launch: Launch, *, resources: tuple[str, ...], at: datetime) -> Launch:
    """Record what the engine made; the lease begins.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require("record the start of", State.LAUNCHING)
    launch = launch.changed(
        state=State.RUNNING,
        failure=None,
        resources=tuple(Resource(one) for one in resources),
        lease_ends_at=at + duration.parse(launch.question.lease),
    )
    launch = launch.happened(
        at,
        event.LaunchStarted(
            launch=launch.facts, approvers=launch.approvers, attempt=launch.attempt, resources=resources
        ),
    )
    return _resting(launch).next_version()


def record_failed(launch: Launch, *, code: str, message: str, at: datetime) -> Launch:
    """Record that the engine refused for good, or that authority was lost before the launch.

    Raises:
        TransitionNotAllowedError: it is neither PENDING nor LAUNCHING.
    """
    launch.require("record the failure of", State.PENDING, State.LAUNCHING)
    launch = launch.changed(
        state=State.FAILED, failure=Failure(code=code, message=message, attempt=launch.attempt)
    ).settled()
    failed = event.LaunchFailed(launch=launch.facts, attempt=launch.attempt, code=code, message=message)
    return launch.happened(at, failed).next_version()


def retry(launch: Launch, *, at: datetime) -> Launch:
    """Try a failed launch again, as another attempt of the same approved plan.

    The very same launch is returned where that is under way already, or has gone well.

    Raises:
        TransitionNotAllowedError: it has not failed.
    """
    if launch.attempt > 1 and launch.state in (State.PENDING, State.LAUNCHING, State.RUNNING):
        return launch
    launch.require("retry", State.FAILED)
    return _clear(launch.changed(state=State.PENDING, attempt=launch.attempt + 1), at).next_version()


def change(launch: Launch, *, wanted: Wanted, actor: Actor, at: datetime) -> Launch:
    """Want it stopped, started or terminated; the launcher does it.

    Raises:
        TransitionNotAllowedError: it is not in a state where that makes sense.
    """
    if wanted == "stop" and launch.state is State.STOPPED and launch.wanted is None:
        return launch
    if wanted == "start" and launch.state is State.RUNNING and launch.wanted is None:
        return launch
    if wanted == "terminate" and launch.state is State.TERMINATED:
        return launch
    if launch.wanted == wanted:
        return launch
    if launch.wanted == "terminate":
        raise TransitionNotAllowedError(wanted, f"{launch.state} and being terminated")
    launch.require(wanted, *_CHANGEABLE[wanted])
    launch = launch.changed(wanted=wanted, wanted_by=actor)
    launch = launch.happened(at, event.LaunchChangeRequested(launch=launch.facts, wanted=wanted, actor=actor))
    return _no_later_than_clock(launch.cued(at, launch.seq)).next_version()


_CHANGEABLE: dict[Wanted, tuple[State, ...]] = {
    "stop": (State.RUNNING,),
    "start": (State.STOPPED,),
    "terminate": (State.RUNNING, State.STOPPED),
}


def change_failed(launch: Launch, *, code: str, message: str, at: datetime) -> Launch:
    """Record that the engine refused the change for good: nothing is wanted any more, the state stands.

    A lease that has ended wants its termination again, but not at once.
    """
    if launch.wanted is None:
        return launch
    failed = event.LaunchChangeFailed(launch=launch.facts, wanted=launch.wanted, code=code, message=message)
    launch = launch.changed(
        wanted=None, wanted_by=None, failure=Failure(code=code, message=message, attempt=launch.attempt)
    )
    launch = _resting(launch.happened(at, failed))
    if launch.lease_ends_at is not None and launch.lease_ends_at <= at:
        launch = launch.changed(due_at=at + CUE_LONGEST)
    return launch.next_version()


def observe(
    launch: Launch, *, resource: str, state: InstanceState, changed_at: datetime, at: datetime
) -> Launch:
    """Record how one of its instances was seen, and what state that makes of the launch.

    The very same launch is returned where this was known, or where the launch is not live.
    """
    known = {one.id: one for one in launch.resources}
    if launch.state not in (State.RUNNING, State.STOPPED) or resource not in known:
        return launch
    if known[resource].state in (state, "terminated"):
        return launch
    launch = launch.changed(
        updated_at=at,
        resources=tuple(
            Resource(one.id, state, changed_at) if one.id == resource else one for one in launch.resources
        ),
    )
    states = {one.state for one in launch.resources}
    if states == {"terminated"}:
        launch = launch.changed(state=State.TERMINATED, wanted=None, wanted_by=None).settled()
        launch = launch.happened(at, event.LaunchTerminated(launch=launch.facts))
    elif states <= {"stopped", "terminated"} and launch.state is State.RUNNING:
        launch = launch.changed(state=State.STOPPED)
        launch = _met(launch, "stop").happened(at, event.LaunchStopped(launch=launch.facts))
    elif states & {"pending", "running"} and launch.state is State.STOPPED:
        launch = launch.changed(state=State.RUNNING)
        launch = _met(launch, "start").happened(
            at,
            event.LaunchStarted(
                launch=launch.facts,
                approvers=launch.approvers,
                attempt=launch.attempt,
                resources=tuple(one.id for one in launch.resources),
            ),
        )
    return launch.next_version()


def tick(launch: Launch, *, at: datetime) -> Launch:
    """Do what time asks for: expire a gate, end a lease, or give a cue that nobody acted on again."""
    if launch.due_at is None or at < launch.due_at:
        return launch
    if launch.state is State.PENDING_APPROVAL:
        late = [gate for gate in _open_gates(launch) if gate.expires_at is not None and at >= gate.expires_at]
        if late:
            return _expire(launch, late, at).next_version()
    if (
        launch.state in (State.RUNNING, State.STOPPED)
        and launch.lease_ends_at is not None
        and at >= launch.lease_ends_at
        and launch.wanted != "terminate"
    ):
        return change(launch, wanted="terminate", actor=SYSTEM, at=at)
    return _no_later_than_clock(launch.cued_again(at)).next_version()


def _with_gate(launch: Launch, changed: Gate) -> Launch:
    return launch.changed(gates=tuple(changed if one.name == changed.name else one for one in launch.gates))


def _open_gates(launch: Launch) -> list[Gate]:
    return [gate for gate in launch.gates if gate.state is GateState.OPEN]


def _open(launch: Launch, gate: Gate, at: datetime) -> Launch:
    opened = gate.opened(at)
    return _with_gate(launch, opened).happened(at, _opened_event(launch, opened))


def _opened_event(launch: Launch, opened: Gate) -> event.GateOpened:
    assert opened.expires_at is not None  # noqa: S101 - an open gate has it
    return event.GateOpened(
        launch=launch.facts,
        gate=opened.name,
        stage=opened.stage,
        round=opened.round,
        quorum=opened.quorum,
        approvers=opened.approvers,
        expires_at=opened.expires_at,
    )


def _decision_event(
    launch: Launch,
    gate: Gate,
    actor: Actor,
    verdict: Literal["approve", "reject", "revoke"],
    channel: Channel,
) -> event.GateDecided:
    return event.GateDecided(
        launch=launch.facts,
        gate=gate.name,
        round=gate.round,
        actor=actor,
        verdict=verdict,
        channel=channel,
        approvals=gate.approvals,
        quorum=gate.quorum,
    )


def _advance(launch: Launch, at: datetime) -> Launch:
    """Draw the consequences of the gates as they stand: reject, clear, or open the stage that is next."""
    for gate in launch.gates:
        if gate.state is GateState.NO_GO:
            actor = next(one.actor for one in gate.counting if one.verdict == "reject")
            launch = _end(launch, State.REJECTED, at)
            return launch.happened(at, event.LaunchRejected(launch=launch.facts, gate=gate.name, actor=actor))
    stage = stage_to_open(launch.gates)
    if stage is None:
        return _clear(launch.changed(state=State.PENDING), at)
    for gate in launch.gates:
        if gate.stage == stage and gate.state is GateState.WAITING:
            launch = _open(launch, gate, at)
    return _awaiting(launch, at)


_OUTCOMES: dict[GateState, Outcome] = {
    GateState.GO: "go",
    GateState.NO_GO: "no_go",
    GateState.EXPIRED: "expired",
    GateState.CANCELLED: "cancelled",
}


def _closed_event(launch: Launch, gate: Gate) -> event.GateClosed:
    return event.GateClosed(
        launch=launch.facts, gate=gate.name, round=gate.round, outcome=_OUTCOMES[gate.state]
    )


def _expire(launch: Launch, late: list[Gate], at: datetime) -> Launch:
    """End the launch because these gates were not decided in time; the others are not late, but cancelled."""
    for gate in late:
        expired = gate.closed(GateState.EXPIRED)
        launch = _with_gate(launch, expired).happened(at, _closed_event(launch, expired))
    launch = _end(launch, State.EXPIRED, at)
    return launch.happened(at, event.LaunchExpired(launch=launch.facts, gate=late[0].name))


def _end(launch: Launch, state: State, at: datetime) -> Launch:
    """End the launch: every gate that is open or waits is cancelled, no alarm rings."""
    open_gates = _open_gates(launch)
    launch = launch.changed(
        state=state,
        gates=tuple(
            gate.closed(GateState.CANCELLED) if gate.state in (GateState.OPEN, GateState.WAITING) else gate
            for gate in launch.gates
        ),
    ).settled()
    for gate in open_gates:
        launch = launch.happened(at, _closed_event(launch, gate.closed(GateState.CANCELLED)))
    return launch


def _clear(launch: Launch, at: datetime) -> Launch:
    launch = launch.changed(cleared_at=at)
    cleared = event.LaunchCleared(launch=launch.facts, approvers=launch.approvers, attempt=launch.attempt)
    launch = launch.happened(at, cleared)
    return launch.cued(at, launch.seq)


def _awaiting(launch: Launch, at: datetime) -> Launch:
    """Cue the openings of the gates that are open now; the alarm is that, or the first expiry.

    An opening so long ago that it leaves the history with this save is told anew: only what is on the item
    can be cued.
    """
    told = {
        (one.data["gate"], one.data["round"]): one.seq
        for one in launch.kept
        if one.type == event.GateOpened.type
    }
    seqs = []
    for gate in _open_gates(launch):
        if (gate.name, gate.round) not in told:
            launch = launch.happened(at, _opened_event(launch, gate))
        seqs.append(told.get((gate.name, gate.round), launch.seq))
    return _no_later_than_clock(launch.cued(at, *seqs))


def _no_later_than_clock(launch: Launch) -> Launch:
    """Keep the alarm of the cue, unless a gate expires or the lease ends before it."""
    ends = [gate.expires_at for gate in _open_gates(launch)]
    if launch.wanted != "terminate":
        ends.append(launch.lease_ends_at)
    due = min((one for one in (launch.due_at, *ends) if one is not None), default=None)
    return launch.changed(due_at=due)


def _met(launch: Launch, wanted: Wanted) -> Launch:
    if launch.wanted != wanted:
        return launch
    return _resting(launch.changed(wanted=None, wanted_by=None))


def _resting(launch: Launch) -> Launch:
    """Nobody must act; the alarm is the end of the lease."""
    return launch.settled().changed(due_at=launch.lease_ends_at)
