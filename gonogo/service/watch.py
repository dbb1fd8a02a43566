"""Look over the places where something was launched: what was missed is noted, what nobody approved is told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from gonogo.core import event
from gonogo.core import instance as instances
from gonogo.core import watch as watches
from gonogo.core.errors import ItemExistsError, LaterError, VersionConflictError
from gonogo.core.instance import Instance, InstanceSummary
from gonogo.core.launch import Launch
from gonogo.core.plan import Place, Plan
from gonogo.core.usage import Sight, to_the_second, vanished
from gonogo.core.watch import Stray, Watch, Why
from gonogo.ports import Outside, Seen
from gonogo.service import observe, saving

PAGE = 100


def begin(outside: Outside, plan: Plan) -> None:
    """See to it that the place of a plan is looked over from now on, before anything is launched there."""
    if plan.region and outside.observer(plan.engine) is not None:
        begin_at(outside, plan.place)


def begin_at(outside: Outside, place: Place) -> None:
    """See to it that a place is looked over from now on.

    A watch never rests before its `until`, which only ever rises: one that this process has seen need not be read
    again while it goes on for long enough by that.
    """
    name, now = watches.id_of(place), outside.now()
    seen = outside.watched.get(name)
    if seen is not None and watches.woken(seen, place, now) is seen:
        return
    found = outside.items.get(Watch, name)
    if found is None:
        with contextlib.suppress(ItemExistsError):
            outside.watched[name] = outside.items.add(watches.begun(place, now))
        return
    outside.watched[name] = saving.change(
        outside.items, found, lambda this: watches.woken(this, place, outside.now())
    )


def look_over(outside: Outside, watch_id: str) -> bool:
    """Hold what is at a place against what is known of it, and return if it was time to.

    It does not rest while something runs there as approved, or could not be noted now.

    Raises:
        LaterError: it could not be looked over now; its alarm stays.
        ExceptionGroup: some of what is there could not be noted; everything else was, and the next look tries again.
    """
    watch = outside.items.get(Watch, watch_id)
    now = outside.now()
    if watch is None or watch.due_at is None or now < watch.due_at:
        return False
    live = _live(outside, watch)
    eyes = outside.observer("ec2")
    assert eyes is not None  # noqa: S101 - ec2 always has eyes
    shown: set[str] = set()
    ours: set[str] = set()
    errors: list[Exception] = []
    for page in eyes.survey(watch.place, ours=not outside.scans):
        shown |= {one.id for one in page}
        errors += _compared(outside, watch, page, ours)
    for one in live:
        if one.id not in shown:
            errors += _errors_of(lambda this=one: _looked_for(outside, watch, this), one.id)  # type: ignore[misc]
    stays = bool(errors or ours or live) or (now >= watch.until and bool(_live(outside, watch)))
    after = watches.looked(watch, live=stays, at=now)
    with contextlib.suppress(VersionConflictError):
        outside.items.save(watch, after)
    wrong = [one for one in errors if not isinstance(one, LaterError)]
    if wrong:
        raise ExceptionGroup(f"{len(wrong)} things could not be noted", wrong)
    return True


def _errors_of(work: Callable[[], None], resource: str) -> list[Exception]:
    """Do it, and return what went wrong: one thing strands no other."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be looked at
        error.add_note(f"while looking at {resource}")
        return [error]
    return []


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


def _compared(outside: Outside, watch: Watch, page: Sequence[Seen], ours: set[str]) -> list[Exception]:
    """Note of each instance what is not known of it; tell of those that nobody approved. Return what went wrong.

    What runs as approved is added to `ours`: the list of what is known to be there may not have it yet.
    """
    known = saving.load_many(outside.items, Instance, [one.id for one in page])
    strays: list[tuple[Seen, Why]] = []
    errors: list[Exception] = []

    def one(seen: Seen) -> None:
        instance = known.get(seen.id)
        why = _why(outside, watch, instance, seen)
        if why is not None:
            strays.append((seen, why))
        elif _runs(seen):
            ours.add(seen.id)

    for seen in page:
        errors += _errors_of(lambda this=seen: one(this), seen.id)  # type: ignore[misc]
    told = saving.load_many(outside.items, Stray, [seen.id for seen, _ in strays])
    for seen, why in strays:
        if seen.id not in told:
            _stray(outside, watch, seen, why)
    return errors


