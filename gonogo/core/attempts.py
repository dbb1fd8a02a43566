"""What the launcher does to a launch, from its last look at the gates until it runs or has failed.

As in `commands`: the launch as it is afterwards, or the very same one, or a named error.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from gonogo.core import course, event, plan
from gonogo.core.actor import Actor
from gonogo.core.errors import TransitionNotAllowedError
from gonogo.core.gates import LAPSED, LOST, Gate
from gonogo.core.launch import Failure, Launch, Resource, Undo
from gonogo.core.states import TABLE, Command, State

LOOK_AGAIN = timedelta(minutes=1)
"""How long until it is looked at again, what takes its time to be made."""


def reopen(launch: Launch, *, lost: Mapping[str, frozenset[Actor]], at: datetime) -> Launch:
    """Before the launch, open again what does not say go any more; of several stages, the first one first.

    By gate name, decisions of actors who `lost` their authority count no longer, nor of those in whose place
    they were made; nor do decisions that were made too long ago. A window that has closed is waited for again.

    Raises:
        TransitionNotAllowedError: the launch is not PENDING.
    """
    launch.require(Command.REOPEN)
    gates = tuple(_unready(gate, lost.get(gate.name, frozenset()), at) for gate in launch.gates)
    if gates == launch.gates:
        return launch
    launch = launch.changed(gates=gates, state=State.PENDING_APPROVAL, cleared_at=None)
    return course.advance(launch, at).next_version()


def _unready(gate: Gate, lost: frozenset[Actor], at: datetime) -> Gate:
    """Return the gate waiting again if it does not say go now; the same gate if it does."""
    if gate.is_after:
        return gate
    if gate.window is not None and gate.kind == "timer" and not gate.window.is_open(at):
        return gate.waiting("its window has closed")
    now = gate.lost(lost).short_of_quorum(LOST) if lost else gate
    now = now.lapsed(at).short_of_quorum(LAPSED)
    return gate if now.state is gate.state else now


def ask_more(launch: Launch, *, gates: tuple[Gate, ...], at: datetime) -> Launch:
    """Before the launch, put it behind more gates, which policy asks for by now: a budget that others used up.

    Raises:
        TransitionNotAllowedError: the launch is not PENDING.
    """
    launch.require(Command.ASK_MORE)
    known = {gate.name for gate in launch.gates}
    last = course.last_round(launch)
    more = tuple(msgspec.structs.replace(gate, round=last) for gate in gates if gate.name not in known)
    if not more:
        return launch
    launch = launch.changed(gates=(*launch.gates, *more))
    if not course.held_up(more):
        return launch.next_version()
    launch = launch.changed(state=State.PENDING_APPROVAL, cleared_at=None)
    return course.awaits(launch, at).next_version()


def claim(launch: Launch, *, at: datetime, holds: bool = False) -> Launch:
    """Take the launch for launching; `holds` says that it holds something of a budget.

    Raises:
        TransitionNotAllowedError: it is not PENDING, or a gate does not say go to just this digest, now.
    """
    launch.require(Command.CLAIM)
    words = TABLE[Command.CLAIM].words
    if launch.question.launch_by is not None and at >= launch.question.launch_by:
        raise TransitionNotAllowedError(words, f"{launch.state} and too late")
    for gate in launch.gates:
        if gate.is_after:
            continue
        if not gate.says_go or any(one.digest != launch.digest for one in gate.counting):
            raise TransitionNotAllowedError(words, f"{launch.state} with gate {gate.name!r} {gate.state}")
        if _unready(gate, frozenset(), at) is not gate:
            raise TransitionNotAllowedError(words, f"{launch.state} with gate {gate.name!r} GO no longer")
    cleared = [one.seq for one in launch.history if one.type == event.LaunchCleared.type]
    broken = [one.seq for one in launch.history if one.type == event.GlassBroken.type]
    launch = launch.changed(state=State.LAUNCHING, holds=holds, updated_at=at)
    return launch.cued(at, *broken, *cleared[-1:]).next_version()


def expire(launch: Launch, *, why: str, at: datetime) -> Launch:
    """End a launch that came too late.

    Raises:
        TransitionNotAllowedError: it is not PENDING.
    """
    if launch.state is State.EXPIRED:
        return launch
    launch.require(Command.EXPIRE)
    return course.expired(launch, [], why, at).next_version()


def making(launch: Launch, *, at: datetime) -> Launch:
    """Record that the engine is at it still: its cue comes again in a minute.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require(Command.MAKING)
    return launch.changed(due_at=at + LOOK_AGAIN, updated_at=at).next_version()


