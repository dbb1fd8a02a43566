"""What happened: every event that gonogo tells others, and its form on the bus."""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from gonogo.core.actor import Actor

SOURCE = "gonogo"
KEEP = 64
"""How many events an item keeps; the oldest half is put aside before it would keep more."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of an item's history; `seq` counts without gaps, per item: from 1, and anew in each epoch.

    `prev` is the hash of the entry before (see `hash_of`), so that none can be changed or taken away unseen.
    """

    seq: int
    type: str
    at: datetime
    data: dict[str, Any]
    prev: str | None = None


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says; the subclass names the event."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values, as they are read again: money as decimal strings, times as RFC 3339."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate in `currency`: per hour, per month of 730 hours, and for the whole lease."""

    currency: str
    version: str
    hourly: Decimal
    monthly: Decimal
    worst_case: Decimal


class LaunchFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What every launch event says of its launch, so that a rule engine or a biller need not call back."""

    id: str
    state: str
    name: str | None
    template: str
    engine: str
    region: str
    requester: Actor
    on_behalf_of: Actor | None
    cost_center: str
    reason: str
    lease: str
    digest: str
    bundle: str
    price: Price


class LaunchData(Data, frozen=True, kw_only=True):
    """What happened to one launch."""

    launch: LaunchFacts


class LaunchRequested(LaunchData, frozen=True, kw_only=True):
    """Somebody asked; `gates` must say go, none for a direct launch."""

    type = "launch.requested"
    gates: tuple[str, ...]
    break_glass: bool = False


class LaunchAwaitingApproval(LaunchData, frozen=True, kw_only=True):
    """The launch waits for its gates."""

    type = "launch.awaiting_approval"
    gates: tuple[str, ...]


class GateOpened(LaunchData, frozen=True, kw_only=True):
    """A gate takes decisions until `expires_at`, from any `quorum` of `approvers`; a timer goes at `goes_at`.

    `why` says why it opens again, where it was GO before.
    """

    type = "gate.opened"
    gate: str
    stage: int
    round: int
    quorum: int
    approvers: tuple[Actor, ...]
    expires_at: datetime | None
    kind: Literal["human", "hook", "timer"] = "human"
    place: Literal["before_approval", "approval", "before_launch", "after_launch"] = "approval"
    goes_at: datetime | None = None
    why: str | None = None


class GateDecided(LaunchData, frozen=True, kw_only=True):
    """One actor decided; `approvals` of `quorum` are in."""

    type = "gate.decided"
    gate: str
    round: int
    actor: Actor
    verdict: Literal["approve", "reject", "revoke"]
    channel: Literal["api", "link", "webhook", "offer"]
    approvals: int
    quorum: int
    instead_of: Actor | None = None


class GateNoted(LaunchData, frozen=True, kw_only=True):
    """A hook says how far it is; that decides nothing."""

    type = "gate.noted"
    gate: str
    round: int
    actor: Actor
    note: str


class GateEscalated(LaunchData, frozen=True, kw_only=True):
    """Nobody decided in time, so these `approvers` may decide too; or decide in a hook's stead."""

    type = "gate.escalated"
    gate: str
    round: int
    to: str
    approvers: tuple[Actor, ...]


class ApproverReminded(LaunchData, frozen=True, kw_only=True):
    """An open gate is reminded of, for the `number`th time in this round."""

    type = "approver.reminded"
    gate: str
    round: int
    number: int


class GateClosed(LaunchData, frozen=True, kw_only=True):
    """The gate takes no more decisions in this round."""

    type = "gate.closed"
    gate: str
    round: int
    outcome: Literal["go", "no_go", "expired", "cancelled", "escalated", "amended"]
    passed: str | None = None


class Change(msgspec.Struct, frozen=True):
    """One thing that differs between two versions of what is asked; None where it stands in one only."""

    path: str
    before: str | None
    after: str | None


class LaunchAmended(LaunchData, frozen=True, kw_only=True):
    """Whoever asked changed it: another plan and digest, all decisions void, the gates judged anew."""

    type = "launch.amended"
    actor: Actor
    previous: str
    changes: tuple[Change, ...]
    gates: tuple[str, ...]


class LaunchOffered(LaunchData, frozen=True, kw_only=True):
    """An approver would say go to less; whoever asked may accept `offer`, the digest of that, in one step."""

    type = "launch.offered"
    gate: str
    actor: Actor
    offer: str
    changes: tuple[Change, ...]
    price: Price


class GlassBroken(LaunchData, frozen=True, kw_only=True):
    """Somebody launches at once in an emergency: these groups are told, and `gates` review it afterwards."""

    type = "glass.broken"
    actor: Actor
    groups: tuple[str, ...]
    gates: tuple[str, ...]


