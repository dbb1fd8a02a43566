"""Keep what was seen of an instance with its day, and hand on how a day ended to the next."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.core import usage
from gonogo.core.errors import BusyError, ItemExistsError
from gonogo.core.event import Metered
from gonogo.core.usage import Carry, Sight, UsageDay
from gonogo.ports import Outside
from gonogo.service import saving


def note(outside: Outside, facts: Metered, least: int, sights: Sequence[Sight]) -> None:
    """Keep these sights of an instance, each with its day. What is kept already changes nothing.

    It takes a read and a write for each day; two reads where an event and a look may stand on two sides of midnight.
    """
    for name in sorted({usage.day_of(one.at) for one in sights}):
        day = _change(
            outside,
            usage.usage_id(facts.instance, name),
            usage.opened(facts, name, least, outside.now()),
            lambda this: usage.seen(this, sights, outside.now()),
        )
        mine = [one for one in sights if usage.day_of(one.at) == name]
        _refute_before(outside, day, mine)
        _hand_on(outside, _refuted_after(outside, day, mine))


def _refute_before(outside: Outside, day: UsageDay, sights: Sequence[Sight]) -> None:
    """Refute what the day before took for true, and these say otherwise."""
    early = [one for one in sights if one.at - day.begin <= usage.SLOWEST]
    before = outside.items.get(UsageDay, usage.day_before(day)) if early else None
    if before is not None:
        refuted = [one for sight in early for one in usage.refuted(before, sight)]
        now = outside.now()
        _hand_on(outside, saving.change(outside.items, before, lambda this: usage.seen(this, refuted, now)))


def _refuted_after(outside: Outside, day: UsageDay, sights: Sequence[Sight]) -> UsageDay:
    """Return the day after it is held against the next, if what a look makes of it may be refuted there."""
    late = any(one.by is not None and one.by >= day.end for one in sights)
    after = outside.items.get(UsageDay, usage.day_after(day)) if late else None
    if after is None:
        return day
    refuted = [one for sight in after.sights for one in usage.refuted(day, sight)]
    return saving.change(outside.items, day, lambda this: usage.seen(this, refuted, outside.now()))


def hand_on(outside: Outside, day_id: str) -> bool:
    """Tell the next day how this one ended, if it is over, and the day after that; return if any was told."""
    return _hand_on(outside, outside.items.get(UsageDay, day_id))


def _hand_on(outside: Outside, day: UsageDay | None) -> bool:
    told = False
    while day is not None and usage.is_to_hand_on(day, outside.now()):
        told, day = True, _handed_on(outside, day, day.leaves)
    return told


def _handed_on(outside: Outside, day: UsageDay, leaves: Carry) -> UsageDay:
    """Tell the next day first: a crash in between leaves this one's alarm as it is. Return the next day."""
    following = usage.opened(day.facts, usage.day_of(day.end), day.least, outside.now())
    version = day.version
    after = _change(
        outside,
        following.id,
        following,
        lambda this: usage.carried(this, leaves, version, outside.now()),
    )
    saving.change(outside.items, day, lambda this: usage.handed_on(this, leaves, outside.now()))
    return after


def _change(outside: Outside, id_: str, otherwise: UsageDay, command: saving.Command[UsageDay]) -> UsageDay:
    """Change a day, or make it of `otherwise`, which is a day of which nothing is known.

    Raises:
        BusyError: others kept changing it.
    """
    for _ in range(saving.TRIES):
        before = outside.items.get(UsageDay, id_)
        if before is not None:
            return saving.change(outside.items, before, command)
        made = command(otherwise)
        if made is otherwise:
            return made
        try:
            return outside.items.add(made)
        except ItemExistsError:
            continue
    raise BusyError(f"usage {id_} kept changing")
