"""A place that is looked over: every few minutes, what runs there is held against what is known of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gonogo.core import canonical, event
from gonogo.core.item import Item, Listed
from gonogo.core.plan import Place

EVERY = timedelta(minutes=5)
"""How often a place is looked over while something of ours is there."""
SHOWN = timedelta(hours=1)
"""After so long nothing is too new to be seen; EC2 forgets as soon what has ended (EC2 user guide, "Terminate")."""
LINGERS = timedelta(minutes=15)
"""How long it is looked over at least once something is about to be launched: EC2 may not show at once what is new,
and what nobody has seen yet is not known to be there (EC2 API reference, "Eventual consistency")."""

Why = Literal["untagged", "no_launch", "not_of_launch", "changed"]


class Watch(Item, frozen=True, kw_only=True):
    """One region of one account where instances were launched; `looked_at` is when it was last looked over.

    It does not rest before `until`.
    """

    kind = "watch"

    place: Place
    looked_at: datetime | None = None
    until: datetime


def watch_id(account: str | None, region: str) -> str:
    """Return the one id of an account's region; None for gonogo's own account."""
    return canonical.name("w", account or "", region)


def id_of(place: Place) -> str:
    """Return the id of the place's watch."""
    return watch_id(place.number, place.region)


def begun(place: Place, at: datetime) -> Watch:
    """Return a new watch of a place."""
    return Watch(id=id_of(place), at=at, updated_at=at, place=place, until=at + LINGERS, due_at=at + EVERY)


def woken(watch: Watch, place: Place, at: datetime) -> Watch:
    """Return the watch going on for a while, by the roles of this place; the very same where it does already."""
    if watch.due_at is not None and watch.place == place and watch.until - at >= LINGERS / 2:
        return watch
    return watch.changed(
        place=place, until=at + LINGERS, due_at=watch.due_at or at + EVERY, updated_at=at
    ).next_version()


def looked(watch: Watch, *, live: bool, at: datetime) -> Watch:
    """Record that the place was looked over; it rests when nothing of ours is there any more."""
    goes_on = live or at < watch.until
    return watch.changed(looked_at=at, due_at=at + EVERY if goes_on else None, updated_at=at).next_version()


STRAYS = "stray"
"""The list of all instances that ran without an approval."""


class StraySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of strays shows of one."""

    id: str
    at: datetime


class Stray(Item, frozen=True, kw_only=True):
    """An instance that runs without an approval; it is told of once."""

    kind = "stray"

    place: Place
    why: Why

    def listed(self) -> Listed:
        """Stand in the list of strays."""
        return Listed(state=STRAYS, summary=StraySummary(id=self.id, at=self.at))


def stray(told: event.InstanceUnapproved, place: Place, at: datetime) -> Stray:
    """Return what is told of an instance that runs without an approval."""
    made = Stray(id=told.instance, at=at, updated_at=at, place=place, why=told.why)
    return made.happened(at, told)
