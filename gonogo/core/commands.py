"""What can become of a launch by what people, systems, the launcher and EC2 do; `clock` says what time does.

Every function takes a launch and answers with the launch as it is afterwards, its events appended and its
version one higher; or with the very same launch when there is nothing to do; or it raises a named error.
In which states a command is allowed is read from the table in `states`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from gonogo.core import course, duration, event, plan
from gonogo.core.actor import Actor
from gonogo.core.errors import (
    Fault,
    GateNotOpenError,
    InvalidError,
    NotEligibleError,
    SelfApprovalError,
    StaleDigestError,
    TransitionNotAllowedError,
)
from gonogo.core.gates import (
    LAPSED,
    LOST,
    REVOKED,
    Channel,
    Decision,
    Gate,
    GateState,
    Note,
    Verdict,
    seat_for,
)
from gonogo.core.item import CUE_LONGEST
from gonogo.core.launch import (
    Failure,
    InstanceState,
    Launch,
    Offer,
    Promise,
    Resource,
    Wanted,
)
from gonogo.core.plan import Question
from gonogo.core.states import TABLE, Command, State

MOST_OFFERS = 5
"""How many offers a launch keeps: the newest, one of each actor."""
NOBODY: Mapping[Actor, frozenset[Actor]] = {}


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
    owners: tuple[Actor, ...] = (),
    waits_until: datetime | None = None,
    tells: tuple[str, ...] = (),
) -> Launch:
    """Return a new launch: PENDING where no gate holds it up, otherwise PENDING_APPROVAL with the first open."""
    names = tuple(gate.name for gate in gates)
    launch = Launch(
        id=id,
        state=State.PENDING_APPROVAL if _held_up(gates) else State.PENDING,
        question=question,
        digest=question.digest,
        bundle=bundle,
        groups=groups,
        request_digest=request_digest,
        nonce=nonce,
        gates=gates,
        owners=owners,
        waits_until=waits_until,
        tells=tells,
        at=at,
        updated_at=at,
    )
    launch = launch.happened(
        at, event.LaunchRequested(launch=launch.facts, gates=names, break_glass=question.break_glass)
    )
    if launch.reviews:
        broken = event.GlassBroken(
            launch=launch.facts,
            actor=question.requester,
            groups=tells,
            gates=tuple(gate.name for gate in launch.reviews),
        )
        launch = launch.happened(at, broken)
    return _await(launch, at)


def _held_up(gates: tuple[Gate, ...]) -> bool:
    return any(not gate.is_after for gate in gates)


def _await(launch: Launch, at: datetime) -> Launch:
    """Let a launch that was asked for, or amended, wait for its gates, or go."""
    if launch.state is State.PENDING:
        return course.cleared(launch, at)
    names = tuple(gate.name for gate in launch.gates)
    launch = launch.happened(at, event.LaunchAwaitingApproval(launch=launch.facts, gates=names))
    return course.advance(launch, at)


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
    delegated: Mapping[Actor, frozenset[Actor]] = NOBODY,
) -> Launch:
    """Record what one actor says of one gate, and what follows of it. One rule for every channel.

    Args:
        eligible: the actors whom policy lets decide this gate now.
        delegated: for an actor, whoever lets the actor decide in their place now.

    Raises:
        SelfApprovalError, NotEligibleError, StaleDigestError, AlreadyDecidedError, GateNotOpenError,
        NotFoundError, TransitionNotAllowedError: nothing is changed.
    """
    this = launch.gate(gate)
    seat = _seat(launch, this, actor, eligible, delegated)
    if digest != launch.digest:
        raise StaleDigestError
    decision = Decision(
        actor=actor,
        verdict=verdict,
        digest=digest,
        round=this.round,
        at=at,
        channel=channel,
        comment=comment,
        instead_of=None if seat == actor else seat,
    )
    if this.decided(decision) is this:
        return launch
    if not _takes_decisions(launch, this):
        raise GateNotOpenError(gate, this.state)
    _require_in_time(launch, Command.DECIDE, at)
    return course.advance(course.decided(launch, this, decision, at), at).next_version()


def _require_in_time(launch: Launch, command: Command, at: datetime) -> None:
    """Raise TransitionNotAllowedError if it waits for too long already, whether or not the clock has noticed."""
    late = launch.waits_until is not None and at >= launch.waits_until
    if launch.state is State.PENDING_APPROVAL and late:
        raise TransitionNotAllowedError(TABLE[command].words, f"{launch.state} and too late")


def _seat(
    launch: Launch,
    gate: Gate,
    actor: Actor,
    eligible: frozenset[Actor],
    delegated: Mapping[Actor, frozenset[Actor]],
) -> Actor:
    """Return in whose right the actor speaks on the gate.

    Raises:
        SelfApprovalError, NotEligibleError: in nobody's.
    """
    if actor in launch.barred:
        raise SelfApprovalError
    seat = seat_for(gate, actor, eligible - launch.barred, delegated)
    if seat is None:
        raise NotEligibleError(gate.name)
    return seat


def _takes_decisions(launch: Launch, gate: Gate) -> bool:
    """Tell whether the launch is where this gate's decisions count."""
    return launch.state in (course.STARTED if gate.is_after else (State.PENDING_APPROVAL,))


