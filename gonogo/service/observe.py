"""Note what became of an instance: with its day for the bill, then of the instance, then of its launch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_UP, Decimal
from typing import Literal

from gonogo.core import instance as instances
from gonogo.core import life
from gonogo.core import usage as metering
from gonogo.core import watch as watches
from gonogo.core.errors import ItemExistsError, LaterError
from gonogo.core.event import StopSource
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import Place, Plan, PriceTable
from gonogo.core.states import State
from gonogo.core.usage import Sight, Source
from gonogo.core.watch import Watch
from gonogo.ports import Outside, Seen
from gonogo.service import budgets, saving, usage

Said = Literal["running", "stopped", "terminated"]
_FINEST = Decimal("0.000001")
"""To which a price is rounded up, where it cannot be shared out exactly."""
_STOPS: dict[Source, StopSource] = {
    "event": "event",
    "look": "reconciled",
    "vanished": "vanished",
    "reported": "reported",
}
_TOLD: dict[str, Said] = {
    "launch.started": "running",
    "launch.stopped": "stopped",
    "launch.terminated": "terminated",
}


def observe(
    outside: Outside,
    resource: str,
    *,
    region: str,
    said: Said,
    said_at: datetime,
    account: str | None = None,
    engine: str = "ec2",
) -> None:
    """Record that an engine said so of a resource, if one of our launches made it: the engine is asked too.

    When it said so is taken from the message, which only AWS can have sent; what is so now, from the engine.

    Raises:
        LaterError: it is ours, but the launcher has not recorded it yet; or it could not be looked at.
    """
    known = outside.items.get(Instance, resource)
    place = known.place if known is not None else _place(outside, account, region)
    eyes = outside.observer(known.engine if known is not None else engine)
    seen = eyes.look(resource, place) if eyes is not None else None
    launch = launch_of(outside, resource, known, seen)
    if launch is None:
        return
    now = outside.now()
    at = metering.to_the_second(min(max(said_at, launch.cleared_at or launch.at), now))
    if seen is not None and seen.state is None and said == "terminated" and not seen.ending:
        return
    note(outside, resource, known, launch, seen, [Sight(at, said, "event")])


def launched(outside: Outside, launch_id: str) -> None:
    """Record what became of all that a launch of another engine than ec2 made: by a look, or as it was reported.

    Raises:
        LaterError: a resource could not be looked at now.
    """
    launch = outside.items.get(Launch, launch_id)
    if launch is None or launch.started_at is None or launch.question.plan.engine == "ec2":
        return
    eyes = outside.observer(launch.question.plan.engine)
    for one in launch.resources:
        known = outside.items.get(Instance, one.id)
        if eyes is None:
            told = [
                Sight(metering.to_the_second(event.at), _TOLD[event.type], "reported")
                for event in launch.history
                if event.type in _TOLD
            ]
            note(outside, one.id, known, launch, None, told)
        else:
            note(outside, one.id, known, launch, eyes.look(one.id, launch.question.plan.place), [])


def note(
    outside: Outside,
    resource: str,
    known: Instance | None,
    launch: Launch,
    seen: Seen | None,
    told: Sequence[Sight],
) -> None:
    """Record these sights of a launch's resource, and those that follow from how it is seen to be now.

    Raises:
        LaterError: the launcher has not recorded the resource yet, or somebody else just did.
    """
    now = outside.now()
    instance = known if known is not None else _first_seen(outside, resource, launch, seen, now)
    if instance is None:
        return
    sights = [*told, *_seen_too(instance, launch, told, seen, now)]
    if not sights:
        return
    usage.note(outside, instances.metered(instance, launch), instance.least, sights)
    instance = _kept(outside, known, instance, launch, sights, now)
    if resource in launch.rolled_back:
        return
    if launch.state is State.LAUNCHING:
        raise LaterError(f"launch {launch.id} has not recorded instance {resource} yet")
    state, changed_at = instance.state, instance.changed_at
    ended = saving.change(
        outside.items,
        launch,
        lambda this: life.observe(this, resource=resource, state=state, changed_at=changed_at, at=now),
    )
    if ended.state is State.TERMINATED:
        budgets.release(outside, ended)


def launch_of(outside: Outside, resource: str, known: Instance | None, seen: Seen | None) -> Launch | None:
    """Return the launch that made the resource: on its own record, or by tag and client token both."""
    if known is not None:
        return outside.items.get(Launch, known.launch)
    if seen is None or seen.launch is None:
        return None
    launch = outside.items.get(Launch, seen.launch)
    if launch is None:
        return None
    if resource in launch.rolled_back or any(one.id == resource for one in launch.resources):
        return launch
    if launch.state is State.LAUNCHING and launch.made_with(seen.client_token):
        return launch
    return None


def _place(outside: Outside, account: str | None, region: str) -> Place:
    """Return the place that is watched there: gonogo's own account, unless it launches in that one."""
    watch = outside.items.get(Watch, watches.watch_id(account, region)) if account is not None else None
    return watch.place if watch is not None else Place(region)


