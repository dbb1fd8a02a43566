"""Commands that change what is asked for: amend it, offer less as an approver, accept what was offered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from gonogo.cli import parameters, screen, typed, views
from gonogo.cli.decisions import GateArgument
from gonogo.cli.desk import Exit, IdArgument, JsonOption, YesOption, confirm, desk
from gonogo.cli.launches import LaunchByOption, LeaseOption, ParameterOption, policy_changes
from gonogo.client import Client, Json, ProblemError


def amend(
    context: typer.Context,
    launch_id: IdArgument,
    *,
    parameter: ParameterOption = None,
    lease: LeaseOption = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for whoever decides.")] = None,
    cost_center: Annotated[str | None, typer.Option("--cost-center", help="Who pays.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call it.")] = None,
    launch_by: LaunchByOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for something else instead, while it waits: all decisions are void, and the gates open anew.

    What is not given stays; -p NAME:=null gives a parameter its default again.
    """
    given = [parameters.split(one) for one in parameter or ()]
    asked: dict[str, Any] = {"lease": lease, "reason": reason, "cost_center": cost_center, "name": name}
    asked["launch_by"] = typed.moment(launch_by)
    if not given and all(value is None for value in asked.values()):
        raise typer.BadParameter(
            "say what is to be otherwise: -p, --lease, --reason, --cost-center, --name or --launch-by"
        )
    with desk(context).client() as client:
        launch = client.launch(launch_id)
        if given:
            asked["parameters"] = parameters.typed(client, launch["template"], given)
        if not yes:
            (screen.tell if as_json else screen.show)(_would_be(client, launch, asked))
            confirm("Ask for this instead? Whatever was decided is void then.")
        after = client.amend(launch_id, **asked, digest=launch["digest"])
    _show(after, as_json)


def offer(
    context: typer.Context,
    launch_id: IdArgument,
    gate: GateArgument,
    *,
    parameter: ParameterOption = None,
    lease: LeaseOption = None,
    comment: Annotated[str | None, typer.Option("--comment", help="Why.")] = None,
    digest: Annotated[
        str | None, typer.Option("--digest", metavar="HEX", help="Offer only if it still has this digest.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say, as an approver, to what less you would say GO; accepting it counts as your GO to just that."""
    given = [parameters.split(one) for one in parameter or ()]
    if not given and lease is None:
        raise typer.BadParameter("say to what less: -p or --lease")
    with desk(context).client() as client:
        launch = client.launch(launch_id)
        (screen.tell if as_json else screen.show)(views.whole(launch, policy_changes(client, launch)))
        if digest is not None and digest != launch["digest"]:
            screen.tell(screen.line("It is not the one that --digest names. Nothing was changed.", "red"))
            raise typer.Exit(Exit.REFUSED)
        less = parameters.typed(client, launch["template"], given) if given else None
        if not yes:
            rows = _differences(launch, {"parameters": less, "lease": lease})
            (screen.tell if as_json else screen.show)(Text("Instead:", style="bold"), screen.under(rows))
            confirm(f"Say GO to this instead, at gate {screen.visible(gate)}, if it is accepted?")
        after = client.offer(
            launch_id, gate=gate, digest=launch["digest"], parameters=less, lease=lease, comment=comment
        )
    if as_json:
        screen.print_json(after)
        return
    screen.show(views.brief(after))


def accept(
    context: typer.Context,
    launch_id: IdArgument,
    digest: Annotated[
        str | None,
        typer.Argument(
            metavar="DIGEST", help="Which offer; the only one, if there is one.", show_default=False
        ),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what an approver offered, ask, and ask for that instead: just what was shown."""
    with desk(context).client() as client:
        found = _offer(client.launch(launch_id), digest)
        (screen.tell if as_json else screen.show)(
            Text("Offered:", style="bold"), screen.under(views.offer(found))
        )
        if not yes:
            confirm("Ask for this instead? Whatever else was decided is void then.")
        after = client.accept(launch_id, found["digest"])
    _show(after, as_json)


def _offer(launch: Json, digest: str | None) -> Json:
    offers: list[Json] = launch.get("offers") or []
    chosen = [one for one in offers if digest in (None, one["digest"])]
    digests = {one["digest"] for one in chosen}
    if not chosen:
        text = "There is no offer." if not offers else "There is no such offer: see `gonogo show`."
        screen.tell(screen.line(f"{text} Nothing was changed.", "red"))
        raise typer.Exit(Exit.REFUSED)
    if len(digests) > 1:
        raise typer.BadParameter(
            f"there are {len(digests)} offers: give the DIGEST of one, see `gonogo show`"
        )
    return chosen[0]


def _would_be(client: Client, launch: Json, asked: dict[str, Any]) -> RenderableType:
    """Show what would be otherwise and, as far as it can be said beforehand, what that costs."""
    rows: list[tuple[str, RenderableType]] = [
        ("instead", _differences(launch, asked)),
        ("cost now", screen.line(views.cost(launch["price"], launch["lease"]))),
    ]
    try:
        answer = client.dry_run(launch["template"], **_whole(launch, asked))
    except ProblemError as error:
        rows.append(("would cost", screen.line(f"not known beforehand: {error}", "red")))
    else:
        rows.append(("would cost", screen.line(views.cost(answer["price"], answer["lease"]))))
    head = Text.assemble(screen.line(launch["id"], "bold"), "  ", screen.state(launch["state"]))
    return screen.under(head, screen.fields(rows))


def _whole(launch: Json, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the amended request, as a request of its own."""
    merged = {**launch["plan"]["parameters"], **asked.get("parameters", {})}
    whole = {
        name: asked[name] if asked[name] is not None else launch[name]
        for name in ("lease", "reason", "cost_center", "name")
    }
    kept = {name: value for name, value in merged.items() if value is not None}
    by = launch.get("launch_by")
    launch_by = asked["launch_by"] or (datetime.fromisoformat(by) if by else None)
    return {**whole, "parameters": kept, "launch_by": launch_by}


def _differences(launch: Json, asked: dict[str, Any]) -> RenderableType:
    """Show what was typed beside what is asked for now."""
    found = []
    for name, value in asked.items():
        if name == "parameters":
            now = launch["plan"]["parameters"]
            found += [(f"parameters.{one}", now.get(one), new) for one, new in (value or {}).items()]
        elif value is not None:
            found.append((name, launch.get(name), value))
    return views.changes({"path": path, "before": before, "after": after} for path, before, after in found)


def _show(launch: Json, as_json: bool) -> None:
    if as_json:
        screen.print_json(launch)
        return
    screen.show(views.brief(launch))
    if launch.get("changes"):
        screen.show(screen.under(views.changes(launch["changes"])))
