"""A launch: its states, and all that is known of it; `commands` says what can become of it."""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from gonogo.core import canonical
from gonogo.core.actor import Actor
from gonogo.core.errors import NotFoundError, TransitionNotAllowedError
from gonogo.core.event import LaunchFacts
from gonogo.core.gates import Gate
from gonogo.core.item import Item, Listed
from gonogo.core.plan import Question


class State(StrEnum):
    """Where a launch stands; the last five are final, but for a retry of FAILED."""

    PENDING_APPROVAL = "PENDING_APPROVAL"
    PENDING = "PENDING"
    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    TERMINATED = "TERMINATED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


Wanted = Literal["stop", "start", "terminate"]
InstanceState = Literal["pending", "running", "stopped", "terminated"]
Outcome = Literal["go", "no_go", "expired", "cancelled"]


class Resource(msgspec.Struct, frozen=True):
    """One thing that the engine made, by the engine's own id, and how it was last seen."""

    id: str
    state: InstanceState = "pending"
    changed_at: datetime | None = None


class Failure(msgspec.Struct, frozen=True):
    """Why it failed: the engine's own code and words."""

    code: str
    message: str
    attempt: int


class LaunchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a launch."""

    id: str
    state: State
    name: str | None
    template: str
    requester: Actor
    cost_center: str
    currency: str
    monthly: Decimal
    at: datetime


class Launch(Item, frozen=True, kw_only=True):
    """One launch request with its gates, decisions and history; its `nonce` is shown to nobody."""

    kind = "launch"

    state: State
    question: Question
    digest: str
    bundle: str
    groups: tuple[str, ...] = ()
    request_digest: str
    nonce: str = ""
    gates: tuple[Gate, ...]
    attempt: int = 1
    choice: int = 1
    cleared_at: datetime | None = None
    resources: tuple[Resource, ...] = ()
    failure: Failure | None = None
    wanted: Wanted | None = None
    wanted_by: Actor | None = None
    lease_ends_at: datetime | None = None

    @property
    def askers(self) -> frozenset[Actor]:
        """Whoever asked and whoever it is asked for: they never decide."""
        return frozenset(actor for actor in (self.question.requester, self.question.on_behalf_of) if actor)

    @property
    def approvers(self) -> tuple[Actor, ...]:
        """Whoever said go and still counts, in the order of the gates, each once."""
        return tuple(
            dict.fromkeys(
                one.actor for gate in self.gates for one in gate.counting if one.verdict == "approve"
            )
        )

    @property
    def facts(self) -> LaunchFacts:
        """What its events say of it."""
        question = self.question
        return LaunchFacts(
            id=self.id,
            state=self.state,
            name=question.name,
            template=question.plan.template,
            engine=question.plan.engine,
            region=question.plan.region,
            requester=question.requester,
            on_behalf_of=question.on_behalf_of,
            cost_center=question.cost_center,
            reason=question.reason,
            lease=question.lease,
            digest=self.digest,
            bundle=self.bundle,
            price=question.price,
        )

    def listed(self) -> Listed:
        """Stand in the feed of whoever asked, and under its state."""
        question = self.question
        return Listed(
            feed=f"requester#{question.requester.key}",
            state=self.state,
            summary=LaunchSummary(
                id=self.id,
                state=self.state,
                name=question.name,
                template=question.plan.template,
                requester=question.requester,
                cost_center=question.cost_center,
                currency=question.price.currency,
                monthly=question.price.monthly,
                at=self.at,
            ),
        )

    def gate(self, name: str) -> Gate:
        """Return the gate of this name.

        Raises:
            NotFoundError: the launch has no such gate.
        """
        for gate in self.gates:
            if gate.name == name:
                return gate
        raise NotFoundError(f"The launch has no gate {name!r}.")

    def require(self, command: str, *states: State) -> None:
        """Raise TransitionNotAllowedError unless the launch is in one of the states."""
        if self.state not in states:
            raise TransitionNotAllowedError(command, self.state)

    def client_token(self, part: int = 1) -> str:
        """Return the engine's idempotency token for this attempt: at most 64 ASCII characters, as EC2 asks.

        The launch's nonce is in it, which nobody is shown: whoever could guess the token could make something
        else under it first, to be taken for what was approved.
        """
        raw = canonical.fingerprint(
            self.id, self.nonce, self.digest, str(self.attempt), str(self.choice), str(part)
        )
        return "g-" + base64.b32encode(raw).decode().rstrip("=").lower()[:50]
