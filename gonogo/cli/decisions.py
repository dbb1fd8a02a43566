"""Commands of an approver: what waits, and saying go or no to just what was shown; and a system's notes."""

from __future__ import annotations

from typing import Annotated

import typer

from gonogo.cli import screen, views
from gonogo.cli.desk import Exit, IdArgument, JsonOption, YesOption, desk
from gonogo.cli.launches import LimitOption, gather, policy_changes, tell_more
from gonogo.client import Json, Verdict

GateArgument = Annotated[
    str, typer.Argument(metavar="GATE", help="Which gate: see `gonogo show`.", show_default=False)
]
TYPED: dict[Verdict, str] = {"approve": "GO", "reject": "NO-GO", "revoke": "REVOKE"}


def inbox(context: typer.Context, limit: LimitOption = 25, as_json: JsonOption = False) -> None:
    """List the gates that wait for you, newest first."""
    with desk(context).client() as client:
        found, more = gather(lambda cursor, size: client.inbox(cursor=cursor, limit=size), limit)
    if as_json:
        screen.print_json(found)
        return
    for one in found:
        screen.show(views.waiting(one["gate"], one["launch"]))
    tell_more(found, more)


def decide(
    context: typer.Context,
    launch_id: IdArgument,
    *,
    gate: Annotated[
        str | None, typer.Option("--gate", help="Which gate; the open one, if only one is.")
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Say GO.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Say NO-GO.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take back what you said.")] = False,
    comment: Annotated[str | None, typer.Option("--comment", help="Why.")] = None,
    digest: Annotated[
        str | None, typer.Option("--digest", metavar="HEX", help="Decide only if it still has this digest.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a launch is and costs, ask, and decide one of its gates: just for what was shown."""
    said = _said(approve=approve, reject=reject, revoke=revoke)
    if said is None and yes:
        raise typer.BadParameter("--yes needs one of --approve, --reject and --revoke")
    with desk(context).client() as client:
        launch = client.launch(launch_id)
        (screen.tell if as_json else screen.show)(views.whole(launch, policy_changes(client, launch)))
        if digest is not None and digest != launch["digest"]:
            screen.tell(screen.line("It is not the one that --digest names. Nothing was changed.", "red"))
            raise typer.Exit(Exit.REFUSED)
        name = gate if gate is not None else _only_open(launch)
        verdict = said if yes else _asked(name, said, to_stderr=as_json)
        if verdict is None:
            screen.tell(screen.line("Nothing was changed.", "red"))
            raise typer.Exit(Exit.REFUSED)
        after = client.decide(launch_id, gate=name, verdict=verdict, digest=launch["digest"], comment=comment)
    screen.print_json(after) if as_json else screen.show(views.brief(after))


def note(
    context: typer.Context,
    launch_id: IdArgument,
    gate: GateArgument,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="How far it is, for everybody to read.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Say, as a system that decides a gate, how far it is; that decides nothing."""
    if not text.strip():
        raise typer.BadParameter("a note has text")
    with desk(context).client() as client:
        after = client.note(launch_id, gate=gate, text=text)
    screen.print_json(after) if as_json else screen.show(views.brief(after))


def _said(**flags: bool) -> Verdict | None:
    said = [verdict for verdict in TYPED if flags[verdict]]
    if len(said) > 1:
        raise typer.BadParameter("say one of --approve, --reject and --revoke")
    return said[0] if said else None


def _only_open(launch: Json) -> str:
    waiting = [str(gate["name"]) for gate in launch["gates"] if views.takes_decisions(gate)]
    if len(waiting) != 1:
        names = ", ".join(screen.visible(one["name"]) for one in launch["gates"]) or "none"
        raise typer.BadParameter(f"say which --gate: {len(waiting)} are open, and the launch has {names}")
    return waiting[0]


def _asked(gate: str, said: Verdict | None, *, to_stderr: bool) -> Verdict | None:
    """Have the word typed; None if something else is typed."""
    may = [said] if said is not None else [verdict for verdict in TYPED if verdict != "revoke"]
    words = " or ".join(TYPED[verdict] for verdict in may)
    typed = typer.prompt(
        f"Gate {screen.visible(gate)}: type {words}", default="", show_default=False, err=to_stderr
    )
    return next((verdict for verdict in may if TYPED[verdict] == typed.strip().upper()), None)
