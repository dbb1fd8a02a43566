"""Commands for whoever bills: the records of a month as a table, as CSV, as JSON or as FOCUS, and the reports."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from gonogo.cli import screen
from gonogo.cli.desk import Exit, JsonOption, desk
from gonogo.cli.launches import PAGE
from gonogo.client import Client, Json
from gonogo.core import focus, reports
from gonogo.core.errors import InvalidError
from gonogo.core.event import UsageRecorded

Format = Literal["table", "csv", "json", "focus"]


FIELDS = (
    "record",
    "corrects",
    "recorded_at",
    "day",
    "cost_center",
    "launch",
    "name",
    "template",
    "digest",
    "requester",
    "on_behalf_of",
    "approvers",
    "instance",
    "instance_type",
    "engine",
    "region",
    "account",
    "image",
    "interval_begin",
    "interval_end",
    "begin",
    "end",
    "stop_source",
    "seconds",
    "hourly",
    "price_version",
    "currency",
    "cost",
)
"""The columns of a CSV of records."""
NUMBERS = frozenset({"seconds", "hourly", "cost"})


def _month(text: str | None) -> str | None:
    if text is not None:
        try:
            reports.period(text)
        except InvalidError as error:
            raise typer.BadParameter(error.faults[0].detail) from error
    return text


MonthOption = Annotated[
    str | None,
    typer.Option(
        "--month", metavar="MONTH", help="The UTC month: 2026-11; this one otherwise.", callback=_month
    ),
]


def bill(
    context: typer.Context,
    *,
    month: MonthOption = None,
    cost_center: Annotated[
        list[str] | None,
        typer.Option("--cost-center", metavar="NAME", help="Of this one; give it again for more."),
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="table: sums by day; csv, json: every record; focus: every record as FOCUS 1.2 has it.",
        ),
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", dir_okay=False, help="Write to this file, once all is there; else to stdout."
        ),
    ] = None,
    issuer: Annotated[
        str, typer.Option("--issuer", metavar="NAME", help="FOCUS: who issues the invoice.")
    ] = focus.ISSUER,
) -> None:
    """Show what a month cost, or write its usage records for a biller."""
    chosen = _chosen(context, month)
    if form == "table":
        if output is not None:
            raise typer.BadParameter("a table is for people: choose csv, json or focus for a file")
        with desk(context).client() as client:
            sums = _of_each(cost_center, partial(_sums, client, chosen))
        _show_sums(chosen, sums)
        return
    with desk(context).client() as client:
        records = sorted(_of_each(cost_center, partial(_records, client, chosen)), key=_place)
    texts = {
        "csv": lambda: _csv(FIELDS, map(_cells, records)),
        "json": lambda: json.dumps(records, indent=2) + "\n",
        "focus": lambda: _csv(focus.COLUMNS, (_focus(one, issuer) for one in records)),
    }
    _write(texts[form](), output)
    screen.tell(screen.line(f"{len(records)} records of {chosen}."))


def _chosen(context: typer.Context, month: str | None) -> str:
    return month if month is not None else f"{desk(context).now():%Y-%m}"


def _of_each(cost_centers: list[str] | None, read: Callable[[str | None], list[Json]]) -> list[Json]:
    """Return what is read of each cost center, each once; of all, where none is named."""
    wanted: list[str | None] = [*dict.fromkeys(cost_centers or ())] or [None]
    return [one for each in wanted for one in read(each)]


def _sums(client: Client, month: str, cost_center: str | None) -> list[Json]:
    """Return the sums of a month, those of its parts added."""
    found: dict[tuple[str, str, str], Json] = {}
    for one in _all(lambda cursor: client.usage_sums(month, cost_center, cursor=cursor)):
        known = found.setdefault((one["day"], one["cost_center"], one["currency"]), one)
        if known is not one:
            known["instances"] += one["instances"]
            known["seconds"] += one["seconds"]
            known["cost"] = focus.plain(Decimal(known["cost"]) + Decimal(one["cost"]))
    return [found[key] for key in sorted(found)]


def _records(client: Client, month: str, cost_center: str | None) -> list[Json]:
    return _all(lambda cursor: client.usage(month, cost_center, cursor=cursor, limit=PAGE))


def _all(page: Callable[[str | None], Json]) -> list[Json]:
    """Return all items of a list, however many pages it has, empty ones among them."""
    found: list[Json] = []
    cursor: str | None = None
    while True:
        got = page(cursor)
        found += got["items"]
        cursor = got["cursor"]
        if cursor is None:
            return found


def _place(record: Json) -> tuple[str, ...]:
    """Return where a record stands in a file: the same file comes of the same records."""
    return tuple(
        record[name] for name in ("day", "cost_center", "instance", "begin", "recorded_at", "record")
    )


def _show_sums(month: str, sums: list[Json]) -> None:
    if not sums:
        screen.tell(screen.line(f"Nothing is recorded of {month}."))
        return
    rows = [
        (
            screen.line(one["day"]),
            screen.line(one["cost_center"]),
            screen.line(one["instances"]),
            screen.line(_hours(one["seconds"])),
            screen.line(f"{_short(Decimal(one['cost']))} {one['currency']}"),
        )
        for one in sums
    ]
    screen.show(
        screen.table("DAY", "COST CENTER", "INSTANCES", "HOURS", "COST", wrap="COST CENTER", rows=rows)
    )
    totals: dict[tuple[str, str], Decimal] = {}
    for one in sums:
        key = one["cost_center"], one["currency"]
        totals[key] = totals.get(key, Decimal(0)) + Decimal(one["cost"])
    screen.show(Text())
    for (cost_center, currency), total in sorted(totals.items()):
        screen.show(screen.line(f"{cost_center}, {month}: {_short(total)} {currency}", "bold"))


def _hours(seconds: int) -> str:
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else ''}{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _short(amount: Decimal) -> str:
    """Return an exact amount, without zeros at its end but for two places."""
    text = focus.plain(amount)
    whole, _, places = text.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _cells(record: Mapping[str, Any]) -> list[str | None]:
    return [
        str(record[name]) if name in NUMBERS else focus.harmless(_text(record.get(name))) for name in FIELDS
    ]


def _text(value: Any) -> str | None:
    """Return a value as text: somebody as issuer#subject, several with a blank between."""
    if isinstance(value, list):
        return " ".join(map(screen.actor, value)) or None
    if isinstance(value, dict):
        return screen.actor(value)
    return None if value is None else str(value)


