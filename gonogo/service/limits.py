"""What each has done of late, in this process: nothing of it is written anywhere, and nothing is asked of AWS.

Whoever proves who they are is held to what they did themselves and to nothing that others did, so no flood shuts
out whoever may decide. Why so, and what a stranger can still cost, stands in docs/adr/0023-limits.md.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from gonogo.core import limit as limits
from gonogo.core.actor import Actor
from gonogo.core.errors import TooManyError
from gonogo.core.launch import LaunchSummary
from gonogo.core.limit import FAILURES, LAUNCHES, UNCOUNTED, Limit
from gonogo.ports import Outside

MOST = 4096
"""How many buckets of one limit are kept; the one that was used longest ago is forgotten first, which forgives."""


class Limits:
    """The buckets of one process. `launches` is how many one actor may ask for, anywhere."""

    def __init__(self, launches: Limit = LAUNCHES) -> None:
        """Begin with every bucket full."""
        self.launches = launches
        self._full_at: dict[str, OrderedDict[str, datetime]] = {}
        self._lock = threading.Lock()

    def use(self, limit: Limit, who: str, at: datetime) -> None:
        """Take one from somebody's bucket.

        Raises:
            TooManyError: it is empty.
        """
        with self._lock:
            kept = self._full_at.setdefault(limit.name, OrderedDict())
            kept[who] = limit.used(kept.get(who), at)
            kept.move_to_end(who)
            if len(kept) > MOST:
                kept.popitem(last=False)

    def require(self, limit: Limit, who: str, at: datetime) -> None:
        """Raise TooManyError if somebody's bucket is empty; take nothing."""
        with self._lock:
            limit.used(self._full_at.get(limit.name, OrderedDict()).get(who), at)


def failed(outside: Outside, source: str | None) -> None:
    """Count an attempt with a bearer or a code that is not good against where it came from, if that is known.

    Raises:
        TooManyError: there were so many from there that they are told to wait.
    """
    if source is not None:
        outside.limits.use(FAILURES, network(source), outside.now())


def network(source: str) -> str:
    """Return whom an address belongs to: itself, or of IPv6 the /64 that one subscriber has (RFC 6177)."""
    try:
        address = ip_address(source)
    except ValueError:
        return source[:64]
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def require_few_launches(outside: Outside, actor: Actor) -> None:
    """Raise TooManyError if the actor has asked for as many launches as one may in the last hour.

    The first few in a process are let pass unseen; then the newest of the actor's own are read, by one query of an
    index, so that what is asked of other processes counts too.
    """
    now, most = outside.now(), outside.limits.launches
    try:
        outside.limits.use(UNCOUNTED, actor.key, now)
    except TooManyError:
        newest = outside.items.feed(LaunchSummary, f"requester#{actor.key}", cursor=None, limit=most.quota)
        wait = limits.until_fewer(most, [one.at for one in newest.items], now)
        if wait is not None:
            raise most.broken(wait) from None
