"""The policy as it is stored: immutable bundles, and the one that is in force."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime

import msgspec

from gonogo.core import event
from gonogo.core.bundle import digest_of
from gonogo.core.errors import BundleRefusedError, Fault
from gonogo.core.item import Item

LARGEST = 350 * 1024
"""Bytes of a compressed bundle: an item holds 400 KB (DynamoDB service quotas, "item size")."""


class StoredBundle(Item, frozen=True, kw_only=True):
    """A bundle's files, compressed; `id` is the bundle's digest."""

    kind = "bundle"

    packed: bytes

    @property
    def files(self) -> dict[str, str]:
        """The files: path to text.

        Raises:
            BundleRefusedError: they are not the files of this digest.
        """
        files = msgspec.json.decode(zlib.decompress(self.packed), type=dict[str, str])
        if digest_of(files) != self.id:
            raise BundleRefusedError(Fault(self.id, "digest", "the stored files are not of this digest"))
        return files


class CurrentPolicy(Item, frozen=True, kw_only=True):
    """Which bundle is in force; there is one such item."""

    kind = "policy"

    bundle: str


CURRENT = "current"


def stored(files: Mapping[str, str], at: datetime) -> StoredBundle:
    """Return the bundle ready to store.

    Raises:
        BundleRefusedError: it is too large.
    """
    packed = zlib.compress(msgspec.json.encode(dict(files)), 9)
    if len(packed) > LARGEST:
        raise BundleRefusedError(
            Fault("", "maximum", f"is {len(packed)} bytes compressed; {LARGEST} at most")
        )
    return StoredBundle(id=digest_of(files), at=at, updated_at=at, packed=packed)


def in_force(
    before: CurrentPolicy | None, bundle: str, at: datetime, change: str | None = None
) -> CurrentPolicy:
    """Return the policy with this bundle in force, by this change; the very same where it is already."""
    if before is not None and before.bundle == bundle:
        return before
    published = event.BundlePublished(
        bundle=bundle, previous=before.bundle if before else None, change=change
    )
    if before is None:
        return CurrentPolicy(id=CURRENT, at=at, updated_at=at, bundle=bundle).happened(at, published)
    return before.changed(bundle=bundle).happened(at, published).next_version()