def _why(outside: Outside, watch: Watch, instance: Instance | None, seen: Seen) -> Why | None:
    """Note what is not known of an instance, and return why it runs without an approval; None where it does not."""
    runs = _runs(seen)
    if instance is None:
        launch = observe.launch_of(outside, seen.id, None, seen, watch.place)
        if launch is None:
            return _whose(outside, seen) if runs else None
        with contextlib.suppress(LaterError):  # the launcher has not recorded it yet: the next look finds it
            observe.note(outside, seen.id, None, launch, seen, [])
        return "changed" if runs and seen.kind not in observe.approved_kinds(launch) else None
    if not _agrees(instance, seen):
        launch = observe.launch_of(outside, seen.id, instance, seen, watch.place)
        if launch is not None:
            observe.note(outside, seen.id, instance, launch, seen, [])
    if not runs:
        return None
    if instance.state == "terminated":
        return "not_of_launch"
    return "changed" if seen.kind != instance.instance_type else None


def _runs(seen: Seen) -> bool:
    return seen.state != "terminated" and not seen.ending


def _agrees(instance: Instance, seen: Seen) -> bool:
    """Tell whether a look says nothing that is not known."""
    if seen.state in (None, "pending"):
        return True
    if instance.state == "terminated":
        return not instance.vanished
    later = seen.began_at is not None and to_the_second(seen.began_at) > to_the_second(instance.changed_at)
    return instance.state == seen.state and not later


def _looked_for(outside: Outside, watch: Watch, one: InstanceSummary) -> None:
    """Look for what is known to be there, and was not shown: an instance that vanished, or no instance of EC2."""
    instance = outside.items.get(Instance, one.id)
    eyes = outside.observer(one.engine)
    if instance is None or eyes is None:
        return
    seen = eyes.look(one.id, watch.place)
    launch = observe.launch_of(outside, one.id, instance, seen, watch.place)
    if launch is None:
        return
    told: list[Sight] = []
    if seen is None:
        if outside.now() - instance.at < watches.EVERY:
            return  # EC2 may not show yet what is so new (EC2 API reference, "Eventual consistency")
        last = max(watch.looked_at or instance.changed_at, instance.changed_at)
        told = [vanished(last)]
    observe.note(outside, one.id, instance, launch, seen, told)


def look_for(outside: Outside, launch: Launch) -> None:
    """Look for what a launch still waits for that is to be changed, since nobody has told that it was.

    What was never seen, and is not shown an hour after its start, is taken never to have run.
    """
    eyes = outside.observer(launch.question.plan.engine)
    if eyes is None or launch.started_at is None:
        return
    for one in launch.resources:
        if one.state == "terminated":
            continue
        known = outside.items.get(Instance, one.id)
        seen = eyes.look(one.id, launch.question.plan.place)
        told: list[Sight] = []
        if seen is None:
            if outside.now() - launch.started_at < watches.SHOWN:
                continue
            told = [vanished(known.changed_at if known is not None else launch.started_at)]
        with contextlib.suppress(LaterError):
            observe.note(outside, one.id, known, launch, seen, told)


def _whose(outside: Outside, seen: Seen) -> Why:
    if seen.launch is None:
        return "untagged"
    return "not_of_launch" if outside.items.get(Launch, seen.launch) is not None else "no_launch"


def _stray(outside: Outside, watch: Watch, seen: Seen, why: Why) -> None:
    """Tell, once, of an instance that runs without an approval."""
    told = event.InstanceUnapproved(
        instance=seen.id,
        region=watch.place.region,
        account=watch.place.number,
        instance_type=seen.kind,
        image=seen.image,
        why=why,
        launch=seen.launch,
        began_at=seen.began_at,
    )
    with contextlib.suppress(ItemExistsError):
        outside.items.add(watches.stray(told, watch.place, outside.now()))
