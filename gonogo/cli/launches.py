"""Commands about launches: ask for one, see them, and change what one of them does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gonogo.cli import parameters, screen, typed, views
from gonogo.cli.desk import Desk, Exit, IdArgument, JsonOption, YesOption, confirm, desk
from gonogo.client import Change, Client, Json, NoAnswerError, new_idempotency_key
from gonogo.core import duration
from gonogo.core.states import State

STARTED = frozenset({State.RUNNING, State.STOPPED, State.TERMINATED})
ENDED = frozenset({State.REJECTED, State.EXPIRED, State.CANCELLED, State.FAILED})
PAGE = 100
"""The most that the API gives at once."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 15.0
"""Seconds between two looks at a launch that is waited for."""

TimeoutOption = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="How long to wait: 90s, 15m, 8h, 3d.")
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        metavar="NAME=VALUE",
        help="A parameter of the template, read as its type there; NAME:=JSON says the type itself.",
    ),
]
LeaseOption = Annotated[
    str | None, typer.Option("--lease", metavar="TIME", help="How long it may run: 8h, 30d, never.")
]
LaunchByOption = Annotated[
    str | None,
    typer.Option("--launch-by", metavar="WHEN", help="Launch it by then or not at all: 2026-12-01T08:00Z."),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]


def submit(
    context: typer.Context,
    template: Annotated[
        str, typer.Argument(metavar="TEMPLATE", help="What to launch: see `gonogo templates`.")
    ],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever decides.")],
    cost_center: Annotated[str, typer.Option("--cost-center", help="Who pays.")],
    parameter: ParameterOption = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call it.")] = None,
    lease: LeaseOption = None,
    on_behalf_of: Annotated[
        str | None, typer.Option("--on-behalf-of", metavar="ISSUER#SUBJECT", help="For whom, if not for you.")
    ] = None,
    launch_by: LaunchByOption = None,
    break_glass: Annotated[
        bool,
        typer.Option(
            "--break-glass", help="Launch it at once; others are told, and must review it afterwards."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask what would happen; nothing is stored.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is launched, or has ended otherwise.")
    ] = False,
    timeout: TimeoutOption = "1h",
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="The same key asks for the same launch."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for a launch; to break the glass it shows what that does, and asks."""
    if dry_run and wait:
        raise typer.BadParameter("a dry run makes nothing to wait for")
    limit, behalf, by = _seconds(timeout), typed.somebody(on_behalf_of), typed.moment(launch_by)
    given = [parameters.split(one) for one in parameter or ()]
    with desk(context).client() as client:
        asked: dict[str, Any] = {
            "parameters": parameters.typed(client, template, given),
            "reason": reason,
            "cost_center": cost_center,
            "name": name,
            "lease": lease,
            "on_behalf_of": behalf,
            "launch_by": by,
            "break_glass": break_glass,
        }
        shown = {name: asked[name] for name in ("name", "reason", "cost_center", "break_glass")}
        if dry_run:
            answer = client.dry_run(template, **asked)
            screen.print_json(answer) if as_json else screen.show(views.dry_run(answer, shown))
            return
        if break_glass and not yes:
            answer = client.dry_run(template, **asked)
            (screen.tell if as_json else screen.show)(views.dry_run(answer, shown))
            confirm("Break the glass?")
        key = idempotency_key or new_idempotency_key()
        launch = asked_once(key, lambda: client.submit(template, **asked, idempotency_key=key))
        if wait:
            screen.tell(screen.line(launch["id"]))
            launch = _wait(desk(context), client, launch["id"], limit)
    screen.print_json(launch) if as_json else screen.show(views.brief(launch))
    if wait:
        _leave(launch)


def wait(
    context: typer.Context, launch_id: IdArgument, timeout: TimeoutOption = "1h", as_json: JsonOption = False
) -> None:
    """Wait until a launch is launched, or has ended otherwise."""
    limit = _seconds(timeout)
    with desk(context).client() as client:
        launch = _wait(desk(context), client, launch_id, limit)
    screen.print_json(launch) if as_json else screen.show(views.brief(launch))
    _leave(launch)


def list_launches(
    context: typer.Context,
    state: Annotated[State | None, typer.Option("--state", help="Of everybody, in this state.")] = None,
    requester: Annotated[
        str | None, typer.Option("--requester", metavar="ISSUER#SUBJECT", help="Whose; yours if not said.")
    ] = None,
    limit: LimitOption = 25,
    as_json: JsonOption = False,
) -> None:
    """List launches, newest first."""
    if state is not None and requester is not None:
        raise typer.BadParameter("list by --state or by --requester, not by both")

    def page(cursor: str | None, size: int) -> Json:
        return client.launches(state=state, requester=requester, cursor=cursor, limit=size)

    with desk(context).client() as client:
        found, more = gather(page, limit)
    if as_json:
        screen.print_json(found)
        return
    rows = [
        (
            _lines(
                one["id"],
                screen.when(one["at"]),
                *([screen.actor(one["requester"])] if state is not None else []),
            ),
            screen.state(one["state"]),
            _lines(one["template"], *([one["name"]] if one["name"] else [])),
            screen.line(f"{one['monthly']} {one['currency']}"),
        )
        for one in found
    ]
    screen.show(screen.table("LAUNCH", "STATE", "TEMPLATE", "A MONTH", wrap="TEMPLATE", rows=rows))
    tell_more(found, more)


def _lines(*texts: str) -> RenderableType:
    return Group(*map(screen.line, texts))


def gather(page: Callable[[str | None, int], Json], limit: int) -> tuple[list[Json], bool]:
    """Return up to `limit` items of a paged list, and whether there are more."""
    found: list[Json] = []
    cursor: str | None = None
    while len(found) < limit:
        got = page(cursor, min(PAGE, limit - len(found)))
        found += got["items"]
        cursor = got["cursor"]
        if cursor is None:
            return found, False
    return found, True


def tell_more(found: list[Json], more: object) -> None:
    """Say that there is nothing, or that there is more."""
    if not found:
        screen.tell(screen.line("There is none."))
    elif more:
        screen.tell(screen.line("There are more: --limit shows them."))


def show(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show all of one launch."""
    with desk(context).client() as client:
        launch = client.launch(launch_id)
        files = None if as_json else policy_changes(client, launch)
    screen.print_json(launch) if as_json else screen.show(views.whole(launch, files))


def policy_changes(client: Client, launch: Json) -> dict[str, str] | None:
    """Return the difference that a change of policy makes, by file; None if it is another launch."""
    return client.difference(launch["id"]) if views.changes_policy(launch) else None


def events(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show all that happened to a launch, oldest first."""
    with desk(context).client() as client:
        found = client.events(launch_id)
    if as_json:
        screen.print_json(found)
        return
    rows = [
        (
            screen.line(one["seq"]),
            screen.line(screen.when(one["time"])),
            Group(screen.line(one["type"], "bold"), screen.under(screen.line(_told(one["data"])))),
        )
        for one in found
    ]
    screen.show(screen.table("SEQ", "WHEN", "WHAT", wrap="WHAT", rows=rows))


def templates(context: typer.Context, as_json: JsonOption = False) -> None:
    """List what may be asked for, and with which parameters."""
    with desk(context).client() as client:
        found = client.templates()
    if as_json:
        screen.print_json(found)
        return
    for one in found:
        screen.show(views.template(one))
    tell_more(found, None)


def cancel(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """End a launch that has not begun."""
    _change(context, launch_id, "cancel", as_json)


def retry(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Try a failed launch again."""
    _change(context, launch_id, "retry", as_json)


def stop(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Stop a launch that runs."""
    _change(context, launch_id, "stop", as_json)


def start(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Start a launch that is stopped."""
    _change(context, launch_id, "start", as_json)


def terminate(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Terminate a launch for good."""
    _change(context, launch_id, "terminate", as_json)


def _change(context: typer.Context, launch_id: str, command: Change, as_json: bool) -> None:
    with desk(context).client() as client:
        launch: Json = getattr(client, command)(launch_id)
    screen.print_json(launch) if as_json else screen.show(views.brief(launch))


def asked_once(key: str, ask: Callable[[], Json]) -> Json:
    """Ask under an Idempotency-Key, and if no answer comes say how to ask again without asking twice."""
    try:
        return ask()
    except NoAnswerError:
        screen.tell(
            screen.line(
                "It may have been asked for. The same command with this added asks once in any case:"
                f" --idempotency-key {key}"
            )
        )
        raise


def _wait(desk: Desk, client: Client, launch_id: str, limit: float) -> Json:
    """Look at a launch until it is launched or has ended otherwise, and tell of each state on the way."""
    end, pause, told = desk.clock() + limit, FIRST_PAUSE, ""
    while True:
        try:
            launch: Json | None = client.launch(launch_id)
        except NoAnswerError as error:
            launch = None
            screen.problem(error)
        if launch is not None:
            if launch["state"] != told:
                told = launch["state"]
                screen.tell(screen.state(told))
            if told in STARTED or told in ENDED:
                return launch
        if desk.clock() + pause > end:
            screen.tell(
                screen.line(f"It is {told or 'unknown'} still: `gonogo wait {launch_id}` waits on.", "red")
            )
            raise typer.Exit(Exit.TOO_LONG)
        desk.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _leave(launch: Json) -> None:
    """Leave as what became of the launch says."""
    if launch["state"] in ENDED:
        raise typer.Exit(Exit.REFUSED)


def _seconds(text: str) -> float:
    try:
        return duration.parse(text).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _told(data: Mapping[str, Any]) -> str:
    """Return what an event says beyond the launch that it is of."""
    said = {name: value for name, value in data.items() if name != "launch" and value is not None}
    return ", ".join(f"{name} {_word(value)}" for name, value in said.items())


def _word(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"issuer", "subject"}:
        return screen.actor(value)
    if isinstance(value, dict) and value.keys() == {"path", "before", "after"}:
        was, becomes = ("none" if one is None else one for one in (value["before"], value["after"]))
        return f"({value['path']}: {was} -> {becomes})"
    if isinstance(value, list):
        return " ".join(map(_word, value)) or "-"
    return value if isinstance(value, str) else json.dumps(value)
