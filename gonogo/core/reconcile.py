"""What becomes of launches after their table was restored: what the lost time made is adopted, and people are asked anew.

A restored table knows nothing of the time after the moment to which it was restored. A raised epoch voids every
token of that time, and begins a `Pass`: until it is done nothing is launched. As in `commands`: the launch as it is
afterwards, or the very same one, or a named error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gonogo.core import course, event
from gonogo.core.actor import Actor
from gonogo.core.attempts import LOOK_AGAIN
from gonogo.core.gates import Gate, GateState
from gonogo.core.item import Item, epoch_of
from gonogo.core.launch import Failure, Launch
from gonogo.core.plan import Place
from gonogo.core.states import Command, State

SETTLES = timedelta(minutes=5)
"""How long nothing is looked for: longer than any function may run that began in the last epoch, and than EC2 takes
to show what it made (EC2 API reference, "Eventual consistency")."""
ATTEMPTS = 20
"""How many retries in the lost time are thought of, where that costs no call."""
LEASE = timedelta(hours=1)
"""How long at least it runs on, whose lease has ended by what is on record: it may have been extended since."""
MOST_LOST = 5000
"""How many launches without a record one pass can keep: what it keeps of them has a third of an item's 400 KB."""
UNKNOWN = "the table was restored, and who decides may have said otherwise since"
"""Why a decision counts no longer, and a gate opens again."""
LOST = "LaunchedBefore"
NOT_ON_RECORD = (
    "Something was launched for it in the time that the table lost when it was restored, and is not on record as "
    "what this launch asks for: see instance.unapproved."
)

Stage = Literal["collect", "survey", "ask", "done"]
CURRENT = "epoch"
"""The one id of the pass, which is that of the newest epoch. No item of another kind has it: event ids have no kind."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many launches were looked at, adopted, and asked anew."""

    looked: int = 0
    adopted: int = 0
    asked: int = 0

    def and_(self, more: Counts) -> Counts:
        """Return the sums."""
        return Counts(
            looked=self.looked + more.looked,
            adopted=self.adopted + more.adopted,
            asked=self.asked + more.asked,
        )


NONE = Counts()


class Pass(Item, frozen=True, kw_only=True):
    """How far the newest epoch is with what was made in the time that may be lost.

    It collects the `places` of what may have been launched, looks them over, then asks anew whoever decides. `states`
    and `cursor` say where in the lists of launches it is. `lost` are launches of which something is there that is not
    on record: they are kept for ever. `counts` are of this epoch's pass.
    """

    kind = "pass"

    epoch: int
    begun_at: datetime
    stage: Stage = "collect"
    states: int = 0
    cursor: str | None = None
    places: tuple[Place, ...] = ()
    lost: tuple[str, ...] = ()
    counts: Counts = NONE

    @property
    def is_done(self) -> bool:
        """Whether all is on record that could be found."""
        return self.stage == "done"


def begun(before: Pass | None, epoch: int, places: Sequence[Place], at: datetime) -> Pass:
    """Return the pass of a new epoch; the very same where it has begun."""
    if before is None:
        return Pass(id=CURRENT, at=at, updated_at=at, epoch=epoch, begun_at=at, places=tuple(places))
    if before.epoch >= epoch:
        return before
    return before.changed(
        epoch=epoch,
        begun_at=at,
        updated_at=at,
        stage="collect",
        states=0,
        cursor=None,
        places=tuple(places),
        counts=NONE,
    ).next_version()


def gone_on(
    this: Pass,
    *,
    at: datetime,
    stage: Stage | None = None,
    states: int = 0,
    cursor: str | None = None,
    places: Sequence[Place] = (),
    lost: Sequence[str] = (),
    more: Counts = NONE,
) -> Pass:
    """Return the pass a piece further on: in this stage, at this place of its lists, with so much more found.

    Raises:
        OverflowError: it lost more launches than it can keep; nothing may be launched then.
    """
    known = tuple(sorted({*this.lost, *lost}))
    if len(known) > MOST_LOST:
        raise OverflowError(f"{len(known)} launches are not on record, and {MOST_LOST} can be kept")
    after = this.changed(
        stage=stage or this.stage,
        states=states,
        cursor=cursor,
        places=tuple(places),
        lost=known,
        counts=this.counts.and_(more),
        updated_at=at,
    )
    if after.is_done:
        told = event.EpochReconciled(
            epoch=after.epoch,
            looked=after.counts.looked,
            adopted=after.counts.adopted,
            asked=after.counts.asked,
            lost=after.lost,
        )
        after = after.happened(at, told)
    return after.next_version()


def tokens(launch: Launch, attempts: int) -> Iterator[tuple[int, int, str]]:
    """Yield (attempt, choice, client token) of all that may have been tried: the newest last."""
    for attempt in range(launch.attempt, launch.attempt + attempts + 1):
        for choice in range(1, len(launch.question.plan.choices) + 2):
            yield attempt, choice, launch.changed(attempt=attempt, choice=choice).client_token()


def made_as(launch: Launch, token: str) -> tuple[int, int] | None:
    """Return the attempt and choice that an engine's token is of; None where it is none of this launch's.

    Attempts before the launch's own are thought of too: what they made may be there still.
    """
    first = launch.changed(attempt=1)
    for attempt, choice, _ in tokens(first, launch.attempt - 1 + ATTEMPTS):
        if launch.changed(attempt=attempt, choice=choice).made_with(token):
            return attempt, choice
    return None


