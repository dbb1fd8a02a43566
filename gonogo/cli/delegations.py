"""The command of whoever is away: who decides in their place, and until when."""

from __future__ import annotations

from typing import Annotated

import typer

from gonogo.cli import screen, typed, views
from gonogo.cli.desk import JsonOption, desk


def delegate(
    context: typer.Context,
    to: Annotated[
        str | None, typer.Argument(metavar="TO", help="Who decides: issuer#subject.", show_default=False)
    ] = None,
    *,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="Until when, 90 days at most: 2026-12-01T08:00Z."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="WHEN", help="From when; from now if not said.")
    ] = None,
    of: Annotated[
        str | None, typer.Option("--of", metavar="ISSUER#SUBJECT", help="In whose place, if not in yours.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Let nobody decide in their place any more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let somebody decide in your place for a time, or end that; without TO, show who does."""
    if end and (to or until or since):
        raise typer.BadParameter("--end takes neither TO nor --until nor --from")
    if to is None and (until or since):
        raise typer.BadParameter("say TO whom: issuer#subject")
    if to is not None and until is None:
        raise typer.BadParameter("say --until when")
    person, whom, ends, begins = (
        typed.somebody(to),
        typed.somebody(of),
        typed.moment(until),
        typed.moment(since),
    )
    with desk(context).client() as client:
        if end:
            found = client.end_delegation(whom)
        elif person is not None and ends is not None:
            found = client.delegate(person, until=ends, since=begins, of=whom)
        else:
            found = client.delegation(whom)
    screen.print_json(found) if as_json else screen.show(views.delegation(found))
