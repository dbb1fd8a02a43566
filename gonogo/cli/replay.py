"""The command that tells again what happened, to the bus or to one queue, with one's own AWS credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gonogo.cli import screen, typed
from gonogo.cli.desk import Exit, JsonOption, desk
from gonogo.core.errors import GonogoError

if TYPE_CHECKING:
    from gonogo.ports import Bus, Histories


def replay(
    context: typer.Context,
    *,
    since: Annotated[
        str,
        typer.Option("--since", metavar="WHEN", help="Every event from then on: 2026-11-01T00:00Z."),
    ],
    table: Annotated[
        str, typer.Option("--table", help="The table of the deployment: see its stack's outputs.")
    ],
    region: Annotated[
        str, typer.Option("--region", help="Where the table is.", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"])
    ],
    bus: Annotated[
        str | None, typer.Option("--bus", metavar="NAME", help="To this bus, and all who subscribe to it.")
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="QUEUE_URL", help="To this SQS queue only, as EventBridge would deliver it."
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="Of this kind of item only, such as usage, launch or instance; give it again for more.",
        ),
    ] = None,
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", help="Go on where an earlier replay, with the same options, ended."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell again every event from a time on, under the same ids, with your own AWS credentials.

    It reads the whole table once. Events that somebody knows already come to them as on any redelivery.
    """
    from gonogo.service import replay as replaying

    at = typed.moment(since)
    if (bus is None) == (queue is None):
        raise typer.BadParameter("say to whom: --bus NAME, or --to QUEUE_URL")
    histories, way = _outside(table, region, bus, queue)
    progress = replaying.Progress(cursor=cursor)
    try:
        for progress in replaying.replay(
            histories, way, at, kind or (), cursor=cursor, sleep=desk(context).sleep
        ):
            _told(progress.rows, progress.events, progress.items)
    except (GonogoError, KeyboardInterrupt) as error:
        screen.tell(screen.line(str(error) or "Interrupted.", "red"))
        if progress.cursor is not None:
            screen.tell(screen.line(f"The same command with this added goes on: --cursor {progress.cursor}"))
        raise typer.Exit(Exit.REFUSED) from error
    for one in progress.refused:
        screen.tell(screen.line(f"never taken: {one}", "red"))
    if as_json:
        screen.print_json(
            {
                "rows": progress.rows,
                "items": progress.items,
                "events": progress.events,
                "refused": list(progress.refused),
            }
        )
    else:
        text = f"{progress.events} events of {progress.items} items were told again."
        screen.show(screen.line(text, "red" if progress.refused else "green"))
    if progress.refused:
        raise typer.Exit(Exit.REFUSED)


def _told(rows: int, events: int, items: int) -> None:
    screen.tell(screen.line(f"{rows} rows read, {events} events of {items} items told", "dim"))


def _outside(table: str, region: str, bus: str | None, queue: str | None) -> tuple[Histories, Bus]:
    try:
        from gonogo.aws.bus import EventBridge, Subscriber  # only who publishes needs AWS
        from gonogo.aws.histories import Histories as OnDynamoDb
    except ImportError as error:
        raise typer.BadParameter("replaying needs more: pip install 'gonogo[publish]'") from error
    way: Bus = Subscriber(queue, region) if queue is not None else EventBridge(bus or "", region)
    return OnDynamoDb(table, region), way
