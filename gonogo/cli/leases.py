"""Commands about what runs: let it run for longer, and say, as an outside system, what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gonogo.cli import screen, typed, views
from gonogo.cli.desk import Exit, IdArgument, JsonOption, desk
from gonogo.client import Json, Outcome
from gonogo.core import duration
from gonogo.core.plan import NEVER


def extend(
    context: typer.Context,
    launch_id: IdArgument,
    *,
    by: Annotated[
        str | None, typer.Option("--by", metavar="TIME", help="For how much longer: 8h, 7d.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help=f"Until when: 2026-12-01T08:00Z, or {NEVER}."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why, for whoever decides, if not why it was launched.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let a launch run for longer: at once, or after the gates that policy asks for."""
    if (by is None) == (until is None):
        raise typer.BadParameter("say for how much longer: --by 7d, or --until WHEN")
    given = typed.moment(until) if until != NEVER else None
    with desk(context).client() as client:
        end = given if by is None else _later(client.launch(launch_id), by)
        after = client.extend(launch_id, until=end, reason=reason)
    if as_json:
        screen.print_json(after)
        return
    screen.show(views.brief(after))
    if after["id"] == launch_id:
        ends = after.get("lease_ends_at")
        screen.show(screen.under(screen.line(f"ends at {screen.when(ends)}" if ends else "has no end")))
    else:
        screen.tell(screen.line(f"It waits for a GO first: `gonogo wait {after['id']}` waits for that."))


def _later(launch: Json, by: str) -> datetime:
    """Return the end of the lease, and so much later.

    Raises:
        typer.BadParameter: that is no length of time.
        typer.Exit: there is no end that could be later.
    """
    try:
        length = duration.parse(by)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    ends = launch.get("lease_ends_at")
    if not ends:
        screen.tell(screen.line(f"It is {launch['state']} and has no end. Nothing was changed.", "red"))
        raise typer.Exit(Exit.REFUSED)
    try:
        return datetime.fromisoformat(ends).astimezone(UTC) + length
    except OverflowError as error:
        raise typer.BadParameter(f"{by!r} more is beyond all times") from error


def report(
    context: typer.Context,
    launch_id: IdArgument,
    outcome: Annotated[
        str,
        typer.Argument(metavar="OUTCOME", help="started, failed, stopped or terminated.", show_default=False),
    ],
    *,
    digest: Annotated[
        str, typer.Option("--digest", metavar="HEX", help="What was launched: the digest that you read.")
    ],
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, help="Which attempt that was.", show_default=False)
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", metavar="ID", help="What was made; again for each.")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", help="Why it failed, in a word.")] = None,
    message: Annotated[str | None, typer.Option("--message", help="Why it failed, in a sentence.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say, as the outside system that launches it, that a launch started, failed, stopped or ended."""
    said = _outcome(outcome)
    with desk(context).client() as client:
        after = client.report(
            launch_id,
            digest=digest,
            outcome=said,
            attempt=attempt,
            resources=resource or (),
            code=code,
            message=message,
        )
    screen.print_json(after) if as_json else screen.show(views.brief(after))


def _outcome(text: str) -> Outcome:
    known: dict[str, Outcome] = {
        "started": "started",
        "failed": "failed",
        "stopped": "stopped",
        "terminated": "terminated",
    }
    if text not in known:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}")
    return known[text]