def revoke(launch: Launch, *, gate: str, actor: Actor, channel: Channel, at: datetime) -> Launch:
    """Take back one's decision, while it still matters; a gate that was GO may open again.

    Whoever delegated may take back what was decided in their place. Taking back what is taken back already
    changes nothing.

    Raises:
        GateNotOpenError: the actor has no decision to take back, or the gate after the launch has closed.
        TransitionNotAllowedError: the launch waits no longer.
    """
    this = launch.gate(gate)
    before = this.decision_of(actor)
    if before is None:
        if this.took_back(actor):
            return launch
        raise GateNotOpenError(gate, "without a decision of yours")
    launch.require(Command.REVOKE)
    if not _takes_decisions(launch, this):
        raise TransitionNotAllowedError(TABLE[Command.REVOKE].words, launch.state)
    if this.is_after and this.state is not GateState.OPEN:
        raise GateNotOpenError(gate, this.state)
    changed = this.voided(frozenset({before.actor}), REVOKED).short_of_quorum("a decision was taken back")
    told = msgspec.structs.replace(before, actor=actor, channel=channel, instead_of=None)
    launch = course.with_gate(launch, changed)
    launch = launch.happened(at, course.decision_event(launch, changed, told, "revoke"))
    return course.advance(launch, at).next_version()


def note(
    launch: Launch, *, gate: str, actor: Actor, text: str, eligible: frozenset[Actor], at: datetime
) -> Launch:
    """Keep what a system says of how far it is; that decides nothing.

    Raises:
        SelfApprovalError, NotEligibleError, GateNotOpenError, TooManyNotesError, NotFoundError: nothing is
            changed.
    """
    this = launch.gate(gate)
    _seat(launch, this, actor, eligible, NOBODY)
    launch.require(Command.NOTE)
    changed = this.noted(Note(actor=actor, at=at, text=text))
    if changed is this:
        return launch
    launch = course.with_gate(launch, changed)
    noted = event.GateNoted(launch=launch.facts, gate=gate, round=changed.round, actor=actor, note=text)
    return course.stands(launch.happened(at, noted), at).next_version()


def amend(
    launch: Launch,
    *,
    question: Question,
    gates: tuple[Gate, ...],
    bundle: str,
    groups: tuple[str, ...],
    actor: Actor,
    at: datetime,
    owners: tuple[Actor, ...] = (),
) -> Launch:
    """Ask for something else instead: all decisions and codes are void, the gates (judged anew) open again.

    Raises:
        TransitionNotAllowedError: it waits no longer.
    """
    if question.digest == launch.digest:
        return launch
    launch.require(Command.AMEND)
    _require_in_time(launch, Command.AMEND, at)
    return _amended(launch, question, gates, bundle, groups, actor, owners, (), at)


def accept(
    launch: Launch,
    *,
    digest: str,
    gates: tuple[Gate, ...],
    bundle: str,
    groups: tuple[str, ...],
    actor: Actor,
    at: datetime,
    owners: tuple[Actor, ...] = (),
) -> Launch:
    """Ask for what an approver offered instead; whoever offered just that has said go to it.

    Raises:
        NotFoundError: there is no such offer.
        TransitionNotAllowedError: it waits no longer.
    """
    if launch.digest == digest and launch.was is not None:
        return launch
    launch.require(Command.ACCEPT)
    _require_in_time(launch, Command.ACCEPT, at)
    question = launch.offer(digest).question
    promised = tuple(Promise(one.gate, one.actor, digest) for one in launch.offers if one.digest == digest)
    return _amended(launch, question, gates, bundle, groups, actor, owners, promised, at)


