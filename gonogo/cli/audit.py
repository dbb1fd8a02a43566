"""The command of an auditor: whether a history is whole, and as it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gonogo.cli import screen, typed
from gonogo.cli.desk import Exit, JsonOption, desk
from gonogo.core import chain
from gonogo.core.anchors import Anchor, Held, Span, hold, read
from gonogo.core.chain import Bad, Head, Restored, Verified
from gonogo.core.errors import EdgeError, InvalidError

DEFAULT_REGION = "us-east-1"
"""Where to ask for a bucket when nobody said: S3 sends a client on to the bucket's own region."""


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
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            "--kept",
            metavar="FILE",
            help="Events that were kept where nobody can change them, to compare. Repeatable.",
        ),
    ] = None,
    anchors: Annotated[
        str | None,
        typer.Option(
            "--anchors",
            metavar="PLACE",
            help="What the deployment anchored: s3://BUCKET/anchors/, or a folder that it was copied to.",
        ),
    ] = None,
    region: Annotated[
        str,
        typer.Option("--region", help="Where the bucket is.", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"]),
    ] = DEFAULT_REGION,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="The files have all from then on: 2026-11-01T00:00Z."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="The files have all before then: 2026-12-01T00:00Z."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that each event carries the hash of the one before it, and name the first that does not.

    It leaves with 1 where something was changed, taken away or put in. With --kept or --anchors, what left the
    table when it happened is held against what is there now: only that finds a history that was written anew.
    """
    if (launch_id is None) == (not exported):
        raise typer.BadParameter("name either a LAUNCH or a --file")
    if (since or until) and (anchors is None or launch_id is not None):
        raise typer.BadParameter(
            "--since and --until say what the files have, to hold them against --anchors"
        )
    span = Span(typed.moment(since), typed.moment(until))
    found, broken = _anchored(anchors, region, launch_id) if anchors is not None else ([], [])
    verified = _verified(context, launch_id, exported or (), kept or ())
    held = hold(verified, found, span) if anchors is not None else None
    if held is not None:
        verified = msgspec.structs.replace(verified, bad=held.bad, restored=held.restored)
    if as_json:
        more = {} if held is None else {"anchored": msgspec.to_builtins(held), "broken_anchors": broken}
        screen.print_json({**msgspec.to_builtins(verified), **more})
    else:
        _show(verified, held, broken)
    if verified.bad or broken:
        raise typer.Exit(Exit.REFUSED)


def _verified(
    context: typer.Context, launch_id: str | None, exported: Iterable[Path], kept: Iterable[Path]
) -> Verified:
    before = chain.verify(event for path in kept for event in _events(path))
    if before.bad:
        raise typer.BadParameter(f"what was kept is not whole itself: {_said(before.bad[0])}")
    heads = list(before.heads)
    if launch_id is None:
        return chain.verify((event for path in exported for event in _events(path)), heads)
    with desk(context).client() as client:
        found = client.history(launch_id)
    events = list(found["items"])
    heads = [one for one in heads if one.subject == launch_id]
    if found.get("head") and events:
        heads.append(Head(launch_id, int(events[-1]["seq"]), str(found["head"])))
    return chain.verify(events, heads)


def _anchored(place: str, region: str, subject: str | None) -> tuple[list[Anchor], list[str]]:
    """Return the anchors of an item, or of all, and what is wrong with files that are none.

    Raises:
        typer.BadParameter: there is no such place, it cannot be read, or nothing is there.
    """
    found: set[Anchor] = set()
    broken: list[str] = []
    files = 0
    try:
        for name, lines in _files(place, region):
            files += 1
            try:
                found.update(read(name, lines))
            except InvalidError as error:
                broken.append(str(error))
    except EdgeError as error:
        raise typer.BadParameter(f"{place} cannot be read: {error}", param_hint="--anchors") from error
    except OSError as error:
        raise typer.BadParameter(
            f"{place} cannot be read: {error.strerror}", param_hint="--anchors"
        ) from error
    if not files:
        raise typer.BadParameter(f"{place} has no anchors", param_hint="--anchors")
    return [one for one in found if subject in {None, one.subject}], broken


def _files(place: str, region: str) -> Iterator[tuple[str, bytes]]:
    if place.startswith("s3://"):
        from gonogo.aws.anchors import versions  # only who reads a bucket needs AWS

        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        yield from versions(bucket, prefix, region)
        return
    for path in sorted(Path(place).rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()


def _show(verified: Verified, held: Held | None, broken: Iterable[str]) -> None:
    for text in (*broken, *map(_said, verified.bad)):
        screen.show(screen.line(text, "red"))
    for restored in verified.restored:
        screen.show(screen.line(_said_of(restored), "yellow"))
    words = f"{verified.events} events of {verified.items} items"
    if verified.unchained:
        words += f", {verified.unchained} of them written before events were chained"
    screen.show(
        screen.line(f"{words}: {'NOT as they were written' if verified.bad else 'as they were written'}.")
    )
    if held is None:
        return
    if held.last is None:
        screen.show(screen.line("Nothing of it is anchored.", "yellow"))
        return
    words = f"{held.covered} of them are covered by {held.anchors} anchors, the last of {held.last:%Y-%m-%d %H:%M:%S} UTC"
    screen.show(screen.line(words + (f"; {held.uncovered} are not." if held.uncovered else ".")))


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
