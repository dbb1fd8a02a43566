"""What time does to a launch: remind, escalate, let pass, expire, end a lease, and give a cue again."""

from __future__ import annotations

from datetime import datetime

from gonogo.core import course, event
from gonogo.core.actor import SYSTEM
from gonogo.core.gates import LAPSED, Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.life import change, warn
from gonogo.core.states import State


def tick(launch: Launch, *, at: datetime) -> Launch:
    """Do what time asks for, if the alarm rings. Twice does no harm."""
    if launch.due_at is None or at < launch.due_at:
        return launch
    after = _passed(launch, at)
    if after is not launch:
        return after if after.version > launch.version else after.next_version()
    return course.due(launch.cued_again(at)).next_version()


def _passed(launch: Launch, at: datetime) -> Launch:
    """Return the launch after what time asks for; the very same launch where it asks for nothing."""
    why = too_late(launch, at)
    if why is not None and launch.state in (State.PENDING_APPROVAL, State.PENDING):
        return course.expired(launch, [], why, at)
    if launch.state is State.PENDING_APPROVAL:
        return _gates(launch, at, after=False)
    if launch.state not in course.STARTED:
        return launch
    after = _gates(launch, at, after=True)
    if (
        after is launch
        and launch.state is not State.TERMINATED
        and launch.lease_ends_at is not None
        and at >= launch.lease_ends_at
        and launch.wanted != "terminate"
    ):
        return change(launch, wanted="terminate", actor=SYSTEM, at=at)
    return warn(after, at=at) if launch.state is not State.TERMINATED else after


def too_late(launch: Launch, at: datetime) -> str | None:
    """Return why the launch may not happen any more, if it is so."""
    if launch.question.launch_by is not None and at >= launch.question.launch_by:
        return "It was to be launched by now or not at all."
    if launch.state is State.PENDING_APPROVAL and launch.waits_until is not None and at >= launch.waits_until:
        return "It has waited as long as its template allows."
    return None


def _gates(launch: Launch, at: datetime, *, after: bool) -> Launch:
    """Let time do its work on every gate of this side of the launch."""
    before, late = launch, []
    for gate in (one for one in launch.gates if one.is_after == after):
        launch = _lapsed(launch, gate, at)
        now = launch.gate(gate.name)
        if now.state is not GateState.OPEN:
            continue
        if now.expires_at is not None and at >= now.expires_at:
            launch, ends = _expired(launch, now, at)
            late += [now] if ends else []
        else:
            launch = _nudged(course.gone(launch, now.name, at), now.name, at)
    if late:
        return course.expired(launch, late, None, at)
    return launch if launch is before else course.advance(launch, at)


def _lapsed(launch: Launch, gate: Gate, at: datetime) -> Launch:
    """Take away decisions that were not used in time; the gate is to be decided anew."""
    changed = gate.lapsed(at) if not gate.is_after else gate
    return launch if changed is gate else course.with_gate(launch, changed.short_of_quorum(LAPSED))


def _expired(launch: Launch, gate: Gate, at: datetime) -> tuple[Launch, bool]:
    """Return what becomes of a gate that was not decided in time, and whether that ends the launch."""
    match gate.on_expiry:
        case "reject":
            return course.put(launch, gate.closed(GateState.NO_GO), at), False
        case "approve" if gate.rejections:
            return course.put(launch, gate.closed(GateState.NO_GO), at), False
        case "approve":
            passed = "nobody answered in time, and policy lets that pass"
            return course.put(launch, gate.closed(GateState.GO, passed), at), False
        case "escalate":
            return _given_to_people(launch, gate, at), False
        case "expire":
            if not gate.is_after:
                return launch, True
            again = gate.waiting("it was not decided in time")
            return course.put(launch, again, at, "expired"), False


def _given_to_people(launch: Launch, hook: Gate, at: datetime) -> Launch:
    """Let people decide in the stead of a hook that nobody answered."""
    people = hook.given_to_people()
    launch = course.put(launch, people, at, "escalated")
    escalated = event.GateEscalated(
        launch=launch.facts, gate=hook.name, round=hook.round, to=people.rule, approvers=people.approvers
    )
    return launch.happened(at, escalated)


def _nudged(launch: Launch, name: str, at: datetime) -> Launch:
    """Escalate an open gate, or remind of it; each once a tick, however many were missed."""
    gate = launch.gate(name)
    if gate.state is not GateState.OPEN:
        return launch
    if gate.escalate_at is not None and at >= gate.escalate_at:
        gate = gate.widened()
        launch = course.with_gate(launch, gate).happened(
            at,
            event.GateEscalated(
                launch=launch.facts,
                gate=gate.name,
                round=gate.round,
                to=gate.escalate_to or "",
                approvers=gate.reserve,
            ),
        )
    if gate.remind_at is not None and at >= gate.remind_at:
        gate = gate.reminded_of(at)
        launch = course.with_gate(launch, gate).happened(
            at,
            event.ApproverReminded(
                launch=launch.facts, gate=gate.name, round=gate.round, number=gate.reminded
            ),
        )
    return launch
