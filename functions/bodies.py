"""What the JSON API takes and gives: types of its own, which refuse fields that they do not know."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gonogo.core import duration
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.event import Event, Price, cloud_event
from gonogo.core.gates import Gate
from gonogo.core.launch import Failure, Launch, LaunchSummary, Resource
from gonogo.core.plan import LaunchRequest, Lease, Plan
from gonogo.ports import Page
from gonogo.service.read import InboxEntry
from gonogo.service.submit import Prepared

END = r"$(?!\n)"
"""The end of a text in Python and ECMA-262 alike: Python's `$` alone stands before a last line feed too."""

Line = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028\u2029]+" + END)
]
Text = Annotated[
    str, Meta(min_length=1, max_length=1000, pattern=r"^(?=[\s\S]*\S)[^\x00-\x08\x0b-\x1f\x7f-\x9f]+$")
]
CostCenter = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:/@+=-]{0,63}" + END)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}" + END)]
Verdict = Literal["approve", "reject", "revoke"]


class ActorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody, by issuer and subject as in their tokens."""

    issuer: Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[^#\s]+" + END)]
    subject: Annotated[str, Meta(min_length=1, max_length=255)]

    def actor(self) -> Actor:
        """Return the actor."""
        return Actor(self.issuer, self.subject)


class Submit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A launch request."""

    template: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}" + END)]
    parameters: dict[str, Any] = {}
    reason: Text
    cost_center: CostCenter
    name: Line | None = None
    lease: Annotated[str, Meta(pattern=duration.PATTERN)] | None = None
    on_behalf_of: ActorBody | None = None

    def request(self) -> LaunchRequest:
        """Return what is asked for."""
        return LaunchRequest(
            template=self.template,
            parameters=self.parameters,
            reason=self.reason,
            cost_center=self.cost_center,
            name=self.name,
            lease=self.lease,
            on_behalf_of=self.on_behalf_of.actor() if self.on_behalf_of else None,
        )


class Decide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody who is signed in says of a gate, of the digest that they were shown."""

    gate: Annotated[str, Meta(min_length=1, max_length=64)]
    verdict: Verdict
    digest: Digest
    comment: Text | None = None


class DecideByToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bearer of a token says of the gate that the token is for."""

    token: Annotated[str, Meta(max_length=4096)]
    verdict: Verdict
    comment: Text | None = None


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object; an empty body will do as well."""


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision; `void` says why it counts no longer."""

    actor: Actor
    verdict: Literal["approve", "reject"]
    at: datetime
    channel: str
    comment: str | None
    void: str | None


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate: who may decide it, who did, and what is missing."""

    name: str
    title: str
    stage: int
    state: str
    round: int
    quorum: int
    approvals: int
    approvers: tuple[Actor, ...]
    login: bool
    opened_at: datetime | None
    expires_at: datetime | None
    decisions: tuple[DecisionView, ...]


class LaunchView(msgspec.Struct, frozen=True, kw_only=True):
    """A launch as it is now."""

    id: str
    version: int
    state: str
    name: str | None
    template: str
    reason: str
    cost_center: str
    requester: Actor
    on_behalf_of: Actor | None
    lease: str
    plan: Plan
    price: Price
    digest: str
    bundle: str
    gates: tuple[GateView, ...]
    attempt: int
    resources: tuple[Resource, ...]
    failure: Failure | None
    wanted: str | None
    created_at: datetime
    updated_at: datetime
    cleared_at: datetime | None
    lease_ends_at: datetime | None


class LaunchPage(msgspec.Struct, frozen=True):
    """One page of launches, newest first; `cursor` asks for the next."""

    items: tuple[LaunchSummary, ...]
    cursor: str | None


class InboxView(msgspec.Struct, frozen=True, kw_only=True):
    """One gate that waits for whoever asks."""

    gate: GateView
    launch: LaunchView


class InboxPage(msgspec.Struct, frozen=True):
    """One page of what waits for whoever asks."""

    items: tuple[InboxView, ...]
    cursor: str | None


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the form that it has on the bus (CloudEvents 1.0)."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    dataschema: str
    seq: int
    data: dict[str, Any]


class History(msgspec.Struct, frozen=True):
    """All events of a launch, oldest first."""

    items: tuple[CloudEvent, ...]


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen to a request now; nothing is stored."""

    outcome: Literal["direct", "gates", "refused"]
    gates: tuple[GateView, ...]
    policies: tuple[str, ...]
    lease: str
    plan: Plan
    price: Price
    digest: str
    bundle: str


