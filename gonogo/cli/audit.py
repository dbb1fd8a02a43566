"""The command of an auditor: whether a history is whole, and as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gonogo.cli import screen
from gonogo.cli.desk import Exit, JsonOption, desk
from gonogo.core import chain
from gonogo.core.chain import Bad, Head, Restored, Verified


def verify(
    context: typer.Context,
    launch_id: Annotated[
        str | None,
        typer.Argument(metavar="LAUNCH", help="A launch, read from the deployment.", show_default=False),
    ] = None,
    *,
    exported: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", metavar="FILE", help="Events in a file: a JSON list, or one a line. Repeatable."
        ),
    ] = None,
    anchors: Annotated[
        list[Path] | None,
        typer.Option(
            "--anchor", metavar="FILE", help="Events that were kept where nobody can change them. Repeatable."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that each event carries the hash of the one before it, and name the first that does not.

    It leaves with 1 where something was changed, taken away or put in. With --anchor, what was kept is held
    against what is there now.
    """
    if (launch_id is None) == (not exported):
        raise typer.BadParameter("name either a LAUNCH or a --file")
    kept = chain.verify(event for path in anchors or () for event in _events(path))
    if kept.bad:
        raise typer.BadParameter(f"the anchor is not whole itself: {_said(kept.bad[0])}")
    heads = list(kept.heads)
    if launch_id is not None:
        with desk(context).client() as client:
            found = client.history(launch_id)
        events = list(found["items"])
        heads = [one for one in heads if one.subject == launch_id]
        if found.get("head") and events:
            heads.append(Head(launch_id, int(events[-1]["seq"]), str(found["head"])))
    else:
        events = [event for path in exported or () for event in _events(path)]
    verified = chain.verify(events, heads)
    if as_json:
        screen.print_json(msgspec.to_builtins(verified))
    else:
        _show(verified)
    if verified.bad:
        raise typer.Exit(Exit.REFUSED)


def _show(verified: Verified) -> None:
    for one in verified.bad:
        screen.show(screen.line(_said(one), "red"))
    for restored in verified.restored:
        screen.show(screen.line(_said_of(restored), "yellow"))
    words = f"{verified.events} events of {verified.items} items"
    if verified.unchained:
        words += f", {verified.unchained} of them written before events were chained"
    screen.show(
        screen.line(f"{words}: {'NOT as they were written' if verified.bad else 'as they were written'}.")
    )


def _said(bad: Bad) -> str:
    return f"{bad.subject}, event {bad.seq}: {bad.why}."


def _said_of(restored: Restored) -> str:
    lost = (
        f"; events {', '.join(map(str, restored.lost))} are of the time that it lost" if restored.lost else ""
    )
    return (
        f"{restored.subject}: the table was restored after event {restored.last}, and epoch {restored.epoch} "
        f"goes on from there{lost}."
    )


def _events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Return a file's events: the API's answer, a list, or one a line, in EventBridge's envelope or without.

    Raises:
        typer.BadParameter: it cannot be read.
    """
    try:
        found = _decoded(path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"{path} is no JSON: {error}") from error
    for one in found:
        event = one.get("detail", one) if isinstance(one, Mapping) else None
        if not isinstance(event, Mapping):
            raise typer.BadParameter(f"{path} holds something that is no event")
        yield event


def _decoded(raw: bytes) -> list[Any]:
    try:
        whole = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return list(msgspec.json.Decoder().decode_lines(raw))
    if isinstance(whole, Mapping):
        return list(whole["items"]) if isinstance(whole.get("items"), list) else [whole]
    return list(whole) if isinstance(whole, list) else [whole]
