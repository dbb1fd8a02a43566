"""The index of commands, and the one place where a refusal becomes a message and a way to leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gonogo import __version__
from gonogo.cli import (
    amendments,
    audit,
    billing,
    decisions,
    delegations,
    deliveries,
    launches,
    leases,
    policies,
    propose,
    reasons,
    replay,
    screen,
)
from gonogo.cli.desk import Desk, Exit
from gonogo.client import ClientError


class Root(TyperGroup):
    """The root command: a refusal is told on stderr and leaves with 1, what cannot be meant with 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ClientError as error:
            screen.problem(error)
            raise typer.Exit(Exit.REFUSED) from error


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a trace with values in it would show the token
    epilog="Set GONOGO_URL, and GONOGO_TOKEN or GONOGO_TOKEN_COMMAND. It leaves with 0 when done, 1 when"
    " refused or failed, 2 when used wrongly, 3 when a wait took too long.",
)
auditing = typer.Typer(no_args_is_help=True, help="Verify that a history is as it was written.")
notices = typer.Typer(
    cls=deliveries.Listing,
    help="List notices, of a LAUNCH or else those that could not be sent; or have them sent again.",
)
policy = typer.Typer(no_args_is_help=True, help="Check, test, replay, publish, propose and show the policy.")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option("--url", envvar="GONOGO_URL", help="The deployment, with its stage if it has one."),
    ] = None,
    token_command: Annotated[
        str | None,
        typer.Option(
            "--token-command", metavar="COMMAND", help="A program that prints a token; run without a shell."
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Ask for launches on AWS, decide them, and see what became of them."""
    context.obj = replace(context.obj or Desk(), url=url, token_command=token_command)


app.command("submit")(launches.submit)
app.command("list")(launches.list_launches)
app.command("show")(launches.show)
app.command("events")(launches.events)
app.command("wait")(launches.wait)
app.command("why")(reasons.why)
app.command("inbox")(decisions.inbox)
app.command("decide")(decisions.decide)
app.command("note")(decisions.note)
app.command("delegate")(delegations.delegate)
app.command("amend")(amendments.amend)
app.command("offer")(amendments.offer)
app.command("accept")(amendments.accept)
app.command("cancel")(launches.cancel)
app.command("retry")(launches.retry)
app.command("stop")(launches.stop)
app.command("start")(launches.start)
app.command("terminate")(launches.terminate)
app.command("extend")(leases.extend)
app.command("report")(leases.report)
app.command("templates")(launches.templates)
app.command("bill")(billing.bill)
app.command("reports")(billing.report)
app.command("replay")(replay.replay)
app.add_typer(policy, name="policy")
app.add_typer(notices, name="deliveries")
notices.command("list")(deliveries.list_deliveries)
notices.command("redeliver")(deliveries.redeliver)
app.add_typer(auditing, name="audit")
auditing.command("verify")(audit.verify)
policy.command("check")(policies.check)
policy.command("test")(policies.run_cases)
policy.command("replay")(policies.replay)
policy.command("publish")(policies.publish)
policy.command("propose")(propose.propose)
policy.command("show")(policies.show)
