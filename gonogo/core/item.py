"""What every stored thing has: an id, a version, a history of events, and at most one alarm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from gonogo.core import event as events
from gonogo.core.event import Event

CUE_FIRST = timedelta(minutes=5)
CUE_LONGEST = timedelta(hours=6)
EPOCH = 10**9
"""How many events an item can have in one epoch: those of the next have seqs that none ever had before."""
EPOCHS = 1000
"""How many epochs there can be: a seq has at most the twelve digits by which histories are sorted."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Where an item stands in lists: in whose `feed`, under which `state`, and the `summary` they show."""

    feed: str | None = None
    state: str | None = None
    summary: msgspec.Struct | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in one item; every change is a new value with the next version.

    `cue` names the events (by `seq`) that somebody must act on. Until the item changes, its alarm gives
    them again, under the ids that they have, so that a lost event strands nothing. `head` is the hash of the
    last event, which the next one will carry.
    """

    kind: ClassVar[str]

    id: str
    version: int = 1
    seq: int = 0
    at: datetime
    updated_at: datetime
    history: tuple[Event, ...] = ()
    head: str | None = None
    cue: tuple[int, ...] = ()
    cue_times: int = 0
    due_at: datetime | None = None

    @property
    def kept(self) -> tuple[Event, ...]:
        """The events that stay on the item when it is saved: a full history loses its oldest half."""
        return self.history if len(self.history) <= events.KEEP else self.history[events.KEEP // 2 :]

    def listed(self) -> Listed:
        """Return where the item stands in lists; nowhere unless its kind says so."""
        return Listed()

    def happened(self, at: datetime, *data: events.Data) -> Self:
        """Return the item with these events appended; the version is not touched."""
        new: list[Event] = []
        head = self.head
        if head is None and self.history:
            head = events.hash_of(self.id, self.history[-1])
        for seq, one in enumerate(data, self.seq + 1):
            new.append(Event(seq, one.type, at, one.facts(), head))
            head = events.hash_of(self.id, new[-1])
        return msgspec.structs.replace(
            self, seq=self.seq + len(new), history=(*self.history, *new), head=head, updated_at=at
        )

    def changed(self, **fields: Any) -> Self:
        """Return the item with these fields replaced; the version is not touched."""
        return msgspec.structs.replace(self, **fields)

    def next_version(self) -> Self:
        """Return the item as the next version: what a save writes."""
        return msgspec.structs.replace(self, version=self.version + 1)

    def cued(self, at: datetime, *seqs: int) -> Self:
        """Return the item waiting for somebody to act on these events; they come again if nobody does."""
        return msgspec.structs.replace(self, cue=seqs, cue_times=0, due_at=at + CUE_FIRST)

    def cued_again(self, at: datetime) -> Self:
        """Return the item giving its cue again: same events, same ids, twice the wait."""
        wait = min(CUE_FIRST * 2 ** min(self.cue_times + 1, 20), CUE_LONGEST)
        return msgspec.structs.replace(self, cue_times=self.cue_times + 1, due_at=at + wait, updated_at=at)

    def settled(self) -> Self:
        """Return the item waiting for nobody."""
        return msgspec.structs.replace(self, cue=(), cue_times=0, due_at=None)


T = TypeVar("T", bound=Item)


def epoch_of(seq: int) -> int:
    """Return the epoch in which an event of this `seq` happened."""
    return (seq - 1) // EPOCH + 1


def in_epoch(item: T, epoch: int) -> T:
    """Return the item going on in this epoch: what happens to it from now on has seqs of it.

    A table that was restored knows nothing of events that went out after the time to which it was restored. So
    that no event ever has the id of one of those, its seqs begin anew with each epoch; in the first from 1.
    """
    least = (epoch - 1) * EPOCH
    return item if item.seq >= least else msgspec.structs.replace(item, seq=least)


def begun_in(item: T, epoch: int) -> T:
    """Return a new item as it is to be written in this epoch: all that happened to it happened in it."""
    least = (epoch - 1) * EPOCH
    if item.seq >= least:
        return item
    history: list[Event] = []
    head: str | None = None
    for one in item.history:
        history.append(msgspec.structs.replace(one, seq=least + one.seq, prev=head))
        head = events.hash_of(item.id, history[-1])
    return msgspec.structs.replace(
        item,
        seq=least + item.seq,
        history=tuple(history),
        head=head,
        cue=tuple(least + seq for seq in item.cue),
    )
