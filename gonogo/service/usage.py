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
    """Keep these sights of an instance, each with its day. What is kept already changes nothing."""
    for day in sorted({usage.day_of(one.at) for one in sights}):
        id_ = usage.usage_id(facts.instance, day)
        _change(
            outside,
            id_,
            usage.opened(facts, day, least, outside.now()),
            lambda this: usage.seen(this, sights, outside.now()),
        )
        hand_on(outside, id_)


def hand_on(outside: Outside, day_id: str) -> bool:
    """Tell the next day how this one ended, if it is over, and the day after that; return if any was told."""
    day = outside.items.get(UsageDay, day_id)
    told = False
    while day is not None and usage.is_to_hand_on(day, outside.now()):
        told, day = True, _handed_on(outside, day, day.leaves)
    return told


def _handed_on(outside: Outside, day: UsageDay, leaves: Carry) -> UsageDay:
    """Tell the next day first: a crash in between leaves this one's alarm as it is. Return the next day."""
    following = usage.opened(day.facts, usage.day_of(day.end), day.least, outside.now())
    after = _change(outside, following.id, following, lambda this: usage.carried(this, leaves, outside.now()))
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
            outside.items.add(made)
        except ItemExistsError:
            continue
        return made
    raise BusyError(f"usage {id_} kept changing")
