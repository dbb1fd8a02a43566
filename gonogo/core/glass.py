"""Break-glass: who launched in an emergency, and whether that is reviewed; until then there is no next time."""

from __future__ import annotations

from datetime import datetime

from gonogo.core import canonical
from gonogo.core.actor import Actor
from gonogo.core.errors import UnreviewedError
from gonogo.core.gates import GateState
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.states import State

_NEVER_RAN = (State.FAILED, State.CANCELLED, State.EXPIRED, State.REJECTED)


class Glass(Item, frozen=True, kw_only=True):
    """The last launch for which somebody broke the glass: one item a person."""

    kind = "glass"

    actor: Actor
    launch: str


def glass_id(actor: Actor) -> str:
    """Return the one id of somebody's glass."""
    return canonical.name("g", actor.issuer, actor.subject)


def is_reviewed(launch: Launch | None) -> bool:
    """Tell whether nothing is left to review: it is decided, or the launch came to nothing."""
    if launch is None or launch.state in _NEVER_RAN:
        return True
    return bool(launch.reviews) and all(
        one.state in (GateState.GO, GateState.NO_GO) for one in launch.reviews
    )


def take(before: Glass | None, launch: Launch, last: Launch | None, at: datetime) -> Glass:
    """Return the glass broken for this launch; where it is already, there is a new version all the same.

    So whoever would break it again, by what was read while this launch had failed, must read again: it may have
    been retried. `last` is the launch that `before` names, as it is now.

    Raises:
        UnreviewedError: the last time is not reviewed yet.
    """
    actor = launch.question.requester
    if before is None:
        return Glass(id=glass_id(actor), at=at, updated_at=at, actor=actor, launch=launch.id)
    if before.launch == launch.id:
        return before.changed(updated_at=at).next_version()
    if not is_reviewed(last):
        raise UnreviewedError(before.launch)
    return before.changed(launch=launch.id, updated_at=at).next_version()