def refused(
    launch: Launch,
    *,
    code: str,
    message: str,
    at: datetime,
    full: bool = False,
    made: tuple[str, ...] = (),
) -> Launch:
    """Record that the engine said no to this choice: what it made of it is to be undone first of all.

    For want of capacity (`full`) the next choice of the approved list is tried; otherwise it has failed.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require(Command.REFUSED)
    if not made:
        return _after_refusal(launch, code=code, message=message, full=full, at=at, told=False)
    launch = _attempt_failed(launch, code=code, message=message, made=made, at=at)
    undo = Undo(resources=made, code=code, message=message, full=full)
    return launch.changed(undo=undo, rolled_back=(*launch.rolled_back, *made)).next_version()


def undone(launch: Launch, *, at: datetime) -> Launch:
    """Record that what was made of a refused choice is terminated; the next choice is tried, or it has failed.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require(Command.UNDONE)
    undo = launch.undo
    if undo is None:
        return launch
    launch = launch.changed(undo=None)
    return _after_refusal(launch, code=undo.code, message=undo.message, full=undo.full, at=at, told=True)


def took_back(launch: Launch, resources: tuple[str, ...], *, at: datetime) -> Launch:
    """Record that these were made too and are terminated, in whatever state it is by now."""
    more = tuple(one for one in resources if one not in launch.rolled_back)
    if not more:
        return launch
    return launch.changed(rolled_back=(*launch.rolled_back, *more), updated_at=at).next_version()


def _after_refusal(
    launch: Launch, *, code: str, message: str, full: bool, at: datetime, told: bool
) -> Launch:
    if not full or launch.choice > len(launch.question.plan.choices):
        return record_failed(launch, code=code, message=message, at=at)
    if not told:
        launch = _attempt_failed(launch, code=code, message=message, made=(), at=at)
    return launch.changed(choice=launch.choice + 1).next_version()


def _attempt_failed(
    launch: Launch, *, code: str, message: str, made: tuple[str, ...], at: datetime
) -> Launch:
    failed = event.LaunchAttemptFailed(
        launch=launch.facts,
        attempt=launch.attempt,
        choice=launch.choice,
        code=code,
        message=message,
        made=made,
    )
    return launch.happened(at, failed)


def record_short(
    launch: Launch, *, code: str, message: str, resources: tuple[str, ...], at: datetime
) -> Launch:
    """Record that it runs with what could be made of it, since its plan says `partial`.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require(Command.RECORD_STARTED)
    launch = _attempt_failed(launch, code=code, message=message, made=resources, at=at)
    return record_started(launch, resources=resources, at=at)


def record_started(launch: Launch, *, resources: tuple[str, ...], at: datetime) -> Launch:
    """Record what the engine made; the lease begins, and gates that stand after the launch open.

    Where nothing was made that could be stopped, it has ended with its start.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require(Command.RECORD_STARTED)
    lease = launch.question.lease
    launch = launch.changed(
        state=State.RUNNING,
        failure=None,
        resources=tuple(Resource(one) for one in resources),
        started_at=at,
        lease_ends_at=None if lease == plan.NEVER else at + plan.lease_length(lease),
    )
    launch = course.started(launch, at)
    if not resources:
        launch = course.terminated(launch, at)
    return course.advance(launch, at).next_version()


def record_failed(launch: Launch, *, code: str, message: str, at: datetime) -> Launch:
    """Record that the engine refused for good, or that authority was lost before the launch.

    Raises:
        TransitionNotAllowedError: it is neither PENDING nor LAUNCHING.
    """
    launch.require(Command.RECORD_FAILED)
    launch = launch.changed(
        state=State.FAILED, failure=Failure(code=code, message=message, attempt=launch.attempt)
    ).settled()
    failed = event.LaunchFailed(
        launch=launch.facts, attempt=launch.attempt, code=code, message=message, choice=launch.choice
    )
    return launch.happened(at, failed).next_version()


def retry(launch: Launch, *, at: datetime) -> Launch:
    """Try a failed launch again, as another attempt of the same approved plan.

    The very same launch is returned where that is under way already, or has gone well.

    Raises:
        TransitionNotAllowedError: it has not failed.
    """
    if launch.attempt > 1 and launch.state in TABLE[Command.RETRY].vain:
        return launch
    launch.require(Command.RETRY)
    again = launch.changed(state=State.PENDING, attempt=launch.attempt + 1, choice=1)
    return course.cleared(again, at).next_version()
