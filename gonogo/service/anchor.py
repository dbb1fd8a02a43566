"""The heads of chains are put where nobody can change them, many in one file."""

from __future__ import annotations

from collections.abc import Collection

from gonogo.core import anchors
from gonogo.core.anchors import Anchor
from gonogo.ports import Outside


def anchor(outside: Outside, found: Collection[Anchor]) -> None:
    """Put these aside as one file; the same ones again are the same file again.

    Raises:
        LaterError, RefusedError: they are not kept; all are to come again.
    """
    if found:
        name, lines = anchors.written(found)
        outside.anchors.put(name, lines)
