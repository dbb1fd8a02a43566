"""The command that asks for another policy, which waits for the gate of the one in force."""

from __future__ import annotations

from typing import Annotated

import typer

from gonogo.cli import screen, views
from gonogo.cli.desk import Exit, JsonOption, YesOption, confirm, desk
from gonogo.cli.launches import asked_once
from gonogo.cli.policies import FolderArgument, _checked, _note, _show
from gonogo.client import new_idempotency_key


def propose(
    context: typer.Context,
    folder: FolderArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever decides.")],
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="The same key asks for the same change."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for a policy, if it is whole and its cases hold; it is in force once its gate says go."""
    from gonogo.cli import folder as folders  # brings Cedar

    files, report = _checked(context, folder)
    if not report.holds:
        _show(report)
        raise typer.Exit(Exit.REFUSED)
    _note(folders.left_out(folder, files), files)
    key = idempotency_key or new_idempotency_key()
    with desk(context).client() as client:
        if not yes:
            before = client.policy()["bundle"]
            lines = [f"in force: {before}", f"this one: {report.digest}", *(f"  {name}" for name in files)]
            (screen.tell if as_json else screen.show)(*map(screen.line, lines))
            confirm("Ask for it?")
        launch = asked_once(key, lambda: client.propose_policy(files, reason=reason, idempotency_key=key))
    screen.print_json(launch) if as_json else screen.show(views.brief(launch))
