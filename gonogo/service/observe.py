"""Note what became of an instance: with its day for the bill, then with its launch, then of the instance itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Literal

from gonogo.core import instance as instances
from gonogo.core import life
from gonogo.core import usage as metering
from gonogo.core import watch as watches
from gonogo.core.errors import ItemExistsError, LaterError
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import Place, Plan, PriceTable
from gonogo.core.states import State
from gonogo.core.usage import Sight
from gonogo.core.watch import Watch
from gonogo.ports import Observer, Outside, Seen
from gonogo.service import budgets, saving, usage

Said = Literal["running", "stopped", "terminated"]
_FINEST = Decimal("0.000001")
"""To which a price is rounded up, where it cannot be shared out exactly."""
OUR_CLOCKS = timedelta(minutes=15)
"""How far our clocks may be from AWS's, and from each other: what AWS tells of times is believed within that."""
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
        LaterError: it is ours, but the launcher has not recorded it yet; or it could not be looked at; or it is shown
            in a state that it can't be in if that is true.
    """
    known = outside.items.get(Instance, resource)
    place = known.place if known is not None else _place(outside, account, region)
    eyes = outside.observer(known.engine if known is not None else engine)
    seen = eyes.look(resource, place) if eyes is not None else None
    launch = launch_of(outside, resource, known, seen, place)
    if launch is None:
        return
    if seen is not None and _contradicts(seen, said, said_at):
        raise LaterError(f"{resource} is said to be {said}, and is shown as {seen.state or 'on its way'}")
    at = metering.to_the_second(max(said_at, launch.at - OUR_CLOCKS))
    note(outside, resource, known, launch, seen, [Sight(at, said, "event")])


def _contradicts(seen: Seen, said: Said, said_at: datetime) -> bool:
    """Tell whether what is shown can't be if that was said in truth: it ran on, or what is gone is there."""
    if said == "terminated":
        return seen.state != "terminated" and not seen.ending
    runs_on = seen.state == "running" and seen.began_at is not None and seen.began_at < said_at
    return said == "stopped" and runs_on


def launched(outside: Outside, launch_id: str) -> None:
    """Record what became of all that a launch of another engine than ec2 made: by a look, or as it was reported.

    Raises:
        LaterError: a resource could not be looked at now.
    """
    launch = outside.items.get(Launch, launch_id)
    if launch is None or not launch.resources or launch.question.plan.engine == "ec2":
        return
    eyes = outside.observer(launch.question.plan.engine)
    for one in launch.resources:
        if eyes is None:
            known = outside.items.get(Instance, one.id)
            told = [
                Sight(metering.to_the_second(event.at), _TOLD[event.type], "reported")
                for event in launch.history
                if event.type in _TOLD
            ]
            note(outside, one.id, known, launch, None, told)
        else:
            looked_at(outside, eyes, one.id, launch)


def looked_at(outside: Outside, eyes: Observer, resource: str, launch: Launch) -> None:
    """Record what a look at a launch's resource says.

    Raises:
        LaterError: it is not shown yet, or could not be looked at now.
    """
    known = outside.items.get(Instance, resource)
    seen = eyes.look(resource, launch.question.plan.place)
    if seen is None and known is None:
        raise LaterError(f"{resource} of launch {launch.id} is not shown yet")
    note(outside, resource, known, launch, seen, [])


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
    again: list[Sight] = []
    gone_at = instance.changed_at if instance.vanished else instance.vanishes_at
    if gone_at is not None and (seen is not None or any(one.at > gone_at for one in told)):
        again = [Sight(gone_at, "terminated", "refuted")]
        instance = instances.found_again(instance, launch=launch, at=now)
    known = _about_to_vanish(outside, known, told, now)
    sights = [*told, *_seen_too(instance, launch, told, seen, now)]
    if not sights and not again:
        return
    usage.note(outside, instances.metered(instance, launch), instance.least, [*again, *sights])
    turned = _turned(instance, launch, sights, now)
    if resource not in launch.rolled_back:
        _tell_launch(outside, launch, turned, now)
    _keep(outside, known, turned, launch, sights, now, found=bool(again))


def _about_to_vanish(
    outside: Outside, known: Instance | None, told: Sequence[Sight], now: datetime
) -> Instance | None:
    """Keep with the instance that it is taken to have vanished, before its bill hears of it.

    What is heard of it later can so be held against that, whatever becomes of whoever is at it.
    """
    gone = next((one.at for one in told if one.source == "vanished"), None)
    if known is None or gone is None:
        return known
    return saving.change(outside.items, known, lambda this: instances.vanishing(this, gone, now))


def _tell_launch(outside: Outside, launch: Launch, instance: Instance, now: datetime) -> None:
    """Record with its launch how a resource is now.

    Raises:
        LaterError: the launcher has not recorded the resource yet.
    """
    if launch.state is State.LAUNCHING:
        raise LaterError(f"launch {launch.id} has not recorded instance {instance.id} yet")
    resource, state, changed_at = instance.id, instance.state, instance.changed_at
    ended = saving.change(
        outside.items,
        launch,
        lambda this: life.observe(this, resource=resource, state=state, changed_at=changed_at, at=now),
    )
    if ended.state is State.TERMINATED:
        budgets.release(outside, ended)


