"""Look over the places where something was launched: what was missed is noted, what nobody approved is told."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gonogo.core import event
from gonogo.core import instance as instances
from gonogo.core import watch as watches
from gonogo.core.errors import ItemExistsError, LaterError, VersionConflictError
from gonogo.core.instance import Instance, InstanceSummary
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan
from gonogo.core.usage import Sight, to_the_second
from gonogo.core.watch import Stray, Watch, Why
from gonogo.ports import Outside, Seen
from gonogo.service import observe, saving

PAGE = 100


def begin(outside: Outside, plan: Plan) -> None:
    """See to it that the place of a plan is looked over from now on, before anything is launched there."""
    if not plan.region or outside.observer(plan.engine) is None:
        return
    found = outside.items.get(Watch, watches.id_of(plan.place))
    if found is None:
        with contextlib.suppress(ItemExistsError):
            outside.items.add(watches.begun(plan.place, outside.now()))
        return
    saving.change(outside.items, found, lambda this: watches.woken(this, plan.place, outside.now()))


def look_over(outside: Outside, watch_id: str) -> bool:
    """Hold what is at a place against what is known of it, and return if it was time to.

    Raises:
        LaterError: it could not be looked over now; its alarm stays.
    """
    watch = outside.items.get(Watch, watch_id)
    now = outside.now()
    if watch is None or watch.due_at is None or now < watch.due_at:
        return False
    live = _live(outside, watch)
    eyes = outside.observer("ec2")
    assert eyes is not None  # noqa: S101 - ec2 always has eyes
    shown: set[str] = set()
    for page in eyes.survey(watch.place, ours=not outside.scans):
        shown |= {one.id for one in page}
        _compared(outside, watch, page)
    for one in live:
        if one.id not in shown:
            _looked_for(outside, watch, one)
    after = watches.looked(watch, live=bool(live) or bool(_live(outside, watch)), at=now)
    with contextlib.suppress(VersionConflictError):
        outside.items.save(watch, after)
    return True


def _live(outside: Outside, watch: Watch) -> list[InstanceSummary]:
    """Return what of ours is known to be there."""
    found: list[InstanceSummary] = []
    cursor: str | None = None
    while True:
        page = outside.items.in_state(
            InstanceSummary, instances.live_at(watch.place), cursor=cursor, limit=PAGE
        )
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def _compared(outside: Outside, watch: Watch, page: Sequence[Seen]) -> None:
    """Note of each instance what is not known of it; tell of those that nobody approved."""
    known = saving.load_many(outside.items, Instance, [one.id for one in page])
    for seen in page:
        instance = known.get(seen.id)
        launch = observe.launch_of(outside, seen.id, instance, seen) if not _agrees(instance, seen) else None
        if launch is not None:
            with contextlib.suppress(LaterError):  # not recorded by the launcher yet: the next look finds it
                observe.note(outside, seen.id, instance, launch, seen, [])
        if instance is not None and seen.kind != instance.instance_type and seen.state != "terminated":
            _stray(outside, watch, seen, "changed")
        elif instance is None and launch is None and seen.state != "terminated" and not seen.ending:
            _stray(outside, watch, seen, _why(outside, seen))


def _agrees(instance: Instance | None, seen: Seen) -> bool:
    """Tell whether a look says nothing that is not known."""
    if instance is None:
        return False
    if seen.state in (None, "pending"):
        return True
    later = seen.began_at is not None and to_the_second(seen.began_at) > to_the_second(instance.changed_at)
    return instance.state == "terminated" or (instance.state == seen.state and not later)


def _looked_for(outside: Outside, watch: Watch, one: InstanceSummary) -> None:
    """Look for what is known to be there, and was not shown: an instance that vanished, or no instance of EC2."""
    instance = outside.items.get(Instance, one.id)
    eyes = outside.observer(one.engine)
    if instance is None or eyes is None:
        return
    seen = eyes.look(one.id, watch.place)
    launch = observe.launch_of(outside, one.id, instance, seen)
    if launch is None:
        return
    told: list[Sight] = []
    if seen is None:
        if outside.now() - instance.at < watches.EVERY:
            return  # EC2 may not show yet what is so new (EC2 API reference, "Eventual consistency")
        last = max(watch.looked_at or instance.changed_at, instance.changed_at)
        told = [Sight(to_the_second(last), "terminated", "vanished")]
    with contextlib.suppress(LaterError):
        observe.note(outside, one.id, instance, launch, seen, told)


def _why(outside: Outside, seen: Seen) -> Why:
    if seen.launch is None:
        return "untagged"
    return "not_of_launch" if outside.items.get(Launch, seen.launch) is not None else "no_launch"


def _stray(outside: Outside, watch: Watch, seen: Seen, why: Why) -> None:
    """Tell, once, of an instance that runs without an approval."""
    if outside.items.get(Stray, seen.id) is not None:
        return
    account = watch.place.account
    told = event.InstanceUnapproved(
        instance=seen.id,
        region=watch.place.region,
        account=account.number if account else None,
        instance_type=seen.kind,
        image=seen.image,
        why=why,
        launch=seen.launch,
        began_at=seen.began_at,
    )
    with contextlib.suppress(ItemExistsError):
        outside.items.add(watches.stray(told, watch.place, outside.now()))
