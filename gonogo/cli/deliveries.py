"""Commands about notices: what was told to whom, what could not be, and having it sent again."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from typer.core import TyperGroup

from gonogo.cli import screen
from gonogo.cli.desk import Exit, JsonOption, desk
from gonogo.cli.launches import LimitOption, gather, tell_more
from gonogo.client import Json, ProblemError, checked_id

MOST = 1000
"""How many notices `--all-failed` sends again at once."""


class Listing(TyperGroup):
    """A group that lists, unless a command is named: a launch may stand where a command would."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in its place where no command is named."""
        if "--help" not in args[:1] and (not args or args[0] not in self.commands):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _id(text: str | None) -> str | None:
    try:
        return None if text is None else checked_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def list_deliveries(
    context: typer.Context,
    launch_id: Annotated[
        str | None,
        typer.Argument(metavar="[LAUNCH]", help="All of this launch.", show_default=False, callback=_id),
    ] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only what was given up.")] = False,
    limit: LimitOption = 25,
    as_json: JsonOption = False,
) -> None:
    """List the notices of a launch; or of all, those that were given up and those that wait for another try."""
    with desk(context).client() as client:
        if launch_id is not None:
            found, more = client.launch_deliveries(launch_id), False
        else:
            found, more = _in_trouble(client.deliveries, "failed", limit)
            if not failed and not more:
                rest, more = _in_trouble(client.deliveries, "waiting", limit - len(found))
                found += rest
    if failed:
        found = [one for one in found if any(way["state"] == "failed" for way in one["channels"])]
    if as_json:
        screen.print_json(found)
        return
    if found:
        screen.show(
            screen.table("NOTICE", "WHAT", "HOW FAR", wrap="HOW FAR", rows=[_row(one) for one in found])
        )
    tell_more(found, more)


def redeliver(
    context: typer.Context,
    delivery_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The notice, such as d-abc...", show_default=False, callback=_id),
    ] = None,
    *,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="All that were given up.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have notices sent again that were given up, or wait for their next try: at once, where the receiver answers."""
    if (delivery_id is None) != all_failed:
        raise typer.BadParameter("say the ID of a notice, or --all-failed")
    refused = 0
    with desk(context).client() as client:
        if delivery_id is not None:
            done = [client.redeliver(delivery_id)]
        else:
            done = []
            for one in _in_trouble(client.deliveries, "failed", MOST)[0]:
                try:
                    done.append(client.redeliver(one["id"]))
                except ProblemError as error:
                    if error.status not in (403, 404, 409):
                        raise
                    refused += 1
                    screen.tell(screen.line(f"{one['id']}: {error.detail}", "red"))
    if as_json:
        screen.print_json(done if all_failed else done[0])
    else:
        notices = "notice" if len(done) == 1 else "notices"
        screen.show(screen.line(f"{len(done)} {notices} will be sent again."))
    if refused:
        raise typer.Exit(Exit.REFUSED)


def _in_trouble(page: Any, trouble: str, limit: int) -> tuple[list[Json], bool]:
    if limit <= 0:
        return [], True
    return gather(lambda cursor, size: page(trouble, cursor=cursor, limit=size), limit)


def _row(one: Json) -> list[RenderableType]:
    about = one["topic"] if one["gate"] is None else f"{one['topic']} {one['gate']}"
    return [
        Group(screen.line(one["id"]), screen.under(screen.line(one["launch"] or "-"))),
        Group(screen.line(about), screen.under(screen.line(screen.actor(one["to"])))),
        Group(*(screen.line(_how_far(way)) for way in one["channels"])),
    ]


def _how_far(way: Json) -> str:
    said = f"{way['channel']} {way['state']}"
    if way["state"] != "sent" and way["tries"]:
        said += f", tried {way['tries']} times" if way["tries"] > 1 else ", tried once"
    if way["next_try_at"]:
        said += f", again {screen.when(way['next_try_at'])}"
    return f"{said}: {way['error']}" if way["error"] else said
