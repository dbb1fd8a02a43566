"""A launch: its states, and all that is known of it; `commands` says what can become of it."""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from gonogo.core import canonical
from gonogo.core.actor import Actor
from gonogo.core.errors import NotFoundError, TransitionNotAllowedError
from gonogo.core.event import LaunchFacts
from gonogo.core.gates import Gate
from gonogo.core.item import Item, Listed
from gonogo.core.plan import Plan, Question
from gonogo.core.states import TABLE, Command, State

Wanted = Literal["stop", "start", "terminate"]
InstanceState = Literal["pending", "running", "stopped", "terminated"]
Outcome = Literal["go", "no_go", "expired", "cancelled", "escalated", "amended"]


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


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of a choice before the engine said no: it is terminated before anything else is tried.

    `full` says that it was for want of capacity, so that the next choice may do.
    """

    resources: tuple[str, ...]
    code: str
    message: str
    full: bool


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What an approver of `gate` would say go to instead: less, or for a shorter time."""

    gate: str
    actor: Actor
    question: Question
    digest: str
    at: datetime
    comment: str | None = None


class Promise(msgspec.Struct, frozen=True):
    """Whose offer was accepted: when the gate opens, the actor has said go to just this digest."""

    gate: str
    actor: Actor
    digest: str


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
    """One launch request with its gates, decisions and history; its `nonce` is shown to nobody.

    It waits until `waits_until` at the latest. `was` is what was asked before it was amended, `offers` what
    approvers would say go to instead, `tells` the groups that are told of a broken glass, `holds`
    whether it holds something of a budget, `rounds` the highest round of the gates that an amendment replaced.
    The end of its lease is told `warns` seconds ahead, once `warned`. `undo` is what is being taken back,
    `rolled_back` all that ever was: it ran too.
    """

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
    started_at: datetime | None = None
    waits_until: datetime | None = None
    owners: tuple[Actor, ...] = ()
    amended_by: tuple[Actor, ...] = ()
    was: Question | None = None
    offers: tuple[Offer, ...] = ()
    promised: tuple[Promise, ...] = ()
    tells: tuple[str, ...] = ()
    holds: bool = False
    rounds: int = 0
    undo: Undo | None = None
    rolled_back: tuple[str, ...] = ()
    warns: int = 0
    warned: bool = False

    @property
    def askers(self) -> frozenset[Actor]:
        """Whoever asked and whoever it is asked for."""
        return frozenset(actor for actor in (self.question.requester, self.question.on_behalf_of) if actor)

    @property
    def barred(self) -> frozenset[Actor]:
        """Whoever never decides: who asked, for whom, who changed it, and who owns a service among them."""
        return self.askers | frozenset(self.owners) | frozenset(self.amended_by)

    @property
    def reviews(self) -> tuple[Gate, ...]:
        """The gates that review a broken glass; none where the glass is whole."""
        if not self.question.break_glass:
            return ()
        return tuple(one for one in self.gates if one.is_after and one.kind == "human")

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

    def offer(self, digest: str) -> Offer:
        """Return the offer of this digest.

        Raises:
            NotFoundError: nobody has made it, or the launch has been amended since.
        """
        for offer in self.offers:
            if offer.digest == digest:
                return offer
        raise NotFoundError("The launch has no such offer: it may have been amended since.")

    def require(self, command: Command) -> None:
        """Raise TransitionNotAllowedError unless the table allows the command in this state."""
        rule = TABLE[command]
        if self.state not in rule.leads:
            raise TransitionNotAllowedError(rule.words, self.state)

    @property
    def plan(self) -> Plan:
        """What the engine gets: the plan, of the choice that is tried or was made."""
        return self.question.plan.chosen(self.choice)

    def client_token(self) -> str:
        """Return the engine's idempotency token for this attempt and choice: 52 ASCII characters; EC2 takes 64.

        The launch's nonce is in it, which nobody is shown: whoever could guess the token could make something
        else under it first, to be taken for what was approved.
        """
        raw = canonical.fingerprint(
            self.id, self.nonce, self.digest, str(self.attempt), str(self.choice), "1"
        )
        return "g-" + base64.b32encode(raw).decode().lower()[:50]

    def made_with(self, token: str) -> bool:
        """Tell whether an engine's token is this attempt's, or one of its parts' (`TOKEN-2`)."""
        ours = self.client_token()
        return token == ours or (token.startswith(f"{ours}-") and token[len(ours) + 1 :].isdecimal())
