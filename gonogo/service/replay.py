"""Tell again what happened: every event of every history from a time on, under the ids that they have.

Whoever lost what they were told catches up by it; whoever did not knows the ids already, as on any redelivery.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from gonogo.core.errors import LaterError
from gonogo.core.event import cloud_event
from gonogo.ports import Bus, Histories, Part, PoisonError
from gonogo.service.publish import BATCH

KINDS = (
    "budget",
    "delegation",
    "delivery",
    "glass",
    "instance",
    "launch",
    "pass",
    "policy",
    "stray",
    "usage",
)
"""The kinds of item that something happens to."""
PART = 250
"""How many rows of the table are looked at before it is told how far it is."""
TRIES = 6
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before what was throttled is tried again: twice as long each time."""


T = TypeVar("T")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is: what was looked at, told again, and never taken; `cursor` is where to go on, None at the end."""

    rows: int = 0
    items: int = 0
    events: int = 0
    refused: tuple[str, ...] = ()
    cursor: str | None = None


def replay(
    histories: Histories,
    bus: Bus,
    since: datetime,
    kinds: Collection[str] = (),
    *,
    cursor: str | None = None,
    sleep: Callable[[float], None],
) -> Iterator[Progress]:
    """Put every event at or after `since` on the bus again, oldest first of each item; tell of each part done.

    Gone on with from the cursor of the last part told of, nothing is left out; some of the next part may come twice.

    Raises:
        InvalidError: the cursor is none of ours.
        LaterError: throttled or out, for longer than was waited.
    """
    progress = Progress(cursor=cursor)
    while True:
        part = _tried(partial(_part, histories, since, kinds, progress.cursor), sleep)
        told = [
            [cloud_event(one.id, event) for event in one.events if event.at >= since]
            for one in part.histories
        ]
        events = [event for of_item in told for event in of_item]
        refused: tuple[str, ...] = ()
        for start in range(0, len(events), BATCH):
            refused += _tried(partial(_put, bus, events[start : start + BATCH]), sleep)
        progress = Progress(
            rows=progress.rows + part.rows,
            items=progress.items + sum(1 for of_item in told if of_item),
            events=progress.events + len(events) - len(refused),
            refused=progress.refused + refused,
            cursor=part.cursor,
        )
        yield progress
        if part.cursor is None:
            return


def _part(histories: Histories, since: datetime, kinds: Collection[str], cursor: str | None) -> Part:
    return histories.part(since, kinds, cursor=cursor, limit=PART)


def _put(bus: Bus, batch: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the ids of those that are never taken; the others went out."""
    try:
        bus.publish(batch)
    except PoisonError as error:
        return tuple(str(batch[index]["id"]) for index in error.poison)
    return ()


def _tried(what: Callable[[], T], sleep: Callable[[float], None]) -> T:
    for again in range(TRIES - 1):
        try:
            return what()
        except LaterError:
            sleep(min(FIRST_WAIT * 2**again, LONGEST_WAIT))
    return what()
