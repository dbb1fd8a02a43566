"""What the JSON API takes and gives: types of its own, which refuse fields that they do not know."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import Channel, Topic
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.event import Change, Event, Price, cloud_event
from gonogo.core.gates import Gate, Note
from gonogo.core.launch import Failure, Launch, LaunchSummary, Offer, Resource
from gonogo.core.plan import NEVER, LaunchRequest, Lease, Plan, changes
from gonogo.core.window import Window
from gonogo.ports import Page
from gonogo.service import decide, report
from gonogo.service.amend import Changes
from gonogo.service.deliveries import Told
from gonogo.service.read import InboxEntry
from gonogo.service.submit import Prepared
from gonogo.service.why import Why

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
Verdict = Literal["approve", "reject", "revoke", "pass", "fail"]
Moment = Annotated[datetime, Meta(tz=True)]
Until = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
        rf"|{NEVER})" + END
    ),
]
"""A time as RFC 3339 has it, or `never`."""
ResourceId = Annotated[str, Meta(pattern=r"^[!-~]{1,128}" + END)]
GateName = Annotated[str, Meta(min_length=1, max_length=64)]
LeaseText = Annotated[str, Meta(pattern=rf"^([1-9][0-9]{{0,6}}[smhdw]|{NEVER})" + END)]
"""A length of time such as 8h or 30d, or `never` for without an end."""
VERDICTS: dict[Verdict, decide.Verdict] = {
    "approve": "approve",
    "reject": "reject",
    "revoke": "revoke",
    "pass": "approve",
    "fail": "reject",
}
"""What each verdict is: systems say pass and fail."""
MOST_FILES = 200
FilePath = Annotated[
    str, Meta(max_length=200, pattern=r"^(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*" + END)
]


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
    lease: LeaseText | None = None
    on_behalf_of: ActorBody | None = None
    launch_by: Moment | None = None
    break_glass: bool = False

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
            launch_by=self.launch_by,
            break_glass=self.break_glass,
        )


class Amend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise; what is left out stays. A parameter that is null goes back to its default.

    With `digest` it is amended only if it still is what whoever amends was shown.
    """

    parameters: dict[str, Any] | None = None
    lease: LeaseText | None = None
    reason: Text | None = None
    cost_center: CostCenter | None = None
    name: Line | None = None
    launch_by: Moment | None = None
    digest: Digest | None = None

    def changes(self) -> Changes:
        """Return what is asked for."""
        return Changes(
            parameters=self.parameters,
            lease=self.lease,
            reason=self.reason,
            cost_center=self.cost_center,
            name=self.name,
            launch_by=self.launch_by,
        )


class MakeOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To what less an approver of an open gate would say go, having been shown this digest."""

    gate: GateName
    digest: Digest
    parameters: dict[str, Any] | None = None
    lease: LeaseText | None = None
    comment: Text | None = None

    def changes(self) -> Changes:
        """Return what is offered."""
        return Changes(parameters=self.parameters, lease=self.lease)


class Accept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which offer is accepted, by its digest."""

    digest: Digest


class Extend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when it is to run, RFC 3339 or `never`; and why, if that is not why it was launched."""

    until: Until
    reason: Text | None = None

    def end(self) -> datetime | None:
        """Return until when; None for without an end.

        Raises:
            InvalidError: it is no time that there is.
        """
        if self.until == NEVER:
            return None
        try:
            return msgspec.convert(self.until, Moment)
        except msgspec.ValidationError as error:
            raise InvalidError(Fault("/until", "moment", f"is no time: {error}")) from error


class MakeReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a launch, says the outside system that launches it: of this digest, and of this attempt.

    `resources` are its own ids of what it made, `code` and `message` say why it failed.
    """

    digest: Digest
    outcome: report.Outcome
    attempt: Annotated[int, Meta(ge=1)] | None = None
    resources: Annotated[tuple[ResourceId, ...], Meta(max_length=100)] = ()
    code: Line = "Reported"
    message: Text = "The outside system reports that it failed."

    def report(self) -> report.Report:
        """Return what is reported."""
        return report.Report(
            digest=self.digest,
            outcome=self.outcome,
            attempt=self.attempt,
            resources=self.resources,
            code=self.code,
            message=self.message,
        )


class MakeNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a hook is, for everybody to read; it decides nothing."""

    gate: GateName
    text: Text


class Delegate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who decides in somebody's place, until when; from now on, if `since` is left out."""

    to: ActorBody
    until: Moment
    since: Moment | None = None


class PutPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another policy: its files by path, as text, and why."""

    files: Annotated[dict[FilePath, str], Meta(min_length=1, max_length=MOST_FILES)]
    reason: Text


class Decide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody who is signed in says of a gate, of the digest that they were shown."""

    gate: GateName
    verdict: Verdict
    digest: Digest
    comment: Text | None = None


class DecideByToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bearer of a token says of the gate that the token is for: a verdict, or a hook's progress note."""

    token: Annotated[str, Meta(max_length=4096)]
    verdict: Verdict | None = None
    note: Text | None = None
    comment: Text | None = None


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object; an empty body will do as well."""


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision; `void` says why it counts no longer, `instead_of` in whose place it was made."""

    actor: Actor
    instead_of: Actor | None
    valid_until: datetime | None
    verdict: Literal["approve", "reject"]
    at: datetime
    channel: str
    comment: str | None
    void: str | None


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate: who or what may decide it, who did, what is missing, and when the clock does what to it.

    `passed` says why it is GO without decisions, `why` why it opened again.
    """

    name: str
    title: str
    kind: str
    place: str
    stage: int
    state: str
    round: int
    quorum: int
    approvals: int
    reject_quorum: int
    rejections: int
    approvers: tuple[Actor, ...]
    services: bool
    login: bool
    on_expiry: str
    on_reject: str
    opened_at: datetime | None
    expires_at: datetime | None
    goes_at: datetime | None
    remind_at: datetime | None
    escalate_at: datetime | None
    escalated: bool
    passed: str | None
    why: str | None
    notes: tuple[Note, ...]
    decisions: tuple[DecisionView, ...]


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """What an approver would say go to instead, and what would change by it; accepted by its digest."""

    gate: str
    actor: Actor
    digest: str
    at: datetime
    comment: str | None
    lease: str
    price: Price
    changes: tuple[Change, ...]


class LaunchView(msgspec.Struct, frozen=True, kw_only=True):
    """A launch as it is now; `changes` is what was amended last, `groups` what the asker's token stood for."""

    id: str
    version: int
    state: str
    name: str | None
    template: str
    reason: str
    cost_center: str
    requester: Actor
    on_behalf_of: Actor | None
    groups: tuple[str, ...]
    break_glass: bool
    lease: str
    plan: Plan
    price: Price
    digest: str
    bundle: str
    gates: tuple[GateView, ...]
    amended_by: tuple[Actor, ...]
    changes: tuple[Change, ...]
    offers: tuple[OfferView, ...]
    attempt: int
    resources: tuple[Resource, ...]
    failure: Failure | None
    wanted: str | None
    created_at: datetime
    updated_at: datetime
    waits_until: datetime | None
    launch_by: datetime | None
    cleared_at: datetime | None
    started_at: datetime | None
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


class SendingView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a notice is on one channel: `next_try_at` is when it is tried again, if it waits for that.

    `error` says what went wrong last, in our own words or AWS's and never in a receiver's; it is null where nothing
    did, or where the reader may not know.
    """

    channel: Channel
    state: Literal["waiting", "claimed", "sent", "failed"]
    tries: int
    next_try_at: datetime | None
    error: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One notice: to whom, of what, and how far it is on each channel. `launch` is null where it is of a delegation."""

    id: str
    at: datetime
    updated_at: datetime
    to: Actor
    topic: Topic
    launch: str | None
    gate: str | None
    channels: tuple[SendingView, ...]


class DeliveryPage(msgspec.Struct, frozen=True):
    """One page of notices."""

    items: tuple[DeliveryView, ...]
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
    hash: str
    prevhash: str | msgspec.UnsetType = msgspec.UNSET