def launch_of(
    outside: Outside, resource: str, known: Instance | None, seen: Seen | None, place: Place
) -> Launch | None:
    """Return the launch that made the resource: on its own record, or by tag, client token and place together."""
    if known is not None:
        return outside.items.get(Launch, known.launch)
    if seen is None or seen.launch is None:
        return None
    launch = outside.items.get(Launch, seen.launch)
    if launch is None:
        return None
    if resource in launch.rolled_back or any(one.id == resource for one in launch.resources):
        return launch
    there = watches.id_of(launch.question.plan.place) == watches.id_of(place)
    if there and launch.state is State.LAUNCHING and launch.made_with(seen.client_token):
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
    prices = outside.policies.pinned(launch.bundle).prices
    kind, hourly = _priced(launch, prices, seen.kind if seen is not None else None)
    return instances.first_seen(
        id=resource,
        launch=launch,
        instance_type=kind,
        hourly=hourly,
        at=now,
        image=seen.image if seen is not None else None,
        least=prices.least(plan.engine),
    )


def approved_kinds(launch: Launch) -> list[str]:
    """Return the kinds of unit that were approved: of the choice that was made, then of the others."""
    plan = launch.question.plan
    units = (launch.plan.units, plan.units, *(one.units for one in plan.choices))
    return list(dict.fromkeys(unit.kind for some in units for unit in some))


def _priced(launch: Launch, prices: PriceTable, kind: str | None) -> tuple[str, Decimal]:
    """Return as what the resource was approved, and at what price an hour.

    An instance that has become another type was approved as what it was. What other engines make is the plan's
    units together.
    """
    plan, approved = launch.plan, approved_kinds(launch)
    if plan.engine != "ec2" or not approved:
        return approved[0] if approved else kind or plan.engine, _share(prices, plan, len(launch.resources))
    name = kind if kind is not None and kind in approved else approved[0]
    return name, prices.of_unit(plan.engine, plan.region, name)


def _share(prices: PriceTable, plan: Plan, resources: int) -> Decimal:
    """Return what one of so many resources costs an hour, where all of them together are the plan's units."""
    each = (prices.of_unit(plan.engine, plan.region, one.kind) * one.quantity for one in plan.units)
    whole = sum(each, Decimal(0))
    share = whole / max(resources, 1)
    return share if share * max(resources, 1) == whole else share.quantize(_FINEST, rounding=ROUND_UP)


def _turned(instance: Instance, launch: Launch, sights: Iterable[Sight], now: datetime) -> Instance:
    """Return the instance after these sights, those that are older than what is known of it passed over."""
    for one in metering.by_time(sights):
        if instance.state == "pending" or one.at >= instance.changed_at:
            instance = instances.seen(
                instance,
                launch=launch,
                state=one.state,
                changed_at=one.at,
                at=now,
                source=metering.SOURCES[one.source],
            )
    return instance


def _seen_too(
    instance: Instance, launch: Launch, told: Sequence[Sight], seen: Seen | None, now: datetime
) -> list[Sight]:
    """Return what a look says that nobody told of: a start, a stop or an end."""
    if seen is None or seen.state is None or seen.state == "pending" or instance.state == "terminated":
        return []
    found: list[Sight] = []
    began_at = _no_later(seen.began_at, launch, now)
    if began_at is not None:
        is_told = any(one.state == "running" and one.at >= began_at for one in told)
        is_new = instance.state == "pending" or began_at > metering.to_the_second(instance.changed_at)
        if is_new and not is_told:
            found.append(metering.look(began_at, "running", now))
    after = _turned(instance, launch, [*told, *found], now)
    if seen.state == after.state:
        return found
    if seen.state == "running":
        return found if began_at is not None else [metering.look(now, "running", now)]
    changed_at = _no_later(seen.changed_at, launch, now)
    if changed_at is None or (began_at is not None and changed_at < began_at):
        changed_at = now  # it says when it was stopped before, or nothing: it is so now at the latest
    ended_at = changed_at if after.state == "pending" else max(changed_at, after.changed_at)
    return [*found, metering.look(ended_at, seen.state, now)]


def _no_later(at: datetime | None, launch: Launch, now: datetime) -> datetime | None:
    """Return a time that a look tells, to the second: not before the launch was asked for, and not after now."""
    if at is None:
        return None
    return metering.to_the_second(min(max(at, launch.at - OUR_CLOCKS), now + OUR_CLOCKS))


def _keep(
    outside: Outside,
    known: Instance | None,
    turned: Instance,
    launch: Launch,
    sights: Sequence[Sight],
    now: datetime,
    *,
    found: bool,
) -> None:
    """Save the instance after these sights: last of all, so that what is known of it is known everywhere.

    Raises:
        LaterError: another just recorded it for the first time.
    """
    if known is not None:

        def command(this: Instance) -> Instance:
            again = instances.found_again(this, launch=launch, at=now) if found else this
            return _turned(again, launch, sights, now)

        saving.change(outside.items, known, command)
        return
    try:
        outside.items.add(turned if turned.version else turned.next_version())
    except ItemExistsError:
        raise LaterError(f"instance {turned.id} was just recorded by another") from None
