"""Who must say go: gates, decisions, and what they add up to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from gonogo.core import duration
from gonogo.core.actor import Actor
from gonogo.core.errors import AlreadyDecidedError, GateNotOpenError

Verdict = Literal["approve", "reject"]
Channel = Literal["api", "link", "webhook"]


REVOKED = "revoked"
"""Why a decision counts no longer when its actor took it back."""


class GateState(StrEnum):
    """Where a gate stands."""

    WAITING = "WAITING"
    OPEN = "OPEN"
    GO = "GO"
    NO_GO = "NO_GO"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one actor said of one gate for one digest; `void` says why it counts no longer, if so."""

    actor: Actor
    verdict: Verdict
    digest: str
    round: int
    at: datetime
    channel: Channel
    comment: str | None = None
    void: str | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One gate of one launch. Its rules were copied from the bundle that judged the launch.

    `approvers` may decide it, as policy said when the launch was judged; policy is asked again at each
    decision and at the launch. `round` rises each time the gate opens again.
    """

    name: str
    title: str
    stage: int
    quorum: int
    expires_after: str
    login: bool
    approvers: tuple[Actor, ...]
    state: GateState = GateState.WAITING
    round: int = 0
    opened_at: datetime | None = None
    expires_at: datetime | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def counting(self) -> tuple[Decision, ...]:
        """The decisions that count now: at most one of each actor."""
        return tuple(one for one in self.decisions if one.void is None)

    @property
    def approvals(self) -> int:
        """How many actors said go."""
        return sum(one.verdict == "approve" for one in self.counting)

    def decision_of(self, actor: Actor) -> Decision | None:
        """Return the decision of this actor that counts, if there is one."""
        return next((one for one in self.counting if one.actor == actor), None)

    def took_back(self, actor: Actor) -> bool:
        """Tell whether what this actor said last was taken back by the actor."""
        return any(one.actor == actor and one.void == REVOKED for one in self.decisions)

    def opened(self, at: datetime) -> Gate:
        """Return the gate open for a new round; the clock starts now."""
        return msgspec.structs.replace(
            self,
            state=GateState.OPEN,
            round=self.round + 1,
            opened_at=at,
            expires_at=at + duration.parse(self.expires_after),
        )

    def decided(self, decision: Decision) -> Gate:
        """Return the gate with the decision; the same gate where the actor has said just that already.

        What the same actor said before, and took back, makes room: a gate keeps one decision of each.

        Raises:
            AlreadyDecidedError: the actor has said the opposite.
            GateNotOpenError: the gate takes no decisions.
        """
        before = self.decision_of(decision.actor)
        if before is not None:
            if before.verdict != decision.verdict:
                raise AlreadyDecidedError(self.name, before.verdict)
            return self
        if self.state is not GateState.OPEN or self.expires_at is None:
            raise GateNotOpenError(self.name, self.state)
        if decision.at >= self.expires_at:
            raise GateNotOpenError(self.name, GateState.EXPIRED)
        others = (one for one in self.decisions if one.actor != decision.actor)
        return msgspec.structs.replace(self, decisions=(*others, decision)).tallied()

    def tallied(self) -> Gate:
        """Return the gate closed if its decisions add up to GO or NO_GO: one no is enough."""
        if any(one.verdict == "reject" for one in self.counting):
            return self.closed(GateState.NO_GO)
        if self.approvals >= self.quorum:
            return self.closed(GateState.GO)
        return self

    def closed(self, state: GateState) -> Gate:
        """Return the gate closed with this outcome."""
        return msgspec.structs.replace(self, state=state)

    def short_of_quorum(self) -> Gate:
        """Return the gate waiting for its stage to open it again, if it was GO and is so no longer."""
        if self.state is GateState.GO and self.approvals < self.quorum:
            return msgspec.structs.replace(self, state=GateState.WAITING)
        return self

    def voided(self, actors: frozenset[Actor], why: str) -> Gate:
        """Return the gate with the decisions of these actors kept, but counting no longer."""
        return msgspec.structs.replace(
            self,
            decisions=tuple(
                msgspec.structs.replace(one, void=why) if one.void is None and one.actor in actors else one
                for one in self.decisions
            ),
        )

    def lost(self, actors: frozenset[Actor]) -> Gate:
        """Return the gate without these actors' authority: what they decided is kept, but does not count."""
        gate = self.voided(actors, "may decide this gate no longer")
        return msgspec.structs.replace(
            gate, approvers=tuple(actor for actor in gate.approvers if actor not in actors)
        )


def stage_to_open(gates: tuple[Gate, ...]) -> int | None:
    """Return the stage whose gates must be open now: the first that is not all GO; none when all are."""
    return min((gate.stage for gate in gates if gate.state is not GateState.GO), default=None)