class TemplateView(msgspec.Struct, frozen=True, kw_only=True):
    """A template; `parameters` is a JSON Schema."""

    name: str
    title: str
    description: str
    engine: str
    region: str
    lease: Lease
    parameters: dict[str, Any]


class Templates(msgspec.Struct, frozen=True):
    """What may be asked for."""

    items: tuple[TemplateView, ...]


class GateRuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate as the policy has it."""

    name: str
    title: str
    kind: str
    stage: int
    quorum: int
    expires_after: str
    login: bool


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force: its digest, its gates, and the text of its policies."""

    bundle: str
    gates: tuple[GateRuleView, ...]
    groups: dict[str, str]
    policies: str
    price_version: str


class Health(msgspec.Struct, frozen=True):
    """That the function answers, and which version it is."""

    state: Literal["ok"]
    version: str


class FaultView(msgspec.Struct, frozen=True):
    """One broken rule; `pointer` is an RFC 6901 JSON pointer into the body, or a parameter's name."""

    pointer: str
    rule: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why not (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FaultView, ...] = ()


def gate_view(gate: Gate) -> GateView:
    """Show a gate."""
    return GateView(
        name=gate.name,
        title=gate.title,
        stage=gate.stage,
        state=gate.state,
        round=gate.round,
        quorum=gate.quorum,
        approvals=gate.approvals,
        approvers=gate.approvers,
        login=gate.login,
        opened_at=gate.opened_at,
        expires_at=gate.expires_at,
        decisions=tuple(
            DecisionView(
                actor=one.actor,
                verdict=one.verdict,
                at=one.at,
                channel=one.channel,
                comment=one.comment,
                void=one.void,
            )
            for one in gate.decisions
        ),
    )


def launch_view(launch: Launch) -> LaunchView:
    """Show a launch."""
    question = launch.question
    return LaunchView(
        id=launch.id,
        version=launch.version,
        state=launch.state,
        name=question.name,
        template=question.plan.template,
        reason=question.reason,
        cost_center=question.cost_center,
        requester=question.requester,
        on_behalf_of=question.on_behalf_of,
        lease=question.lease,
        plan=question.plan,
        price=question.price,
        digest=launch.digest,
        bundle=launch.bundle,
        gates=tuple(gate_view(gate) for gate in launch.gates),
        attempt=launch.attempt,
        resources=launch.resources,
        failure=launch.failure,
        wanted=launch.wanted,
        created_at=launch.at,
        updated_at=launch.updated_at,
        cleared_at=launch.cleared_at,
        lease_ends_at=launch.lease_ends_at,
    )


def launch_page(page: Page) -> LaunchPage:
    """Show a page of launches."""
    return LaunchPage(page.items, page.cursor)


def inbox_page(page: Page) -> InboxPage:
    """Show a page of an inbox."""
    entries: tuple[InboxEntry, ...] = page.items
    return InboxPage(
        tuple(InboxView(gate=gate_view(one.gate), launch=launch_view(one.launch)) for one in entries),
        page.cursor,
    )


def history(launch_id: str, events: list[Event]) -> History:
    """Show a history."""
    return History(tuple(msgspec.convert(cloud_event(launch_id, one), CloudEvent) for one in events))


def dry_run(prepared: Prepared) -> DryRun:
    """Show what would happen."""
    question = prepared.question
    return DryRun(
        outcome=prepared.judgement.outcome,
        gates=tuple(gate_view(gate) for gate in prepared.gates),
        policies=prepared.judgement.policies,
        lease=question.lease,
        plan=question.plan,
        price=question.price,
        digest=question.digest,
        bundle=prepared.bundle,
    )


def templates(bundle: Bundle) -> Templates:
    """Show what may be asked for."""
    return Templates(
        tuple(
            TemplateView(
                name=name,
                title=one.title,
                description=one.description,
                engine=one.engine,
                region=one.region,
                lease=one.lease,
                parameters=one.parameters,
            )
            for name, one in bundle.templates.items()
        )
    )


def policy_view(bundle: Bundle) -> PolicyView:
    """Show the policy, without how people are reached."""
    return PolicyView(
        bundle=bundle.digest,
        gates=tuple(
            GateRuleView(
                name=name,
                title=one.title,
                kind=one.kind,
                stage=one.stage,
                quorum=one.quorum,
                expires_after=one.expires_after,
                login=one.login,
            )
            for name, one in bundle.gates.items()
        ),
        groups=bundle.groups,
        policies=bundle.files["policies.cedar"],
        price_version=bundle.prices.version,
    )