class History(msgspec.Struct, frozen=True):
    """All events of a launch, oldest first; `head` is the hash that the last one must have, if it was kept."""

    items: tuple[CloudEvent, ...]
    head: str | None = None


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """How a launch would stand to its cost center's budget, in the month (UTC) where it is tightest."""

    cost_center: str
    month: str
    limit: Decimal
    committed: Decimal
    estimate: Decimal
    remaining: Decimal
    overrun: bool


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen to a request now; nothing is stored. `tells` are the groups told of a broken glass."""

    outcome: Literal["direct", "gates", "break_glass", "refused"]
    gates: tuple[GateView, ...]
    policies: tuple[str, ...]
    tells: tuple[str, ...]
    budget: BudgetView | None
    launch_by: datetime | None
    lease: str
    plan: Plan
    price: Price
    digest: str
    bundle: str


class DecidersView(msgspec.Struct, frozen=True, kw_only=True):
    """One gate: who can still decide it, in whose place, who did, and how many more must say go."""

    gate: GateView
    can: tuple[Actor, ...]
    instead: tuple[InsteadView, ...]
    missing: int
    waits_for: str
    until: datetime | None


class InsteadView(msgspec.Struct, frozen=True):
    """Somebody who may decide in the place of others."""

    actor: Actor
    instead_of: tuple[Actor, ...]


class YouView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether whoever asks can decide a gate now; if not, why not."""

    gate: str
    can: bool
    why_not: str | None


class WhyView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a launch waits: which policies matched, and for each gate who can decide it, who did, what is missing."""

    id: str
    state: str
    outcome: str
    policies: tuple[str, ...]
    gates: tuple[DecidersView, ...]
    you: tuple[YouView, ...]
    budget: BudgetView | None
    waits_until: datetime | None
    launch_by: datetime | None


class DelegationView(msgspec.Struct, frozen=True, kw_only=True):
    """From `since` until `until`, `to` may decide in `actor`'s place; `by` said so."""

    actor: Actor
    to: Actor
    since: datetime
    until: datetime
    by: Actor
    in_force: bool


class PolicyDiff(msgspec.Struct, frozen=True):
    """What a change of policy changes: by file, a unified diff."""

    files: dict[str, str]


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
    place: str
    stage: int
    quorum: int
    reject_quorum: int
    services: bool
    expires_after: str
    login: bool
    remind_every: str | None
    escalate_after: str | None
    escalate_to: str | None
    valid_for: str | None
    on_expiry: str | None
    on_reject: str
    wait: str | None
    window: Window | None


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """A policy: its digest, its gates, and the text of its policies."""

    bundle: str
    gates: tuple[GateRuleView, ...]
    groups: dict[str, str]
    policies: str
    price_version: str


