"""What can become of a launch by what people, systems, the launcher and EC2 do; `clock` says what time does.

Every function takes a launch and answers with the launch as it is afterwards, its events appended and its
version one higher; or with the very same launch when there is nothing to do; or it raises a named error.
In which states a command is allowed is read from the table in `states`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from gonogo.core import course, event, plan
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
    REVOKED,
    Channel,
    Decision,
    Gate,
    GateState,
    Note,
    Verdict,
    seat_for,
)
from gonogo.core.launch import (
    Launch,
    Offer,
    Promise,
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
    warns: int = 0,
) -> Launch:
    """Return a new launch: PENDING where no gate holds it up, otherwise PENDING_APPROVAL with the first open."""
    names = tuple(gate.name for gate in gates)
    launch = Launch(
        id=id,
        state=State.PENDING_APPROVAL if course.held_up(gates) else State.PENDING,
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
        warns=warns,
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
    return course.awaits(launch, at)


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
    last = course.last_round(launch)
    for gate in course.open_gates(launch):
        launch = course.put(launch, gate.closed(GateState.CANCELLED), at, "amended")
    launch = launch.changed(
        state=State.PENDING_APPROVAL if course.held_up(gates) else State.PENDING,
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
    return course.awaits(launch.happened(at, amended), at).next_version()


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
    endless = offered.lease == plan.NEVER and asked.lease != plan.NEVER
    if endless or plan.lease_length(offered.lease) > plan.lease_length(asked.lease):
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
