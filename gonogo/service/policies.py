"""The policy's bundles: publish one, and read the one in force or the one that a launch was judged by."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime

from gonogo.core import policy, published
from gonogo.core.bundle import Bundle
from gonogo.core.errors import BundleRefusedError, Fault, ItemExistsError, PolicyMissingError
from gonogo.core.published import CURRENT, CurrentPolicy, StoredBundle
from gonogo.ports import Items
from gonogo.service import saving

KEPT = 16
"""How many bundles a process keeps ready; more than ever wait at a time."""


class Policies:
    """`ports.Policies` over the table. A bundle never changes, so it is read and checked once a process."""

    def __init__(self, items: Items, trusts: Callable[[str], bool]) -> None:
        """Take the table, and which issuers the people of a bundle may have."""
        self._items = items
        self._trusts = trusts
        self._ready: dict[str, Bundle] = {}

    def current(self) -> Bundle:
        """Return the bundle that is in force now."""
        now = self._items.get(CurrentPolicy, CURRENT)
        if now is None:
            raise PolicyMissingError
        return self.pinned(now.bundle)

    def pinned(self, digest: str) -> Bundle:
        """Return the bundle of this digest."""
        ready = self._ready.get(digest)
        if ready is None:
            stored = self._items.get(StoredBundle, digest)
            if stored is None:
                raise PolicyMissingError(f"The policy bundle {digest} is missing, so nothing is permitted.")
            try:
                ready = accept(stored.files, self._trusts)
            except BundleRefusedError as error:
                raise PolicyMissingError(f"The policy bundle {digest} is refused: {error}") from error
            if len(self._ready) >= KEPT:
                self._ready.pop(next(iter(self._ready)))
            self._ready[digest] = ready
        return ready


def accept(files: Mapping[str, str], trusts: Callable[[str], bool]) -> Bundle:
    """Return the checked bundle.

    Raises:
        BundleRefusedError: it breaks rules, or has people of an issuer that is not trusted here.
    """
    bundle = policy.accept(files)
    strange = sorted({actor.issuer for actor in bundle.people if not trusts(actor.issuer)})
    if strange:
        raise BundleRefusedError(
            *(Fault("people.toml", "issuer", f"the issuer {one!r} is not trusted here") for one in strange)
        )
    return bundle


def publish(items: Items, files: Mapping[str, str], trusts: Callable[[str], bool], now: datetime) -> Bundle:
    """Store a bundle under its digest and put it in force; doing it again changes nothing.

    Raises:
        BundleRefusedError: it breaks rules; what is in force stays in force.
    """
    bundle = accept(files, trusts)
    with contextlib.suppress(ItemExistsError):
        items.add(published.stored(files, now))
    before = items.get(CurrentPolicy, CURRENT)
    if before is None:
        try:
            items.add(published.in_force(None, bundle.digest, now))
        except ItemExistsError:
            before = items.get(CurrentPolicy, CURRENT)
    if before is not None:
        saving.change(items, before, lambda policy: published.in_force(policy, bundle.digest, now))
    return bundle
