"""What is billed of something that is not itself sold by the hour: units, as a template of the policy names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from gonogo.core.plan import Unit


class Priced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many of one thing that prices.toml knows."""

    kind: Annotated[str, Meta(min_length=1, max_length=100)]
    quantity: Annotated[int, Meta(ge=1, le=10_000)] = 1


def units_of(priced: Sequence[Priced]) -> tuple[Unit, ...]:
    """Return them as a plan has them."""
    return tuple(Unit(one.kind, one.quantity) for one in priced)
