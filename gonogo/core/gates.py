"""Who or what must say go: gates, decisions, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

from gonogo.core import duration
from gonogo.core.actor import Actor
from gonogo.core.errors import AlreadyDecidedError, GateNotOpenError, TooManyNotesError
from gonogo.core.window import Window

Verdict = Literal["approve", "reject"]
Channel = Literal["api", "link", "webhook", "offer"]
Kind = Literal["human", "hook", "timer"]
Place = Literal["before_approval", "approval", "before_launch", "after_launch"]
PLACES: tuple[Place, ...] = ("before_approval", "approval", "before_launch", "after_launch")
"""Where a gate may stand, in the order in which their gates open."""
OnExpiry = Literal["expire", "reject", "approve", "escalate"]
OnReject = Literal["warn", "terminate"]

REVOKED = "revoked"
"""Why a decision counts no longer when its actor took it back."""
LAPSED = "decided too long ago"
"""Why a decision counts no longer when it was not used in time."""
UNANSWERED = "people decide in the stead of the system"
"""Why what a system said counts no longer once people decide in its stead."""
LOST = "may decide this gate no longer"
"""Why a decision counts no longer when its actor has no authority any more."""
MOST_NOTES = 10
"""How many progress notes a hook may leave on one gate."""
MOST_REMINDERS = 16
"""How often a gate is reminded of: each wait is twice the one before, so this is more than any gate needs."""


class GateState(StrEnum):
    """Where a gate stands."""

    WAITING = "WAITING"
    OPEN = "OPEN"
    GO = "GO"
    NO_GO = "NO_GO"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one actor said of one gate for one digest; `void` says why it counts no longer, if so.

    `instead_of` is whoever delegated to the actor, where only that gave the actor the right to decide.
    """

    actor: Actor
    verdict: Verdict
    digest: str
    round: int
    at: datetime
    channel: Channel
    comment: str | None = None
    void: str | None = None
    instead_of: Actor | None = None

    @property
    def seat(self) -> Actor:
        """Whose right to decide was used: a gate counts each once."""
        return self.instead_of or self.actor


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """How far a hook is, for everybody to read; it decides nothing."""

    actor: Actor
    at: datetime
    text: str


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One gate of one launch. Its rules were copied from the bundle that judged the launch.

    `approvers` may decide it, as policy said when the launch was judged; policy is asked again at each
    decision and at the launch. `round` rises each time the gate opens again. `by` names the gate of the policy
    that says who decides, where that is another: a hook that nobody answered is decided by people.

    `reserve` may decide too once it is escalated to them. A hook is decided by systems, a timer by the clock:
    it goes at `goes_at`. `passed` says why a gate is GO without decisions, `fallback` is what a hook becomes
    that nobody answered.
    """

    name: str
    title: str
    stage: int
    quorum: int
    expires_after: str
    login: bool
    approvers: tuple[Actor, ...]
    kind: Kind = "human"
    place: Place = "approval"
    by: str = ""
    reject_quorum: int = 1
    services: bool = False
    remind_every: str | None = None
    escalate_after: str | None = None
    escalate_to: str | None = None
    reserve: tuple[Actor, ...] = ()
    valid_for: str | None = None
    on_expiry: OnExpiry = "expire"
    on_reject: OnReject = "warn"
    fallback: Gate | None = None
    wait: str | None = None
    window: Window | None = None
    state: GateState = GateState.WAITING
    round: int = 0
    opened_at: datetime | None = None
    expires_at: datetime | None = None
    goes_at: datetime | None = None
    remind_at: datetime | None = None
    reminded: int = 0
    escalate_at: datetime | None = None
    escalated: bool = False
    passed: str | None = None
    why: str | None = None
    notes: tuple[Note, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @property
    def rule(self) -> str:
        """The name of the gate of the policy that says who decides this one."""
        return self.by or self.name

    @property
    def rank(self) -> tuple[int, int]:
        """When its turn is: by place, then by stage."""
        return PLACES.index(self.place), self.stage

    @property
    def is_after(self) -> bool:
        """Whether it stands after the launch, which it cannot hold up any more."""
        return self.place == "after_launch"

    @property
    def counting(self) -> tuple[Decision, ...]:
        """The decisions that count now: at most one of each actor, and one for each seat."""
        return tuple(one for one in self.decisions if one.void is None)

    @property
    def approvals(self) -> int:
        """How many said go: different people, none counted twice for what others delegated."""
        return len({one.seat for one in self.counting if one.verdict == "approve"})

    @property
    def rejections(self) -> int:
        """How many said no."""
        return len({one.seat for one in self.counting if one.verdict == "reject"})

    @property
    def says_go(self) -> bool:
        """Whether it is GO, and what makes it so still stands."""
        return self.state is GateState.GO and (self.passed is not None or self.approvals >= self.quorum)

    def decision_of(self, actor: Actor) -> Decision | None:
        """Return the decision that counts and is this actor's, or was made in this actor's place."""
        return next((one for one in self.counting if actor in (one.actor, one.seat)), None)

    def took_back(self, actor: Actor) -> bool:
        """Tell whether what this actor said last was taken back by the actor."""
        return any(actor in (one.actor, one.seat) and one.void == REVOKED for one in self.decisions)

    def valid_until(self, decision: Decision) -> datetime | None:
        """Return until when a decision stands if the launch waits on; None where it has no end."""
        return None if self.valid_for is None else decision.at + duration.parse(self.valid_for)

    def clocks(self) -> list[datetime]:
        """Return every time at which the clock does something to it, as things stand."""
        found: list[datetime | None] = []
        if self.state is GateState.OPEN:
            found += [self.expires_at, self.goes_at, self.remind_at, self.escalate_at]
        if self.state in (GateState.OPEN, GateState.GO) and not self.is_after:
            found += [self.valid_until(one) for one in self.counting]
        return [one for one in found if one is not None]

    def opened(self, at: datetime, why: str | None = None) -> Gate:
        """Return the gate open for a new round; its clocks start now. `why` says why it opens again."""
        goes_at = None
        if self.kind == "timer":
            goes_at = self.window.opens(at) if self.window else at + duration.parse(self.wait or "")
        return msgspec.structs.replace(
            self,
            state=GateState.OPEN,
            round=self.round + 1,
            opened_at=at,
            expires_at=None if goes_at else at + duration.parse(self.expires_after),
            goes_at=goes_at,
            remind_at=_after(at, self.remind_every),
            reminded=0,
            escalate_at=None if self.escalated else _after(at, self.escalate_after),
            passed=None,
            why=why,
        )

    def decided(self, decision: Decision) -> Gate:
        """Return the gate with the decision; the same gate where the actor has said just that already.

        What the same actor said before, and took back, makes room: a gate keeps one decision of each.

        Raises:
            AlreadyDecidedError: the actor, or somebody in the actor's place, has said the opposite.
            GateNotOpenError: the gate takes no decisions.
        """
        before = self.decision_of(decision.actor) or self.decision_of(decision.seat)
        if before is not None:
            if before.verdict != decision.verdict:
                raise AlreadyDecidedError(self.name, before.verdict)
            return self
        self.require_open(decision.at)
        others = (one for one in self.decisions if one.actor != decision.actor)
        return msgspec.structs.replace(self, decisions=(*others, decision)).tallied()

    def require_open(self, at: datetime) -> None:
        """Raise GateNotOpenError unless it takes decisions at this time."""
        if self.state is not GateState.OPEN or self.kind == "timer":
            raise GateNotOpenError(self.name, self.state)
        if self.expires_at is None or at >= self.expires_at:
            raise GateNotOpenError(self.name, GateState.EXPIRED)

    def noted(self, note: Note) -> Gate:
        """Return the gate with a progress note; the same gate where it is the last one once more.

        Raises:
            GateNotOpenError: it is not an open hook.
            TooManyNotesError: it has as many as it may have.
        """
        self.require_open(note.at)
        if self.kind != "hook":
            raise GateNotOpenError(self.name, "a gate for people, who comment on their decisions instead")
        if self.notes and (self.notes[-1].actor, self.notes[-1].text) == (note.actor, note.text):
            return self
        if len(self.notes) >= MOST_NOTES:
            raise TooManyNotesError(self.name, MOST_NOTES)
        return msgspec.structs.replace(self, notes=(*self.notes, note))

    def tallied(self) -> Gate:
        """Return the gate closed if its decisions add up: to NO_GO first, then to GO."""
        if self.rejections >= self.reject_quorum:
            return self.closed(GateState.NO_GO)
        if self.approvals >= self.quorum:
            return self.closed(GateState.GO)
        return self

    def closed(self, state: GateState, passed: str | None = None) -> Gate:
        """Return the gate closed with this outcome; `passed` says why it is GO without decisions."""
        return msgspec.structs.replace(
            self, state=state, passed=passed, remind_at=None, escalate_at=None, goes_at=None
        )

    def waiting(self, why: str) -> Gate:
        """Return the gate waiting for its turn to open it again."""
        return msgspec.structs.replace(self, state=GateState.WAITING, passed=None, why=why)

    def short_of_quorum(self, why: str) -> Gate:
        """Return the gate waiting to be opened again, if it was GO and what made it so stands no longer."""
        if self.state is GateState.GO and not self.says_go:
            return self.waiting(why)
        return self

    def voided(self, actors: frozenset[Actor], why: str) -> Gate:
        """Return the gate with the decisions of these actors, or in their place, kept but counting no longer."""
        return msgspec.structs.replace(
            self,
            decisions=tuple(
                msgspec.structs.replace(one, void=why)
                if one.void is None and (one.actor in actors or one.seat in actors)
                else one
                for one in self.decisions
            ),
        )

    def lost(self, actors: frozenset[Actor]) -> Gate:
        """Return the gate without these actors' authority: what they decided is kept, but does not count."""
        gate = self.voided(actors, LOST)
        return msgspec.structs.replace(
            gate,
            approvers=tuple(actor for actor in gate.approvers if actor not in actors),
            reserve=tuple(actor for actor in gate.reserve if actor not in actors),
        )

    def lapsed(self, at: datetime) -> Gate:
        """Return the gate without the decisions that were made too long ago; the same gate if there are none."""
        old = frozenset(
            one.actor for one in self.counting if (end := self.valid_until(one)) is not None and at >= end
        )
        return self.voided(old, LAPSED) if old else self

    def reminded_of(self, at: datetime) -> Gate:
        """Return the gate with the next reminder twice as far off; one that was missed is not made up for."""
        every = duration.parse(self.remind_every or "")
        wait: timedelta = every * 2 ** (self.reminded + 1)
        last = self.reminded + 1 >= MOST_REMINDERS
        return msgspec.structs.replace(
            self, reminded=self.reminded + 1, remind_at=None if last else at + wait
        )

    def widened(self) -> Gate:
        """Return the gate escalated: its reserve may decide it too."""
        return msgspec.structs.replace(
            self,
            escalated=True,
            escalate_at=None,
            approvers=tuple(dict.fromkeys((*self.approvers, *self.reserve))),
        )

    def given_to_people(self) -> Gate:
        """Return the hook as the human gate that decides in its stead, not open yet.

        What systems said of it is kept, but fills no human seat.

        Raises:
            GateNotOpenError: it has none.
        """
        if self.fallback is None:
            raise GateNotOpenError(self.name, self.state)
        return msgspec.structs.replace(
            self.fallback,
            name=self.name,
            title=f"{self.title}: {self.fallback.title}",
            place=self.place,
            stage=self.stage,
            by=self.fallback.name,
            on_reject=self.on_reject,
            round=self.round,
            notes=self.notes,
            decisions=tuple(
                msgspec.structs.replace(one, void=one.void or UNANSWERED) for one in self.decisions
            ),
        )


def _after(at: datetime, span: str | None) -> datetime | None:
    return None if span is None else at + duration.parse(span)


def stage_to_open(gates: tuple[Gate, ...], *, after: bool = False) -> tuple[int, int] | None:
    """Return the rank whose gates must be open now: the first that is not all decided; None when all are.

    Before the launch a gate is done when it is GO. `after` asks for those that stand after the launch, which
    hold nothing up: there any outcome will do.
    """
    if after:
        return min(
            (one.rank for one in gates if one.is_after and one.state in (GateState.WAITING, GateState.OPEN)),
            default=None,
        )
    return min(
        (one.rank for one in gates if not one.is_after and one.state is not GateState.GO), default=None
    )


def seat_for(
    gate: Gate, actor: Actor, eligible: frozenset[Actor], delegated: Mapping[Actor, frozenset[Actor]]
) -> Actor | None:
    """Return in whose right the actor decides: the actor's own, else that of whoever delegated to the actor.

    Of several who did, the first whose right is not used yet. None: the actor has no right to decide.
    """
    if actor in eligible:
        return actor
    seats = sorted(delegated.get(actor, frozenset()) & eligible)
    used = {one.seat for one in gate.counting}
    return next((one for one in seats if one not in used), seats[0] if seats else None)
