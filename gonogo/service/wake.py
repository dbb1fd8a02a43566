"""Do what time asks for: every item whose alarm is due gets a tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from gonogo.core import clock
from gonogo.core import delegation as delegations
from gonogo.core import delivery as deliveries
from gonogo.core.budget import Ledger
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import Delivery
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.usage import UsageDay
from gonogo.core.watch import Watch
from gonogo.ports import Outside
from gonogo.service import budgets, reconcile, saving, usage, watch

T = TypeVar("T", bound=Item)
AT_ONCE = 100
"""How many items of each shard one waking takes; the next takes the rest."""


def wake(outside: Outside) -> int:
    """Tick all that is due, and return how many items that changed. Twice does no harm.

    Until a new epoch's pass is done, no launch hears of the time, which may end what was approved in the time that
    is lost, and no place is looked over, where what is there may be taken for what nobody approved.

    Raises:
        ExceptionGroup: some could not be; every other one was.
    """
    now, count = outside.now(), 0
    errors: list[Exception] = []
    is_known = False
    try:
        is_known = reconcile.go_on(outside)
    except Exception as error:  # noqa: BLE001 - whatever it is, it strands no other item
        error.add_note("while looking for what the lost time made")
        errors.append(error)
    for kind, id_ in outside.items.due(now, AT_ONCE):
        if kind in _NEEDS_TO_KNOW and not is_known:
            continue
        try:
            count += _tick(outside, kind, id_, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it strands no other item
            error.add_note(f"while waking {kind} {id_}")
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} items could not be woken", errors)
    return count


def _tick(outside: Outside, kind: str, id_: str, now: datetime) -> bool:
    """Do what time asks for of one item, and return if it changed."""
    if kind in _ELSEWHERE:
        return _ELSEWHERE[kind](outside, id_)
    if kind == Launch.kind:
        return _launch(outside, id_, now)
    if kind == Delivery.kind:
        return _ticked(outside, Delivery, id_, lambda this: deliveries.tick(this, at=now)) is not None
    if kind == Delegation.kind:
        return _ticked(outside, Delegation, id_, lambda this: delegations.tick(this, at=now)) is not None
    return False


def _launch(outside: Outside, id_: str, now: datetime) -> bool:
    """Tick a launch; what was to be changed a while ago, and nobody has told that it was, is looked for."""
    launch = _ticked(outside, Launch, id_, lambda this: clock.tick(this, at=now))
    if launch is not None and launch.wanted is not None and launch.cue_times:
        watch.look_for(outside, launch)
    return launch is not None


_ELSEWHERE: Mapping[str, Callable[[Outside, str], bool]] = {
    Ledger.kind: budgets.reconcile,
    UsageDay.kind: usage.hand_on,
    Watch.kind: watch.look_over,
}
"""What is done to items whose change needs to know of others."""
_NEEDS_TO_KNOW = (Launch.kind, Watch.kind)
"""Kinds of item that wait until it is known what was made in the time that a restore lost."""


def _ticked(outside: Outside, kind: type[T], id_: str, command: saving.Command[T]) -> T | None:
    """Give an item its tick, and return it as it was saved; None where it did not change."""
    item = outside.items.get(kind, id_)
    if item is None:
        return None
    after = saving.change(outside.items, item, command)
    return after if after is not item else None
