"""Commands about the policy: check, test and replay a bundle where it is written, put it in force, see it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gonogo.cli import screen
from gonogo.cli.desk import Exit, JsonOption, YesOption, desk
from gonogo.cli.launches import gather
from gonogo.core.errors import BundleRefusedError, GonogoError
from gonogo.core.states import State

if TYPE_CHECKING:
    from gonogo.client import Client, Json
    from gonogo.ports import Items
    from gonogo.service.policy_cases import Report, Result

SHORT = 12
"""Hex digits of a file's digest that are shown: enough to see that it is another."""

FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The folder of the bundle.")
]


def check(context: typer.Context, folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Check a bundle whole and run the cases of its tests.toml; nothing outside is asked."""
    from gonogo.cli import folder as folders  # brings Cedar

    files, report = _checked(context, folder)
    if as_json:
        screen.print_json(_as_json(report))
    else:
        _show(report)
        _note(folders.left_out(folder, files), files)
    if not report.holds:
        raise typer.Exit(Exit.REFUSED)


def run_cases(context: typer.Context, folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Run the cases of a bundle's tests.toml, and nothing else."""
    _, report = _checked(context, folder, only_cases=True)
    if as_json:
        screen.print_json(_as_json(report))
    else:
        _show(report)
    if not report.holds:
        raise typer.Exit(Exit.REFUSED)


def replay(
    context: typer.Context,
    folder: FolderArgument,
    *,
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, max=10_000, help="How many launches, newest first.")
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show which of the last launches would be judged otherwise by this bundle; nothing is changed."""
    from gonogo.cli import folder as folders  # brings Cedar
    from gonogo.core import policy
    from gonogo.service import policy_replay

    try:
        bundle = policy.accept(folders.read(folder))
    except BundleRefusedError as error:
        for fault in error.faults:
            screen.tell(screen.line(fault, "red"))
        raise typer.Exit(Exit.REFUSED) from error
    with desk(context).client() as client:
        past = [policy_replay.read(client.launch(one)) for one in _newest(client, last)]
    found = policy_replay.compare(bundle, past)
    if as_json:
        screen.print_json(
            {
                "bundle": bundle.digest,
                "launches": len(past),
                "differences": [
                    {
                        "launch": one.id,
                        "requester": {"issuer": one.requester.issuer, "subject": one.requester.subject},
                        "template": one.template,
                        "then": {"outcome": one.then.outcome, "gates": list(one.then.gates)},
                        "now": {"outcome": one.now.outcome, "gates": list(one.now.gates)},
                        "reason": one.now.reason,
                    }
                    for one in found
                ],
            }
        )
        return
    if found:
        rows = [
            (
                screen.line(one.id),
                screen.line(one.requester.key),
                screen.line(one.template),
                screen.line(f"{one.then.words} -> {one.now.words}"),
                screen.line(one.now.reason),
            )
            for one in found
        ]
        screen.show(screen.table("LAUNCH", "REQUESTER", "TEMPLATE", "THEN -> NOW", "", wrap="", rows=rows))
    screen.show(screen.line(f"{len(found)} of {len(past)} launches would be judged otherwise."))


def _newest(client: Client, last: int) -> list[str]:
    """Return the ids of the newest launches, whatever their state, newest first."""
    found: list[tuple[str, str]] = []
    for state in State:
        page = partial(_page, client, state)
        found += [(one["at"], one["id"]) for one in gather(page, last)[0]]
    # a launch that changed its state meanwhile stands in two lists
    return list(dict.fromkeys(id_ for _, id_ in sorted(found, reverse=True)))[:last]


def _page(client: Client, state: State, cursor: str | None, size: int) -> Json:
    return client.launches(state=state, cursor=cursor, limit=size)


def publish(
    context: typer.Context,
    folder: FolderArgument,
    *,
    table: Annotated[
        str, typer.Option("--table", help="The table of the deployment: see its stack's outputs.")
    ],
    region: Annotated[
        str, typer.Option("--region", help="Where the table is.", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"])
    ],
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust", metavar="ISSUER", help="People of these issuers only; of any https issuer otherwise."
        ),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a bundle in force, with your own AWS credentials, if it is whole and its cases hold."""
    for issuer in trust or ():
        if not issuer.startswith("https://"):
            raise typer.BadParameter(
                f"{issuer!r} is not https: its tokens are nobody's", param_hint="--trust"
            )

    def trusts(issuer: str) -> bool:
        return issuer.startswith("https://") and (not trust or issuer in trust)

    files, report = _checked(context, folder)
    if not report.holds:
        _show(report)
        raise typer.Exit(Exit.REFUSED)
    before, after = _publish(
        _table(table, region),
        files,
        trusts,
        desk(context).now(),
        say=screen.tell if as_json else screen.show,
        yes=yes,
    )
    if as_json:
        screen.print_json({"bundle": after, "previous": before})
    else:
        screen.show(screen.line(f"In force: {after}", "green"))


def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the policy in force."""
    with desk(context).client() as client:
        policy = client.policy()
    if as_json:
        screen.print_json(policy)
        return
    screen.show(
        screen.line(f"bundle {policy['bundle']}", "bold"), screen.line(f"prices {policy['price_version']}")
    )
    gates = [
        (
            screen.line(one["name"]),
            screen.line(one["stage"]),
            screen.line(one["quorum"]),
            screen.line(one["expires_after"]),
            screen.line(one["title"] + (", signed in" if one["login"] else "")),
        )
        for one in sorted(policy["gates"], key=lambda gate: (gate["stage"], gate["name"]))
    ]
    groups = [(screen.line(name), screen.line(about)) for name, about in sorted(policy["groups"].items())]
    screen.show(
        Text(),
        screen.table("GATE", "STAGE", "QUORUM", "WAITS", "", wrap="", rows=gates),
        Text(),
        screen.table("GROUP", "", wrap="", rows=groups),
        Text(),
        screen.block(policy["policies"].strip()),
    )


def _checked(
    context: typer.Context, folder: Path, *, only_cases: bool = False
) -> tuple[dict[str, str], Report]:
    from gonogo.cli import folder as folders  # brings Cedar
    from gonogo.cli import offline
    from gonogo.service import policy_cases

    try:
        files = folders.read(folder)
    except BundleRefusedError as error:
        return {}, policy_cases.Report(digest="", faults=error.faults, results=())
    look = policy_cases.run if only_cases else policy_cases.check
    return files, look(files, offline.resolver, desk(context).now())


Tables = Callable[[int], "Items"]
"""Returns the table as it goes on in an epoch."""


def _table(name: str, region: str) -> Tables:
    try:
        from gonogo.aws.table import Table  # only who publishes needs AWS
    except ImportError as error:
        raise typer.BadParameter("publishing needs more: pip install 'gonogo[publish]'") from error
    return lambda epoch: Table(name, region, epoch)


def _publish(
    table: Tables,
    files: Mapping[str, str],
    trusts: Callable[[str], bool],
    now: datetime,
    *,
    say: Callable[[Text], None],
    yes: bool,
) -> tuple[str | None, str]:
    """Show what would change, ask, and publish; return the digests of what was in force, and of what is."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    from gonogo.core import reconcile
    from gonogo.core.published import CURRENT, CurrentPolicy, StoredBundle
    from gonogo.service import policies

    try:
        bundle = policies.accept(files, trusts)
        items = table(1)
        newest = items.get(reconcile.Pass, reconcile.CURRENT)
        items = items if newest is None else table(newest.epoch)
        current = items.get(CurrentPolicy, CURRENT)
        before = current.bundle if current is not None else None
        if before == bundle.digest:
            return before, bundle.digest
        stored = items.get(StoredBundle, before) if before is not None else None
        say(_difference(before, bundle.digest, stored.files if stored is not None else {}, files))
        if not yes and not typer.confirm("Put it in force?", err=True):
            screen.tell(screen.line("Nothing was changed.", "red"))
            raise typer.Exit(Exit.REFUSED)
        policies.publish(items, files, trusts, now)
    except (GonogoError, PynamoDBException, BotoCoreError, ClientError) as error:
        for one in error.faults if isinstance(error, BundleRefusedError) else (error,):
            screen.tell(screen.line(one, "red"))
        raise typer.Exit(Exit.REFUSED) from error
    return before, bundle.digest


def _difference(before: str | None, after: str, old: Mapping[str, str], new: Mapping[str, str]) -> Text:
    lines = [f"in force: {before or 'nothing'}", f"this one: {after}"]
    for name in sorted({*old, *new}):
        was, becomes = _digest(old.get(name)), _digest(new.get(name))
        if was != becomes:
            lines.append(f"  {name}: {was} -> {becomes}")
    if before is not None:
        lines.append("This goes past the gates of the policy in force; `gonogo policy propose` asks them.")
    return screen.block("\n".join(lines))


def _digest(text: str | None) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT] if text is not None else "none"