def adopt(
    launch: Launch, *, attempt: int, choice: int, made: tuple[str, ...], at: datetime, holds: bool = False
) -> Launch:
    """Record that the launcher was at this attempt and choice in the lost time: it goes on with just that.

    It repeats the call, with the same token, which gives it what was made. Gates before the launch are
    closed: that it was launched means that they had said go, though it is not on record who did.

    Raises:
        TransitionNotAllowedError: it runs, or has ended otherwise than by failure.
    """
    launch.require(Command.ADOPT)
    if (launch.attempt, launch.choice) > (attempt, choice):
        return launch
    if launch.state is State.LAUNCHING and (launch.attempt, launch.choice) == (attempt, choice):
        return launch
    was = launch.state
    launch = launch.changed(
        state=State.LAUNCHING,
        attempt=attempt,
        choice=choice,
        undo=None,
        failure=None,
        holds=launch.holds or holds,
        cleared_at=launch.cleared_at or at,
        promised=(),
        offers=(),
    )
    for gate in launch.gates:
        if not gate.is_after and gate.state in (GateState.OPEN, GateState.WAITING):
            launch = course.put(launch, gate.closed(GateState.CANCELLED), at)
    told = event.LaunchReconciled(launch=launch.facts, was=was, attempt=attempt, choice=choice, made=made)
    launch = launch.happened(at, told)
    return launch.cued(at, launch.seq).changed(due_at=at + LOOK_AGAIN).next_version()


def give_up(launch: Launch, *, at: datetime) -> Launch:
    """End a launch of which something is there that is not what it asks for: it must not be launched besides.

    Raises:
        TransitionNotAllowedError: it runs, or has ended.
    """
    if launch.state is State.FAILED:
        return launch
    launch.require(Command.GIVE_UP)
    launch = course.end(launch, State.FAILED, at)
    launch = launch.changed(
        failure=Failure(code=LOST, message=NOT_ON_RECORD, attempt=launch.attempt), promised=(), offers=()
    )
    failed = event.LaunchFailed(
        launch=launch.facts, attempt=launch.attempt, code=LOST, message=NOT_ON_RECORD, choice=launch.choice
    )
    return launch.happened(at, failed).next_version()


def ask_anew(launch: Launch, *, epoch: int, at: datetime) -> Launch:
    """Open again, in a new round, each gate whose decisions or links are of an earlier epoch.

    What was decided then may have been taken back since, and the links are void. What was decided in this
    epoch counts on. Of a launch that runs, the gates that are open are asked anew, and a lease that has ended, which
    may have been extended, is given an hour.

    Raises:
        TransitionNotAllowedError: it is not waiting, cleared or live.
    """
    launch.require(Command.ASK_ANEW)
    opened = {(one.data["gate"], one.data["round"]) for one in _of(launch, event.GateOpened.type, epoch)}
    said = {
        (one.data["gate"], msgspec.convert(one.data["actor"], Actor))
        for one in _of(launch, event.GateDecided.type, epoch)
    }
    live = launch.state in (State.RUNNING, State.STOPPED)
    gates = tuple(
        _asked_anew(
            one, (one.name, one.round) in opened, frozenset(who for gate, who in said if gate == one.name)
        )
        if one.is_after == live
        else one
        for one in launch.gates
    )
    ended = live and launch.lease_ends_at is not None and launch.lease_ends_at <= at
    if ended and launch.wanted != "terminate":
        ends_at = at + LEASE
        launch = launch.changed(lease_ends_at=ends_at, warned=True)
        launch = launch.happened(at, event.LeaseExpiring(launch=launch.facts, ends_at=ends_at))
    elif gates == launch.gates:
        return launch
    launch = launch.changed(gates=gates, updated_at=at)
    if live:
        return course.advance(launch, at).next_version()
    gates = tuple(one.waiting(UNKNOWN) if _begins_anew(one, gates) else one for one in gates)
    launch = launch.changed(
        gates=gates, state=State.PENDING_APPROVAL, cleared_at=None, promised=(), offers=()
    )
    return course.advance(launch, at).next_version()


def _of(launch: Launch, name: str, epoch: int) -> list[event.Event]:
    return [one for one in launch.history if one.type == name and epoch_of(one.seq) == epoch]


def _asked_anew(gate: Gate, is_new: bool, said: frozenset[Actor]) -> Gate:  # noqa: FBT001 - two facts of one gate
    """Return the gate waiting, to be opened again; the same gate where all that it stands on is of this epoch."""
    if (
        gate.kind == "timer"
        or gate.passed is not None
        or (gate.is_after and gate.state is not GateState.OPEN)
    ):
        return gate
    old = frozenset(one.actor for one in gate.counting if one.actor not in said)
    now = gate.voided(old, UNKNOWN).short_of_quorum(UNKNOWN)
    return now.waiting(UNKNOWN) if now.state is GateState.OPEN and not is_new else now


def _begins_anew(gate: Gate, gates: Sequence[Gate]) -> bool:
    """Tell whether it is a timer that has begun, though a gate before it now waits to be opened again."""
    has_begun = gate.kind == "timer" and gate.state is not GateState.WAITING
    return has_begun and any(one.state is GateState.WAITING and one.rank < gate.rank for one in gates)
