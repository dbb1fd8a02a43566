"""One instance as it was seen: what it is, who pays for it, and each time it started, stopped or ended."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from gonogo.core import event, watch
from gonogo.core.event import Metered, StopSource
from gonogo.core.item import Item, Listed
from gonogo.core.launch import InstanceState, Launch
from gonogo.core.plan import Account, Place


class InstanceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of live instances shows of one."""

    id: str
    launch: str
    engine: str


def live_at(place: Place) -> str:
    """Return the list that the instances of a place stand in until they are gone."""
    return f"live:{watch.id_of(place)}"


class Instance(Item, frozen=True, kw_only=True):
    """An instance, or what else an engine made for one of our launches.

    `hourly` is the price that was approved, for one of it; each start costs at least that of `least` seconds. What
    has `vanished` is taken to have ended when it was last seen; `vanishes_at` is when that was, kept before its bill
    hears of it.
    """

    kind = "instance"

    launch: str
    region: str
    instance_type: str
    hourly: Decimal
    state: InstanceState = "pending"
    changed_at: datetime
    engine: str = "ec2"
    account: Account | None = None
    image: str | None = None
    least: int = 0
    vanished: bool = False
    vanishes_at: datetime | None = None

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.region, self.account)

    def listed(self) -> Listed:
        """Stand in the list of live instances until it is gone."""
        if self.state == "terminated":
            return Listed()
        summary = InstanceSummary(id=self.id, launch=self.launch, engine=self.engine)
        return Listed(state=live_at(self.place), summary=summary)


def first_seen(
    *,
    id: str,  # noqa: A002 - the field's name
    launch: Launch,
    instance_type: str,
    hourly: Decimal,
    at: datetime,
    image: str | None = None,
    least: int = 0,
) -> Instance:
    """Return an instance of which nothing is known yet but that it is this launch's."""
    plan = launch.question.plan
    return Instance(
        id=id,
        version=0,
        at=at,
        updated_at=at,
        launch=launch.id,
        region=plan.region,
        instance_type=instance_type,
        hourly=hourly,
        changed_at=at,
        engine=plan.engine,
        account=plan.account,
        image=image,
        least=least,
    )


def metered(instance: Instance, launch: Launch) -> Metered:
    """Return what a biller needs of it."""
    question = launch.question
    return Metered(
        instance=instance.id,
        region=instance.region,
        instance_type=instance.instance_type,
        launch=launch.id,
        name=question.name,
        template=question.plan.template,
        digest=launch.digest,
        requester=question.requester,
        on_behalf_of=question.on_behalf_of,
        approvers=launch.approvers,
        cost_center=question.cost_center,
        currency=question.price.currency,
        price_version=question.price.version,
        hourly=instance.hourly,
        engine=instance.engine,
        account=instance.place.number,
        image=instance.image,
    )


def seen(
    instance: Instance,
    *,
    launch: Launch,
    state: InstanceState,
    changed_at: datetime,
    at: datetime,
    source: StopSource = "event",
) -> Instance:
    """Record how it was seen; the very same instance where that is known already, or where it has ended.

    Where it is known to be so, and came into the state later than was known, that is kept and not told again.
    """
    if state == "pending" or instance.state == "terminated":
        return instance
    if state == instance.state:
        later = changed_at > instance.changed_at
        return instance.changed(changed_at=changed_at, updated_at=at).next_version() if later else instance
    instance = instance.changed(state=state, changed_at=changed_at, vanished=source == "vanished")
    facts = msgspec.structs.asdict(metered(instance, launch))
    happened: event.InstanceData
    if state == "running":
        happened = event.InstanceStarted(**facts, changed_at=changed_at)
    elif state == "stopped":
        happened = event.InstanceStopped(**facts, changed_at=changed_at, stop_source=source)
    else:
        happened = event.InstanceTerminated(**facts, changed_at=changed_at, stop_source=source)
    return instance.happened(at, happened).next_version()


def vanishing(instance: Instance, seen_at: datetime, at: datetime) -> Instance:
    """Record that it is about to be taken to have ended when it was last seen; the very same where that is known."""
    if instance.vanishes_at == seen_at:
        return instance
    return instance.changed(vanishes_at=seen_at, updated_at=at).next_version()


def found_again(instance: Instance, *, launch: Launch, at: datetime) -> Instance:
    """Record that it had not ended when it was taken to have vanished; the very same instance where it was not."""
    if not instance.vanished:
        known = instance.vanishes_at is None
        return instance if known else instance.changed(vanishes_at=None, updated_at=at).next_version()
    instance = instance.changed(state="running", vanished=False, vanishes_at=None)
    facts = msgspec.structs.asdict(metered(instance, launch))
    return instance.happened(
        at, event.InstanceStarted(**facts, changed_at=instance.changed_at)
    ).next_version()