class Health(msgspec.Struct, frozen=True):
    """That the function answers, which version it is, and in which epoch.

    `launching` is false until it is known what was made in the time that a restore of the table lost.
    """

    state: Literal["ok"]
    version: str
    epoch: int
    launching: bool


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
        kind=gate.kind,
        place=gate.place,
        stage=gate.stage,
        state=gate.state,
        round=gate.round,
        quorum=gate.quorum,
        approvals=gate.approvals,
        reject_quorum=gate.reject_quorum,
        rejections=gate.rejections,
        approvers=gate.approvers,
        services=gate.services,
        login=gate.login,
        on_expiry=gate.on_expiry,
        on_reject=gate.on_reject,
        opened_at=gate.opened_at,
        expires_at=gate.expires_at,
        goes_at=gate.goes_at,
        remind_at=gate.remind_at,
        escalate_at=gate.escalate_at,
        escalated=gate.escalated,
        passed=gate.passed,
        why=gate.why,
        notes=gate.notes,
        decisions=tuple(
            DecisionView(
                actor=one.actor,
                instead_of=one.instead_of,
                valid_until=gate.valid_until(one),
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
        groups=launch.groups,
        break_glass=question.break_glass,
        lease=question.lease,
        plan=question.plan,
        price=question.price,
        digest=launch.digest,
        bundle=launch.bundle,
        gates=tuple(gate_view(gate) for gate in launch.gates),
        amended_by=launch.amended_by,
        changes=changes(launch.was, question) if launch.was is not None else (),
        offers=tuple(_offer_view(launch, one) for one in launch.offers),
        attempt=launch.attempt,
        resources=launch.resources,
        failure=launch.failure,
        wanted=launch.wanted,
        created_at=launch.at,
        updated_at=launch.updated_at,
        waits_until=launch.waits_until,
        launch_by=question.launch_by,
        cleared_at=launch.cleared_at,
        started_at=launch.started_at,
        lease_ends_at=launch.lease_ends_at,
    )


def _offer_view(launch: Launch, offer: Offer) -> OfferView:
    return OfferView(
        gate=offer.gate,
        actor=offer.actor,
        digest=offer.digest,
        at=offer.at,
        comment=offer.comment,
        lease=offer.question.lease,
        price=offer.question.price,
        changes=changes(launch.question, offer.question),
    )


def _budget_view(standing: Standing | None) -> BudgetView | None:
    if standing is None:
        return None
    return BudgetView(
        cost_center=standing.cost_center,
        month=standing.month,
        limit=standing.limit,
        committed=standing.committed,
        estimate=standing.estimate,
        remaining=standing.remaining,
        overrun=standing.overruns,
    )


def why_view(why: Why) -> WhyView:
    """Show why a launch waits."""
    launch = why.launch
    return WhyView(
        id=launch.id,
        state=launch.state,
        outcome=why.outcome,
        policies=why.policies,
        gates=tuple(
            DecidersView(
                gate=gate_view(one.gate),
                can=one.can,
                instead=tuple(InsteadView(Actor.parse(key), whom) for key, whom in one.instead.items()),
                missing=one.missing,
                waits_for=one.waits_for,
                until=one.until,
            )
            for one in why.gates
        ),
        you=tuple(YouView(gate=one.gate, can=one.can, why_not=one.why_not) for one in why.you),
        budget=_budget_view(why.budget),
        waits_until=launch.waits_until,
        launch_by=launch.question.launch_by,
    )


def delegation_view(delegation: Delegation, now: datetime) -> DelegationView:
    """Show who decides in somebody's place."""
    return DelegationView(
        actor=delegation.actor,
        to=delegation.to,
        since=delegation.since,
        until=delegation.until,
        by=delegation.by,
        in_force=delegation.holds(now),
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


def delivery_view(told: Told) -> DeliveryView:
    """Show one notice."""
    this = told.delivery
    return DeliveryView(
        id=this.id,
        at=this.at,
        updated_at=this.updated_at,
        to=this.actor,
        topic=this.topic,
        launch=this.launch or None,
        gate=this.gate,
        channels=tuple(
            SendingView(
                channel=channel,
                state=one.state,
                tries=one.tries,
                next_try_at=one.not_before if one.state == "waiting" else None,
                error=one.error if told.shows_errors else None,
            )
            for channel, one in this.channels.items()
        ),
    )


def delivery_page(page: Page) -> DeliveryPage:
    """Show a page of notices."""
    return DeliveryPage(tuple(delivery_view(one) for one in page.items), page.cursor)


def history(launch_id: str, events: list[Event], head: str | None) -> History:
    """Show a history."""
    return History(tuple(msgspec.convert(cloud_event(launch_id, one), CloudEvent) for one in events), head)


def dry_run(prepared: Prepared) -> DryRun:
    """Show what would happen."""
    question = prepared.question
    return DryRun(
        outcome=prepared.judgement.outcome,
        gates=tuple(gate_view(gate) for gate in prepared.gates),
        policies=prepared.judgement.policies,
        tells=prepared.judgement.tells,
        budget=_budget_view(prepared.budget),
        launch_by=question.launch_by,
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
                place=one.stands,
                stage=one.stage,
                quorum=one.quorum,
                reject_quorum=one.reject_quorum,
                services=one.services,
                expires_after=one.expires_after,
                login=one.login,
                remind_every=one.remind_every,
                escalate_after=one.escalate_after,
                escalate_to=one.escalate_to,
                valid_for=one.valid_for,
                on_expiry=one.on_expiry,
                on_reject=one.on_reject,
                wait=one.wait,
                window=one.window,
            )
            for name, one in bundle.gates.items()
        ),
        groups=bundle.groups,
        policies=bundle.files["policies.cedar"],
        price_version=bundle.prices.version,
    )