def _amended(
    launch: Launch,
    question: Question,
    gates: tuple[Gate, ...],
    bundle: str,
    groups: tuple[str, ...],
    actor: Actor,
    owners: tuple[Actor, ...],
    promised: tuple[Promise, ...],
    at: datetime,
) -> Launch:
    """Put another question in the place of this one; no round that was ever open comes again."""
    previous, before = launch.digest, launch.question
    last = _last_round(launch)
    for gate in course.open_gates(launch):
        launch = course.put(launch, gate.closed(GateState.CANCELLED), at, "amended")
    launch = launch.changed(
        state=State.PENDING_APPROVAL if _held_up(gates) else State.PENDING,
        question=question,
        digest=question.digest,
        bundle=bundle,
        groups=groups,
        gates=tuple(msgspec.structs.replace(gate, round=last) for gate in gates),
        owners=tuple(dict.fromkeys((*launch.owners, *owners))),
        amended_by=tuple(dict.fromkeys((*launch.amended_by, actor))),
        was=before,
        offers=(),
        promised=promised,
        rounds=last,
    )
    amended = event.LaunchAmended(
        launch=launch.facts,
        actor=actor,
        previous=previous,
        changes=plan.changes(before, question),
        gates=tuple(gate.name for gate in gates),
    )
    return _await(launch.happened(at, amended), at).next_version()


def _last_round(launch: Launch) -> int:
    """Return the highest round that any gate ever had: one that comes anew opens after it, so none comes again."""
    return max((launch.rounds, *(gate.round for gate in launch.gates)))


def offer(
    launch: Launch,
    *,
    gate: str,
    actor: Actor,
    question: Question,
    comment: str | None,
    eligible: frozenset[Actor],
    at: datetime,
    delegated: Mapping[Actor, frozenset[Actor]] = NOBODY,
) -> Launch:
    """Say what one would say go to instead: the same for less, or for a shorter time. It replaces one's last.

    Raises:
        SelfApprovalError, NotEligibleError, GateNotOpenError, TransitionNotAllowedError, NotFoundError,
        InvalidError: it is not less than what is asked; nothing is changed.
    """
    this = launch.gate(gate)
    _seat(launch, this, actor, eligible, delegated)
    launch.require(Command.OFFER)
    this.require_open(at)
    if this.is_after:
        raise GateNotOpenError(gate, "after the launch")
    _require_less(launch.question, question)
    made = Offer(gate=gate, actor=actor, question=question, digest=question.digest, at=at, comment=comment)
    known = next((one for one in launch.offers if one.actor == actor), None)
    if known is not None and (known.digest, known.gate, known.comment) == (made.digest, gate, comment):
        return launch
    others = tuple(one for one in launch.offers if one.actor != actor)
    launch = launch.changed(offers=(*others, made)[-MOST_OFFERS:])
    told = event.LaunchOffered(
        launch=launch.facts,
        gate=gate,
        actor=actor,
        offer=made.digest,
        changes=plan.changes(launch.question, question),
        price=question.price,
    )
    return course.stands(launch.happened(at, told), at).next_version()


def _require_less(asked: Question, offered: Question) -> None:
    """Raise InvalidError unless the offer is less: not dearer in any way, and not the same."""
    if offered.digest == asked.digest:
        raise InvalidError(Fault("/parameters", "offer", "is what is asked for already"))
    then, now = asked.price, offered.price
    if now.currency != then.currency or now.hourly > then.hourly or now.worst_case > then.worst_case:
        raise InvalidError(Fault("/parameters", "offer", "costs more than what is asked for"))
    if duration.parse(offered.lease) > duration.parse(asked.lease):
        raise InvalidError(Fault("/lease", "offer", "is longer than what is asked for"))


def cancel(launch: Launch, *, actor: Actor, at: datetime) -> Launch:
    """End a launch that has not begun.

    Raises:
        TransitionNotAllowedError: it has begun, or has ended otherwise.
    """
    if launch.state is State.CANCELLED:
        return launch
    launch.require(Command.CANCEL)
    launch = course.end(launch, State.CANCELLED, at)
    return launch.happened(at, event.LaunchCancelled(launch=launch.facts, actor=actor)).next_version()


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
    last = _last_round(launch)
    more = tuple(msgspec.structs.replace(gate, round=last) for gate in gates if gate.name not in known)
    if not more:
        return launch
    launch = launch.changed(gates=(*launch.gates, *more))
    if not _held_up(more):
        return launch.next_version()
    launch = launch.changed(state=State.PENDING_APPROVAL, cleared_at=None)
    return _await(launch, at).next_version()


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