def _focus(record: Json, issuer: str) -> list[str | None]:
    told = msgspec.convert(record, UsageRecorded, strict=False)
    recorded_at = msgspec.convert(record["recorded_at"], type=datetime)
    return focus.cells(focus.row(told, recorded_at, issuer))


def _csv(columns: Iterable[str], rows: Iterable[list[str | None]]) -> str:
    """Return a CSV file (RFC 4180, with line feeds); null is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def _write(text: str, output: Path | None) -> None:
    """Write it whole, or leave the file as it was."""
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=output.parent, prefix=f".{output.name}.", delete=False
        ) as file:
            file.write(text)
        Path(file.name).chmod(0o666 & ~_umask())
        Path(file.name).replace(output)
    except OSError as error:
        screen.tell(screen.line(f"{output} cannot be written: {error.strerror}", "red"))
        raise typer.Exit(Exit.REFUSED) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def report(
    context: typer.Context,
    name: Annotated[
        reports.Name,
        typer.Argument(
            metavar="NAME",
            help="approved-never-ran, ran-never-approved, past-lease, or estimate: actual against estimate.",
            show_default=False,
        ),
    ],
    *,
    month: MonthOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report what was approved and never ran, ran unapproved or past its lease, or cost more than estimated."""
    chosen = _chosen(context, month)
    with desk(context).client() as client:
        found = _all(lambda cursor: client.monthly_report(name, chosen, cursor=cursor, limit=PAGE))
    if name in _ADDED:
        found = _ADDED[name](found)
    if as_json:
        screen.print_json(found)
        return
    if not found:
        screen.tell(screen.line("There is none."))
        return
    headings, cells = _SHOWN[name]
    screen.show(screen.table(*headings, wrap=_WRAPPED[name], rows=map(cells, found)))


