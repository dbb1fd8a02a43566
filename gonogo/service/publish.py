"""The stream is the outbox: what a new image says and the old one did not goes on the bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gonogo.core.errors import LaterError
from gonogo.core.event import Event, cloud_event
from gonogo.ports import Outside, PoisonError

BATCH = 10
"""Entries of one PutEvents call (EventBridge API reference, PutEvents)."""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """As much of an item's image in the stream as tells what to publish."""

    id: str
    history: tuple[Event, ...] = ()
    seq: int = 0
    cue: tuple[int, ...] = ()
    cue_times: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One stream record: its sequence number, and the item before and after; None where it cannot be read."""

    number: str
    item: str
    before: Image | None
    after: Image | None


def news(before: Image | None, after: Image) -> list[Event]:
    """Return the events to publish: those that are new, and those whose cue is given again."""
    known = before.seq if before else 0
    again = after.cue if before is not None and after.cue_times > before.cue_times else ()
    return [one for one in after.history if one.seq > known or one.seq in again]


def publish(outside: Outside, changes: Sequence[Change]) -> str | None:
    """Put the events of these changes on the bus, in order.

    Returns:
        The number of the first change that must come again, with all that follow it; None if all went out.
        What the bus never takes is put on the dead letters, and holds up nothing.
    """
    out: list[tuple[str, dict[str, Any]]] = []
    for change in changes:
        if change.after is None:
            out.append((change.number, {}))
        else:
            out += [
                (change.number, cloud_event(change.after.id, one))
                for one in news(change.before, change.after)
            ]
    unread = {change.number: change.item for change in changes if change.after is None}
    for start in range(0, len(out), BATCH):
        batch = out[start : start + BATCH]
        try:
            for number in (number for number, event in batch if not event):
                outside.dead_letters.put({"id": unread[number], "sequence_number": number})
            _put(outside, [event for _, event in batch if event])
        except LaterError:
            return batch[0][0]
    return None


def _put(outside: Outside, events: list[dict[str, Any]]) -> None:
    if not events:
        return
    try:
        outside.bus.publish(events)
    except PoisonError as error:
        for index in error.poison:
            outside.dead_letters.put(
                {"id": events[index]["subject"], "seq": events[index]["seq"], "error": str(error)}
            )
