"""One instance as it was seen: what it is, who pays for it, and each time it started, stopped or ended."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from gonogo.core import event
from gonogo.core.item import Item
from gonogo.core.launch import InstanceState, Launch

_EVENTS: dict[InstanceState, type[event.InstanceData]] = {
    "running": event.InstanceStarted,
    "stopped": event.InstanceStopped,
    "terminated": event.InstanceTerminated,
}


class Instance(Item, frozen=True, kw_only=True):
    """An instance that one of our launches made. `hourly` is the price that was approved, for one of it."""

    kind = "instance"

    launch: str
    region: str
    instance_type: str
    hourly: Decimal
    state: InstanceState = "pending"
    changed_at: datetime


def first_seen(
    *,
    id: str,  # noqa: A002 - the field's name
    launch: Launch,
    instance_type: str,
    hourly: Decimal,
    at: datetime,
) -> Instance:
    """Return an instance of which nothing is known yet but that it is this launch's."""
    return Instance(
        id=id,
        version=0,
        at=at,
        updated_at=at,
        launch=launch.id,
        region=launch.question.plan.region,
        instance_type=instance_type,
        hourly=hourly,
        changed_at=at,
    )


def seen(
    instance: Instance, *, launch: Launch, state: InstanceState, changed_at: datetime, at: datetime
) -> Instance:
    """Record how it was seen; the very same instance where that is known already, or where it has ended."""
    if instance.state in (state, "terminated") or state not in _EVENTS:
        return instance
    instance = instance.changed(state=state, changed_at=changed_at)
    question = launch.question
    happened = _EVENTS[state](
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
        changed_at=changed_at,
    )
    return instance.happened(at, happened).next_version()