def _added_past_lease(rows: list[Json]) -> list[Json]:
    found: dict[str, Json] = {}
    for one in rows:
        known = found.setdefault(one["launch"], one)
        if known is not one:
            known["instances"] = sorted({*known["instances"], *one["instances"]})
            known["seconds"] += one["seconds"]
            known["cost"] = focus.plain(Decimal(known["cost"]) + Decimal(one["cost"]))
    return list(found.values())


def _added_estimates(rows: list[Json]) -> list[Json]:
    found: dict[tuple[str, str], Json] = {}
    for one in rows:
        known = found.setdefault((one["launch"], one["currency"]), one)
        if known is not one:
            actual = Decimal(known["actual"]) + Decimal(one["actual"])
            known["actual"] = focus.plain(actual)
            known["difference"] = focus.plain(actual - Decimal(known["estimate"]))
    return sorted(found.values(), key=lambda one: Decimal(one["difference"]), reverse=True)


_ADDED: dict[str, Callable[[list[Json]], list[Json]]] = {
    "past-lease": _added_past_lease,
    "estimate": _added_estimates,
}
"""How the parts of a report are added, where a launch may stand in several."""


Cells = list[RenderableType]


def _never_ran(one: Json) -> Cells:
    about = _about(one["launch"], _of(one), f"approved {screen.when(one['cleared_at'])}")
    return [about, screen.state(one["state"]), screen.line(one["why"] or "")]


def _never_approved(one: Json) -> Cells:
    where = ", ".join(one[name] for name in ("instance_type", "region", "account") if one[name])
    tag = f", tagged {one['launch']}" if one["launch"] else ""
    about = _about(one["instance"], where)
    return [about, screen.line(screen.when(one["seen_at"])), screen.line(f"{one['why']}{tag}")]


def _past_lease(one: Json) -> Cells:
    about = _about(one["launch"], _of(one), f"until {screen.when(one['lease_ends_at'])}", *one["instances"])
    return [about, screen.line(_hours(one["seconds"])), screen.line(_money(one, "cost"))]


def _estimate(one: Json) -> Cells:
    style = "red" if Decimal(one["difference"]) > 0 else ""
    return [
        _about(one["launch"], _of(one)),
        screen.line(_money(one, "estimate")),
        screen.line(_short(Decimal(one["actual"]))),
        screen.line(_short(Decimal(one["difference"])), style),
    ]


def _about(id_: str, *more: str) -> RenderableType:
    return Group(screen.line(id_), screen.under(*map(screen.line, more)))


def _of(one: Json) -> str:
    return ", ".join(one[name] for name in ("cost_center", "template", "name") if one[name])


def _money(one: Json, name: str) -> str:
    return f"{_short(Decimal(one[name]))} {one['currency']}"


_SHOWN: dict[str, tuple[tuple[str, ...], Callable[[Json], Cells]]] = {
    "approved-never-ran": (("LAUNCH", "STATE", "WHY"), _never_ran),
    "ran-never-approved": (("INSTANCE", "SEEN", "WHY"), _never_approved),
    "past-lease": (("LAUNCH", "RAN ON", "COST"), _past_lease),
    "estimate": (("LAUNCH", "ESTIMATE", "ACTUAL", "MORE"), _estimate),
}
"""How each report is shown: the headings, and a row of it."""

_WRAPPED = {
    "approved-never-ran": "WHY",
    "ran-never-approved": "WHY",
    "past-lease": "LAUNCH",
    "estimate": "LAUNCH",
}
"""The column of each report that gives way on a narrow screen."""