def _show(report: Report) -> None:
    for fault in report.faults:
        screen.show(screen.line(fault, "red"))
    if report.faults:
        screen.show(screen.line(f"{len(report.faults)} broken rules: refused.", "red"))
        return
    for result in report.results:
        screen.show(_result(result))
    failed = sum(not result.holds for result in report.results)
    outcome = (
        f"{failed} of {len(report.results)} cases fail" if failed else f"{len(report.results)} cases hold"
    )
    screen.show(screen.line(f"{outcome}.", "red" if failed else "green"))
    screen.show(screen.line(f"bundle {report.digest}"))


def _result(result: Result) -> Text:
    if result.holds:
        return Text.assemble(("ok    ", "green"), screen.line(result.case.name))
    expect, answer = result.case.expect, result.answer
    lines = [
        result.case.name,
        f"      expected {_words(expect.outcome, expect.gates)}",
        f"      answered {_words(answer.outcome, answer.gates)}",
        *(
            f"      {gate}: expected {' '.join(sorted(names))}, decided by {' '.join(answer.approvers.get(gate, ()))}"
            for gate, names in sorted(expect.approvers.items())
        ),
        *([f"      {answer.reason}"] if answer.reason else []),
    ]
    return Text.assemble(("FAIL  ", "red"), screen.block("\n".join(map(screen.visible, lines))))