def record_started(launch: Launch, *, resources: tuple[str, ...], at: datetime) -> Launch:
    """Record what the engine made; the lease begins, and gates that stand after the launch open.

    Where nothing was made that could be stopped, it has ended with its start.

    Raises:
        TransitionNotAllowedError: it is not LAUNCHING.
    """
    launch.require(Command.RECORD_STARTED)
    launch = launch.changed(
        state=State.RUNNING,
        failure=None,
        resources=tuple(Resource(one) for one in resources),
        started_at=at,
        lease_ends_at=at + duration.parse(launch.question.lease),
    )
    launch = _started(launch, at)
    if not resources:
        launch = _terminated(launch, at)
    return course.advance(launch, at).next_version()


def _started(launch: Launch, at: datetime) -> Launch:
    return launch.happened(
        at,
        event.LaunchStarted(
            launch=launch.facts,
            approvers=launch.approvers,
            attempt=launch.attempt,
            resources=tuple(one.id for one in launch.resources),
        ),
    )


def _terminated(launch: Launch, at: datetime) -> Launch:
    """End it: systems and timers after the launch have nothing to look at any more, a review still has."""
    launch = launch.changed(state=State.TERMINATED, wanted=None, wanted_by=None)
    for gate in launch.gates:
        if gate.kind != "human" and gate.state in (GateState.OPEN, GateState.WAITING):
            launch = course.put(launch, gate.closed(GateState.CANCELLED), at)
    return launch.happened(at, event.LaunchTerminated(launch=launch.facts))


def record_failed(launch: Launch, *, code: str, message: str, at: datetime) -> Launch:
    """Record that the engine refused for good, or that authority was lost before the launch.

    Raises:
        TransitionNotAllowedError: it is neither PENDING nor LAUNCHING.
    """
    launch.require(Command.RECORD_FAILED)
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
    if launch.attempt > 1 and launch.state in TABLE[Command.RETRY].vain:
        return launch
    launch.require(Command.RETRY)
    again = launch.changed(state=State.PENDING, attempt=launch.attempt + 1)
    return course.cleared(again, at).next_version()


_CHANGES: dict[Wanted, Command] = {
    "stop": Command.STOP,
    "start": Command.START,
    "terminate": Command.TERMINATE,
}


def change(launch: Launch, *, wanted: Wanted, actor: Actor, at: datetime) -> Launch:
    """Want it stopped, started or terminated; the launcher does it.

    Raises:
        TransitionNotAllowedError: it is not in a state where that makes sense.
    """
    command = _CHANGES[wanted]
    if launch.wanted == wanted or (launch.wanted is None and launch.state in TABLE[command].vain):
        return launch
    if launch.wanted == "terminate":
        raise TransitionNotAllowedError(wanted, f"{launch.state} and being terminated")
    launch.require(command)
    launch = launch.changed(wanted=wanted, wanted_by=actor)
    launch = launch.happened(at, event.LaunchChangeRequested(launch=launch.facts, wanted=wanted, actor=actor))
    return course.rest(launch, at).next_version()


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
    launch = course.rest(launch.happened(at, failed), at)
    if launch.lease_ends_at is not None and launch.lease_ends_at <= at:
        others = course.clocks(launch.changed(lease_ends_at=None))
        launch = launch.changed(due_at=min([at + CUE_LONGEST, *others]))
    return launch.next_version()


def observe(
    launch: Launch, *, resource: str, state: InstanceState, changed_at: datetime, at: datetime
) -> Launch:
    """Record how one of its instances was seen, and what state that makes of the launch.

    The very same launch is returned where this was known, or where the launch is not live.
    """
    known = {one.id: one for one in launch.resources}
    if launch.state not in TABLE[Command.OBSERVE].leads or resource not in known:
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
        return course.advance(_terminated(launch, at), at).next_version()
    if states <= {"stopped", "terminated"} and launch.state is State.RUNNING:
        launch = launch.changed(state=State.STOPPED)
        launch = _met(launch.happened(at, event.LaunchStopped(launch=launch.facts)), "stop", at)
    elif states & {"pending", "running"} and launch.state is State.STOPPED:
        launch = _met(_started(launch.changed(state=State.RUNNING), at), "start", at)
    return launch.next_version()


def _met(launch: Launch, wanted: Wanted, at: datetime) -> Launch:
    """Want it no longer, if this was wanted; otherwise what is cued is cued still."""
    if launch.wanted != wanted:
        return course.stands(launch, at)
    return course.rest(launch.changed(wanted=None, wanted_by=None), at)