class LaunchCleared(LaunchData, frozen=True, kw_only=True):
    """Every gate is GO, or none was needed: the launcher's cue."""

    type = "launch.cleared"
    approvers: tuple[Actor, ...]
    attempt: int


class LaunchChangeRequested(LaunchData, frozen=True, kw_only=True):
    """Somebody wants it stopped, started or terminated: the launcher's other cue."""

    type = "launch.change_requested"
    wanted: Literal["stop", "start", "terminate"]
    actor: Actor


class LaunchChangeFailed(LaunchData, frozen=True, kw_only=True):
    """The engine refused the wanted change, in its own words; the launch is as it was."""

    type = "launch.change_failed"
    wanted: Literal["stop", "start", "terminate"]
    code: str
    message: str


class LaunchRejected(LaunchData, frozen=True, kw_only=True):
    """A gate is NO-GO."""

    type = "launch.rejected"
    gate: str
    actor: Actor


class LaunchExpired(LaunchData, frozen=True, kw_only=True):
    """A gate was not decided in time, or the launch itself came too late: then `gate` is null."""

    type = "launch.expired"
    gate: str | None
    why: str | None = None


class LaunchCancelled(LaunchData, frozen=True, kw_only=True):
    """Whoever asked wants it no longer."""

    type = "launch.cancelled"
    actor: Actor


class LaunchStarted(LaunchData, frozen=True, kw_only=True):
    """The engine made these resources, exactly as approved; `choice` of the approved list."""

    type = "launch.started"
    approvers: tuple[Actor, ...]
    attempt: int
    resources: tuple[str, ...]
    choice: int = 1


class LaunchAttemptFailed(LaunchData, frozen=True, kw_only=True):
    """One choice of the approved plan could not be made, in the engine's words; the launch goes on.

    What was `made` of it before is terminated again, or kept where the plan says `partial`.
    """

    type = "launch.attempt_failed"
    attempt: int
    choice: int
    code: str
    message: str
    made: tuple[str, ...]


class LaunchFailed(LaunchData, frozen=True, kw_only=True):
    """The engine refused, in its own words, or authority was lost before the launch."""

    type = "launch.failed"
    attempt: int
    code: str
    message: str
    choice: int = 1


class LaunchStopped(LaunchData, frozen=True, kw_only=True):
    """None of its instances runs, and one could be started."""

    type = "launch.stopped"


class LaunchTerminated(LaunchData, frozen=True, kw_only=True):
    """All of its instances are gone."""

    type = "launch.terminated"


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What a biller needs of one instance: what it is, what it costs, who pays, who said yes.

    What another engine than ec2 made is an instance too: a stack, an execution, or what an outside system made.
    """

    instance: str
    region: str
    instance_type: str
    launch: str
    name: str | None
    template: str
    digest: str
    requester: Actor
    on_behalf_of: Actor | None
    approvers: tuple[Actor, ...]
    cost_center: str
    currency: str
    price_version: str
    hourly: Decimal
    engine: str = "ec2"
    account: str | None = None
    image: str | None = None


class InstanceData(Metered, Data, frozen=True, kw_only=True):
    """What became of one instance, and when; an `account` is named where it is not gonogo's own."""

    changed_at: datetime


StopSource = Literal["event", "reconciled", "vanished", "reported"]
"""Who says that it ended: EC2, a look at it, its not being there any more, or an outside system."""


class InstanceStarted(InstanceData, frozen=True, kw_only=True):
    """It runs, from `changed_at` on."""

    type = "instance.started"


class InstanceStopped(InstanceData, frozen=True, kw_only=True):
    """It is stopped, from `changed_at` on."""

    type = "instance.stopped"
    stop_source: StopSource = "event"


class InstanceTerminated(InstanceData, frozen=True, kw_only=True):
    """It is gone, from `changed_at` on."""

    type = "instance.terminated"
    stop_source: StopSource = "event"


class InstanceUnapproved(Data, frozen=True, kw_only=True):
    """An instance runs that no launch of ours made, whatever its tag says; or one that is not what was approved."""

    type = "instance.unapproved"
    instance: str
    region: str
    account: str | None
    instance_type: str
    image: str | None
    why: Literal["untagged", "no_launch", "not_of_launch", "changed"]
    launch: str | None
    began_at: datetime | None


class UsageRecorded(Metered, Data, frozen=True, kw_only=True):
    """So long an instance ran on one UTC day, in one interval from its start to its stop, and what that costs.

    `seconds` are whole and billed (at least what the price table asks for each start); `cost` is exact to ten
    places. A correction has `corrects`, the record that it adds to (or takes from): nothing is ever rewritten.
    `day_seconds` and `day_cost` are what all records of the instance's day come to with this one.
    """

    type = "usage.recorded"
    record: str
    corrects: str | None
    day: str
    interval_begin: datetime
    interval_end: datetime | None
    begin: datetime
    end: datetime
    seconds: int
    cost: Decimal
    stop_source: StopSource | None
    day_seconds: int | None = None
    day_cost: Decimal | None = None


