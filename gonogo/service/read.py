"""What may be read: everybody whom policy knows may read every launch, so that nobody asks why one waits."""

from __future__ import annotations

import msgspec

from gonogo.core.actor import Actor
from gonogo.core.delivery import Waiting
from gonogo.core.event import Event
from gonogo.core.gates import Gate, GateState
from gonogo.core.launch import Launch, LaunchSummary
from gonogo.core.policy import Principal
from gonogo.core.states import State
from gonogo.ports import Outside, Page
from gonogo.service import saving


class InboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One gate that waits for the reader."""

    launch: Launch
    gate: Gate


def launch(outside: Outside, launch_id: str) -> Launch:
    """Return one launch; NotFoundError if there is none by that id."""
    return saving.load(outside.items, launch_id)


def history(outside: Outside, launch_id: str) -> tuple[list[Event], str | None]:
    """Return all events of a launch, oldest first, and the hash that was kept of the last one.

    Raises:
        NotFoundError: there is none by that id.
    """
    item = saving.load(outside.items, launch_id)
    first = item.history[0].seq if item.history else 1
    older = outside.items.put_aside(Launch, launch_id) if first > 1 else []
    return [*(one for one in older if one.seq < first), *item.history], item.head


def launches_of(outside: Outside, requester: Actor, *, cursor: str | None, limit: int) -> Page:
    """Return a page of what somebody asked for, newest first."""
    return outside.items.feed(LaunchSummary, f"requester#{requester.key}", cursor=cursor, limit=limit)


def launches_in(outside: Outside, state: State, *, cursor: str | None, limit: int) -> Page:
    """Return a page of the launches in one state, newest first."""
    return outside.items.in_state(LaunchSummary, state, cursor=cursor, limit=limit)


def inbox(outside: Outside, reader: Principal, *, cursor: str | None, limit: int) -> Page:
    """Return a page of the gates that wait for the reader, each checked against its launch as it is now."""
    page = outside.items.feed(Waiting, f"inbox#{reader.actor.key}", cursor=cursor, limit=limit)
    found = outside.items.get_many(Launch, [one.launch for one in page.items])
    entries = []
    for one in page.items:
        item = found.get(one.launch)
        gate = next((gate for gate in item.gates if gate.name == one.gate), None) if item else None
        if item is None or gate is None or gate.state is not GateState.OPEN or gate.round != one.round:
            continue
        if gate.decision_of(reader.actor) is None:
            entries.append(InboxEntry(launch=item, gate=gate))
    return Page(tuple(entries), page.cursor)
