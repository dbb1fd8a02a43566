"""The command that says why a launch waits."""

from __future__ import annotations

import typer

from gonogo.cli import screen, views
from gonogo.cli.desk import IdArgument, JsonOption, desk


def why(context: typer.Context, launch_id: IdArgument, as_json: JsonOption = False) -> None:
    """Say what a launch waits for: who can decide, who did, what is missing, and why not you."""
    with desk(context).client() as client:
        answer = client.why(launch_id)
    screen.print_json(answer) if as_json else screen.show(views.why(answer))