class LaunchReconciled(LaunchData, frozen=True, kw_only=True):
    """The table was restored, and this was `made` in the time that it lost: the launcher goes on with just that.

    `was` is the state that the restored table had. Who said go is not on record.
    """

    type = "launch.reconciled"
    was: str
    attempt: int
    choice: int
    made: tuple[str, ...]


class EpochReconciled(Data, frozen=True, kw_only=True):
    """A new epoch's pass is done, and launches go on: of `looked` launches, so many were `adopted` or `asked` anew.

    Of the launches in `lost` something is there, in this epoch or an earlier one, that is not on record.
    """

    type = "epoch.reconciled"
    epoch: int
    looked: int
    adopted: int
    asked: int
    lost: tuple[str, ...]


class LeaseExpiring(LaunchData, frozen=True, kw_only=True):
    """At `ends_at` it is terminated, unless its lease is extended before."""

    type = "lease.expiring"
    ends_at: datetime


class LeaseExtended(LaunchData, frozen=True, kw_only=True):
    """It may run until `until` now, null for without an end; `by` is the launch that was approved for it, if any."""

    type = "lease.extended"
    actor: Actor
    previous: datetime | None
    until: datetime | None
    by: str | None


class DeliveryDue(Data, frozen=True, kw_only=True):
    """A notice that could not be sent is tried again; of use to gonogo's own functions only."""

    type = "delivery.due"
    launch: str


class ApproverDelegated(Data, frozen=True, kw_only=True):
    """From `since` to `until`, `to` may decide in `actor`'s place; withdrawn, `until` is when it was."""

    type = "approver.delegated"
    actor: Actor
    to: Actor
    since: datetime
    until: datetime
    by: Actor


class BudgetReserved(Data, frozen=True, kw_only=True):
    """A launch holds so much of a cost center's month; `committed` is what all of them hold and have spent."""

    type = "budget.reserved"
    cost_center: str
    month: str
    launch: str
    amount: Decimal
    committed: Decimal


class BudgetReleased(Data, frozen=True, kw_only=True):
    """A launch has ended: of what it held, `spent` stays spent."""

    type = "budget.released"
    cost_center: str
    month: str
    launch: str
    spent: Decimal
    committed: Decimal


class BundlePublished(Data, frozen=True, kw_only=True):
    """Another policy bundle is in force; `change` names the launch attempt that put it there, if one did."""

    type = "bundle.published"
    bundle: str
    previous: str | None
    change: str | None = None


def _leaves(kind: type[Data]) -> list[type[Data]]:
    subs = kind.__subclasses__()
    return [leaf for sub in subs for leaf in _leaves(sub)] if subs else [kind]


ALL: dict[str, type[Data]] = {kind.type: kind for kind in _leaves(Data)}
"""Every event by its name."""


def schema(kind: type[Data]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the event's `data`."""
    made = msgspec.json.schema(kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_id(kind),
        "title": kind.type,
        **made,
    }


def schema_id(kind: type[Data]) -> str:
    """Return the name of the event's schema: the version is in it, not in the event's name."""
    return f"urn:gonogo:event:{kind.type}:{kind.schema_version}"


def _schema_of(name: str) -> str:
    """Return the schema of an event by name; of one that only newer code knows, the most that can be said."""
    return schema_id(ALL[name]) if name in ALL else f"urn:gonogo:event:{name}"


_canonical = msgspec.json.Encoder(order="deterministic")


def hash_of(subject: str, event: Event) -> str:
    """Return the SHA-256, in hex, that the next entry of the item's history carries.

    It is over the RFC 8785 JSON of {data, prevhash, seq, subject, time, type}, as the event stands on the bus.
    Events have no numbers but integers and no keys but ASCII, for which msgspec's sorted JSON is just that.
    """
    chained = {
        "data": event.data,
        "prevhash": event.prev,
        "seq": event.seq,
        "subject": subject,
        "time": event.at,
        "type": event.type,
    }
    return hashlib.sha256(_canonical.encode(chained)).hexdigest()


def cloud_event(subject: str, event: Event) -> dict[str, Any]:
    """Return the event as a CloudEvents 1.0 structured event; `id` is the same on every redelivery.

    Its extension attributes `prevhash` and `hash` chain it to the event before and after it.
    """
    return {
        "specversion": "1.0",
        "id": f"{subject}-{event.seq}",
        "source": SOURCE,
        "type": event.type,
        "subject": subject,
        "time": msgspec.to_builtins(event.at),
        "datacontenttype": "application/json",
        "dataschema": _schema_of(event.type),
        "seq": event.seq,
        **({"prevhash": event.prev} if event.prev is not None else {}),
        "hash": hash_of(subject, event),
        "data": event.data,
    }
