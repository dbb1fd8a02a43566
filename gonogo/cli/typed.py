"""Times and people as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

import typer

from gonogo.core.actor import Actor


@overload
def moment(text: str) -> datetime: ...
@overload
def moment(text: str | None) -> datetime | None: ...
def moment(text: str | None) -> datetime | None:
    """Read a time with its time zone, as in 2026-12-01T08:00Z, and return it in UTC.

    Raises:
        typer.BadParameter: it is none, or leaves open whose time it is.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-12-01T08:00Z") from error
    if at.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone: end it with Z or +01:00")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise typer.BadParameter(f"{text!r} is beyond all times") from error


@overload
def somebody(key: str) -> Actor: ...
@overload
def somebody(key: str | None) -> Actor | None: ...
def somebody(key: str | None) -> Actor | None:
    """Read issuer#subject.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return Actor.parse(key) if key is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
