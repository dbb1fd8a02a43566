"""Note what became of an instance: first of the instance, then of its launch."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from gonogo.core import commands
from gonogo.core import instance as instances
from gonogo.core.errors import ItemExistsError, LaterError
from gonogo.core.instance import Instance
from gonogo.core.launch import InstanceState, Launch
from gonogo.core.states import State
from gonogo.ports import Outside, Seen
from gonogo.service import budgets, saving


def observe(
    outside: Outside, instance_id: str, *, region: str, said: InstanceState, said_at: datetime
) -> None:
    """Record the state of an instance, if one of our launches made it: the engine is asked, not the message.

    Raises:
        LaterError: it is ours, but the launcher has not recorded it yet; or it could not be looked at.
    """
    seen = outside.observer.look(instance_id, region)
    known = outside.items.get(Instance, instance_id)
    launch = _launch_of(outside, instance_id, known, seen)
    if launch is None or _is_old_news(seen, known, said_at):
        return
    now = outside.now()
    earliest = known.changed_at if known is not None else launch.cleared_at or launch.at
    state, changed_at = _state(seen, said, min(max(said_at, earliest), now), now)
    if state is None:
        return
    if known is None:
        if seen is None:
            return
        known = instances.first_seen(
            id=instance_id,
            launch=launch,
            instance_type=seen.kind,
            hourly=_hourly(outside, launch, seen),
            at=now,
        )
        made = instances.seen(known, launch=launch, state=state, changed_at=changed_at, at=now)
        try:
            outside.items.add(made)
        except ItemExistsError:
            raise LaterError(f"instance {instance_id} was just recorded by another") from None
    else:
        saving.change(
            outside.items,
            known,
            lambda this: instances.seen(this, launch=launch, state=state, changed_at=changed_at, at=now),
        )
    if launch.state is State.LAUNCHING:
        raise LaterError(f"launch {launch.id} has not recorded instance {instance_id} yet")
    after = saving.change(
        outside.items,
        launch,
        lambda this: commands.observe(this, resource=instance_id, state=state, changed_at=changed_at, at=now),
    )
    if after.state is State.TERMINATED:
        budgets.release(outside, after)


def _launch_of(
    outside: Outside, instance_id: str, known: Instance | None, seen: Seen | None
) -> Launch | None:
    """Return the launch that made the instance: on its own record, or by tag and client token both."""
    if known is not None:
        return outside.items.get(Launch, known.launch)
    if seen is None or seen.launch is None:
        return None
    launch = outside.items.get(Launch, seen.launch)
    if launch is None:
        return None
    if any(one.id == instance_id for one in launch.resources):
        return launch
    if launch.state is State.LAUNCHING and seen.client_token == launch.client_token():
        return launch
    return None


def _is_old_news(seen: Seen | None, known: Instance | None, said_at: datetime) -> bool:
    """Tell whether only the message speaks, the instance being on its way, and says nothing new."""
    return seen is not None and seen.state is None and known is not None and said_at <= known.changed_at


def _state(
    seen: Seen | None, said: InstanceState, said_at: datetime, now: datetime
) -> tuple[InstanceState | None, datetime]:
    """Return the state to record, and since when: as seen; as said where it is on the way, or gone.

    What is on its way may have been in any state before; terminated it is only on the way to just that.
    """
    if seen is None:
        return (said if said == "terminated" else None), said_at
    if seen.state is None and said == "terminated" and not seen.ending:
        return None, said_at
    if seen.state is None or seen.state == said:
        return said, said_at
    return seen.state, now


def _hourly(outside: Outside, launch: Launch, seen: Seen) -> Decimal:
    plan = launch.question.plan
    return outside.policies.pinned(launch.bundle).prices.of_unit(plan.engine, plan.region, seen.kind)
