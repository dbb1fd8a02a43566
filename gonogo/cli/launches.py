"""Commands about launches: ask for one, see them, and change what one of them does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Group, RenderableType

from gonogo.cli import screen, views
from gonogo.cli.desk import Desk, Exit, IdArgument, JsonOption, desk
from gonogo.client import Change, Client, Json, NoAnswerError, new_idempotency_key
from gonogo.core import duration
from gonogo.core.actor import Actor
from gonogo.core.launch import State

STARTED = frozenset({State.RUNNING, State.STOPPED, State.TERMINATED})
ENDED = frozenset({State.REJECTED, State.EXPIRED, State.CANCELLED, State.FAILED})
PAGE = 100
"""The most that the API gives at once."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 15.0
"""Seconds between two looks at a launch that is waited for."""

TimeoutOption = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="How long to wait: 90s, 15m, 8h, 3d.")
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
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter of the template, read as its type there; NAME:=JSON says the type itself.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call it.")] = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="TIME", help="How long it may run: 8h, 30d.")
    ] = None,
    on_behalf_of: Annotated[
        str | None, typer.Option("--on-behalf-of", metavar="ISSUER#SUBJECT", help="For whom, if not for you.")
    ] = None,
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
    as_json: JsonOption = False,
) -> None:
    """Ask for a launch."""
    if dry_run and wait:
        raise typer.BadParameter("a dry run makes nothing to wait for")
    limit, behalf = _seconds(timeout), _actor(on_behalf_of)
    given = [_split(one) for one in parameter or ()]
    with desk(context).client() as client:
        asked: dict[str, Any] = {
            "parameters": _parameters(client, template, given),
            "reason": reason,
            "cost_center": cost_center,
            "name": name,
            "lease": lease,
            "on_behalf_of": behalf,
        }
        if dry_run:
            answer = client.dry_run(template, **asked)
            shown = {"name": name, "reason": reason, "cost_center": cost_center}
            screen.print_json(answer) if as_json else screen.show(views.dry_run(answer, shown))
            return
        launch = _submitted(client, template, asked, idempotency_key or new_idempotency_key())
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
    table = screen.table("LAUNCH", "STATE", "TEMPLATE", "A MONTH", wrap=("TEMPLATE",))
    for one in found:
        below = [screen.when(one["at"]), *([screen.actor(one["requester"])] if state is not None else [])]
        table.add_row(
            _lines(one["id"], *below),
            screen.state(one["state"]),
            _lines(one["template"], *([one["name"]] if one["name"] else [])),
            screen.line(f"{one['monthly']} {one['currency']}"),
        )
    screen.show(table)
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
    screen.print_json(launch) if as_json else screen.show(views.whole(launch))


def events(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show all that happened to a launch, oldest first."""
    with desk(context).client() as client:
        found = client.events(launch_id)
    if as_json:
        screen.print_json(found)
        return
    table = screen.table("SEQ", "WHEN", "WHAT", wrap=("WHAT",))
    for one in found:
        table.add_row(
            screen.line(one["seq"]),
            screen.line(screen.when(one["time"])),
            Group(screen.line(one["type"], "bold"), screen.under(*map(screen.line, _told(one["data"])))),
        )
    screen.show(table)


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


def _submitted(client: Client, template: str, asked: Mapping[str, Any], key: str) -> Json:
    """Submit, and if no answer comes say how to ask again without asking twice."""
    try:
        return client.submit(template, **asked, idempotency_key=key)
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


def _actor(key: str | None) -> Actor | None:
    try:
        return Actor.parse(key) if key is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _split(text: str) -> tuple[str, str, bool]:
    """Read NAME=VALUE or NAME:=JSON as name, value, and whether the value is JSON."""
    name, mark, value = text.partition("=")
    if not mark or not name.removesuffix(":"):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return name.removesuffix(":"), value, name.endswith(":")


def _parameters(client: Client, template: str, given: list[tuple[str, str, bool]]) -> dict[str, Any]:
    """Return the parameters with the types that the template's JSON Schema gives them.

    The template is read only if there is something to learn from it; what does not fit is sent as text, so
    that the deployment says what is wrong with it.
    """
    rules: Mapping[str, Any] = {}
    if not all(is_json for _, _, is_json in given):
        schemas = [one["parameters"] for one in client.templates() if one["name"] == template]
        rules = schemas[0].get("properties", {}) if schemas else {}
    found: dict[str, Any] = {}
    for name, value, is_json in given:
        if name in found:
            raise typer.BadParameter(f"the parameter {name!r} is given twice")
        found[name] = _json(name, value) if is_json else _typed(rules.get(name), value)
    return found


def _json(name: str, text: str) -> Any:
    try:
        return _strict(text)
    except ValueError as error:
        raise typer.BadParameter(f"the parameter {name!r} is not JSON: {error}") from error


def _typed(rule: Any, text: str) -> Any:
    """Return the text as the schema's type; as text where the schema takes text or it fits none."""
    kinds = rule.get("type", ()) if isinstance(rule, dict) else ()
    if kinds and "string" in ([kinds] if isinstance(kinds, str) else kinds):
        return text
    try:
        return _strict(text)
    except ValueError:
        return text


def _strict(text: str) -> Any:
    return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond all numbers")
    return value


def _told(data: Mapping[str, Any]) -> list[str]:
    """Return what an event says beyond the launch that it is of, a line each."""
    return [
        f"{name}: {_word(value)}" for name, value in data.items() if name != "launch" and value is not None
    ]


def _word(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"issuer", "subject"}:
        return screen.actor(value)
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "-"
    return value if isinstance(value, str) else json.dumps(value)