def _words(outcome: str, gates: tuple[str, ...]) -> str:
    return " ".join([outcome, *sorted(gates)])


def _note(left_out: list[str], files: Mapping[str, str]) -> None:
    """Say what is no fault here, but may not be what is meant."""
    from gonogo.core import bundle_rules  # brings Cedar

    for name in left_out:
        screen.tell(screen.line(f"note: {name} is not part of the bundle", "dim"))
    with contextlib.suppress(BundleRefusedError):
        issuers = {actor.issuer for actor in bundle_rules.load(files).people}
        for issuer in sorted(one for one in issuers if not one.startswith("https://")):
            screen.tell(screen.line(f"note: {issuer} is not https: a deployment refuses its people", "dim"))


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "holds": report.holds,
        "bundle": report.digest,
        "faults": [{"pointer": one.pointer, "rule": one.rule, "detail": one.detail} for one in report.faults],
        "cases": [
            {
                "name": one.case.name,
                "holds": one.holds,
                "expected": {"outcome": one.case.expect.outcome, "gates": sorted(one.case.expect.gates)},
                "answered": {
                    "outcome": one.answer.outcome,
                    "gates": sorted(one.answer.gates),
                    "approvers": {gate: list(names) for gate, names in one.answer.approvers.items()},
                },
                "reason": one.answer.reason,
            }
            for one in report.results
        ],
    }