def _first_seen(
    outside: Outside, resource: str, launch: Launch, seen: Seen | None, now: datetime
) -> Instance | None:
    """Return the resource as an instance of which nothing is known yet; None where nothing can be."""
    plan = launch.plan
    if seen is None and not any(one.id == resource for one in launch.resources):
        return None
    kind = seen.kind if seen is not None else plan.units[0].kind if plan.units else plan.engine
    prices = outside.policies.pinned(launch.bundle).prices
    priced = {unit.kind for unit in plan.units}
    hourly = Decimal(0)
    if plan.engine != "ec2":
        kind, hourly = plan.units[0].kind if plan.units else kind, _share(prices, plan, len(launch.resources))
    elif priced:
        hourly = prices.of_unit(plan.engine, plan.region, kind if kind in priced else plan.units[0].kind)
    return instances.first_seen(
        id=resource,
        launch=launch,
        instance_type=kind,
        hourly=hourly,
        at=now,
        image=seen.image if seen is not None else None,
        least=prices.least(plan.engine),
    )


def _share(prices: PriceTable, plan: Plan, resources: int) -> Decimal:
    """Return what one of so many resources costs an hour, where all of them together are the plan's units."""
    each = (prices.of_unit(plan.engine, plan.region, one.kind) * one.quantity for one in plan.units)
    whole = sum(each, Decimal(0))
    share = whole / max(resources, 1)
    return share if share * max(resources, 1) == whole else share.quantize(_FINEST, rounding=ROUND_UP)


def _turned(instance: Instance, launch: Launch, sights: Iterable[Sight], now: datetime) -> Instance:
    """Return the instance after these sights, those that are older than what is known of it passed over."""
    for one in sorted(sights):
        if instance.state == "pending" or one.at >= instance.changed_at:
            instance = instances.seen(
                instance,
                launch=launch,
                state=one.state,
                changed_at=one.at,
                at=now,
                source=_STOPS[one.source],
            )
    return instance


def _seen_too(
    instance: Instance, launch: Launch, told: Sequence[Sight], seen: Seen | None, now: datetime
) -> list[Sight]:
    """Return what a look says that nobody told of: a start, a stop or an end."""
    if seen is None or seen.state is None or seen.state == "pending" or instance.state == "terminated":
        return []
    found: list[Sight] = []
    if seen.began_at is not None:
        began_at = metering.to_the_second(seen.began_at)
        is_told = any(one.state == "running" and one.at >= began_at for one in told)
        is_new = instance.state == "pending" or began_at > metering.to_the_second(instance.changed_at)
        if is_new and not is_told:
            found.append(Sight(began_at, "running", "look"))
    after = _turned(instance, launch, [*told, *found], now)
    if seen.state == after.state:
        return found
    if seen.state == "running":
        if seen.began_at is None:
            found.append(Sight(metering.to_the_second(now), "running", "look"))
        return found
    ended_at = metering.to_the_second(max(seen.changed_at or now, after.changed_at))
    return [*found, Sight(ended_at, seen.state, "look")]


def _kept(
    outside: Outside,
    known: Instance | None,
    instance: Instance,
    launch: Launch,
    sights: Sequence[Sight],
    now: datetime,
) -> Instance:
    """Save the instance after these sights.

    Raises:
        LaterError: another just recorded it for the first time.
    """
    if known is not None:
        return saving.change(outside.items, known, lambda this: _turned(this, launch, sights, now))
    made = _turned(instance, launch, sights, now)
    try:
        outside.items.add(made if made.version else made.next_version())
    except ItemExistsError:
        raise LaterError(f"instance {instance.id} was just recorded by another") from None
    return made
