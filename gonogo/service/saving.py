"""Load, decide, save: and once more from the start when somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from gonogo.core.errors import BusyError, NotFoundError, VersionConflictError
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.ports import Items

TRIES = 20
LONGEST_ID = 64
"""Characters; what is longer is no id of ours, and may be no key that DynamoDB can look for (2,048 bytes)."""

AT_ONCE = 100
"""How many items are read in one call (DynamoDB API reference, BatchGetItem)."""

T = TypeVar("T", bound=Item)
Command = Callable[[T], T]


def load(items: Items, launch_id: str) -> Launch:
    """Return the launch as it is now.

    Raises:
        NotFoundError: there is none by that id.
    """
    launch = items.get(Launch, launch_id) if len(launch_id) <= LONGEST_ID else None
    if launch is None:
        raise NotFoundError("There is no launch by that id.")
    return launch


def load_many(items: Items, kind: type[T], ids: Iterable[str]) -> dict[str, T]:
    """Return those items that exist, by id, sorted by it: one call for each hundred."""
    wanted = sorted(set(ids))
    found: dict[str, T] = {}
    for start in range(0, len(wanted), AT_ONCE):
        found |= items.get_many(kind, wanted[start : start + AT_ONCE])
    return {one: found[one] for one in wanted if one in found}


def change(items: Items, item: T, command: Command[T]) -> T:
    """Apply a command to an item and save what it makes of it, if it makes anything of it.

    The command is asked again, with the item as it is then, each time another write came first; so a
    command must tell by the item alone what is left to do.

    Raises:
        BusyError: others were faster every time.
    """
    for _ in range(TRIES):
        after = command(item)
        if after is item:
            return item
        try:
            items.save(item, after)
        except VersionConflictError:
            found = items.get(type(item), item.id)
            if found is None:
                raise BusyError(f"{item.kind} {item.id} is gone") from None
            item = found
        else:
            return after
    raise BusyError(f"{item.kind} {item.id} kept changing; nothing was changed, try again.")
