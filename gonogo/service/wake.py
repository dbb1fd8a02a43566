"""Do what time asks for: every item whose alarm is due gets a tick."""

from __future__ import annotations

from datetime import datetime

from gonogo.core import clock
from gonogo.core import delegation as delegations
from gonogo.core import delivery as deliveries
from gonogo.core.budget import Ledger
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import Delivery
from gonogo.core.launch import Launch
from gonogo.ports import Outside
from gonogo.service import budgets, saving

AT_ONCE = 100
"""How many items of each shard one waking takes; the next takes the rest."""


def wake(outside: Outside) -> int:
    """Tick all that is due, and return how many items that changed. Twice does no harm.

    Raises:
        ExceptionGroup: some could not be; every other one was.
    """
    now, count = outside.now(), 0
    errors: list[Exception] = []
    for kind, id_ in outside.items.due(now, AT_ONCE):
        try:
            count += _tick(outside, kind, id_, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it strands no other item
            error.add_note(f"while waking {kind} {id_}")
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} items could not be woken", errors)
    return count


def _tick(outside: Outside, kind: str, id_: str, now: datetime) -> bool:
    if kind == Launch.kind:
        launch = outside.items.get(Launch, id_)
        return launch is not None and (
            saving.change(outside.items, launch, lambda this: clock.tick(this, at=now)) is not launch
        )
    if kind == Delivery.kind:
        delivery = outside.items.get(Delivery, id_)
        return delivery is not None and (
            saving.change(outside.items, delivery, lambda this: deliveries.tick(this, at=now)) is not delivery
        )
    if kind == Delegation.kind:
        found = outside.items.get(Delegation, id_)
        return found is not None and (
            saving.change(outside.items, found, lambda this: delegations.tick(this, at=now)) is not found
        )
    if kind == Ledger.kind:
        return budgets.reconcile(outside, id_)
    return False
