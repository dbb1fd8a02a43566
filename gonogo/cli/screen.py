"""What a person sees in 80 columns: no text from elsewhere can move the cursor, change colours or hide."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gonogo.client import ClientError, ProblemError
from gonogo.core.unseen import is_unseen

STYLES = {
    "GO": "green",
    "RUNNING": "green",
    "OPEN": "yellow",
    "PENDING_APPROVAL": "yellow",
    "NO_GO": "red",
    "REJECTED": "red",
    "EXPIRED": "red",
    "FAILED": "red",
}


def visible(text: object) -> str:
    r"""Return the text with characters that steer a terminal, or do not show, written as escapes: `\x1b`."""
    return "".join(one.encode("unicode_escape").decode() if is_unseen(one) else one for one in str(text))


def line(text: object, style: str = "") -> Text:
    """Return one line of foreign text, ready to show."""
    return Text(visible(text), style=style)


def block(text: object) -> Text:
    """Return foreign text ready to show, with its line breaks."""
    return Text("\n".join(visible(one) for one in str(text).replace("\r\n", "\n").split("\n")))


def show(*renderables: RenderableType) -> None:
    """Print to whoever reads; what comes after a pipe is plain."""
    _print(_console(), renderables)


def tell(*renderables: RenderableType) -> None:
    """Print beside the answer, to stderr."""
    _print(Console(stderr=True, markup=False, emoji=False, highlight=False), renderables)


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)


def _print(console: Console, renderables: Iterable[RenderableType]) -> None:
    for one in renderables:
        console.print(one, overflow="fold")


def print_json(value: Any) -> None:
    """Print JSON for scripts; all but ASCII is escaped, so it is harmless in a terminal too."""
    typer.echo(json.dumps(value, indent=2))


def problem(error: ClientError) -> None:
    """Say why not."""
    if not isinstance(error, ProblemError):
        tell(line(error, "red"))
        return
    heading = f"{error.title} ({error.status})"
    if error.errors:
        tell(line(f"{heading}:", "red"), *(under(line(one)) for one in error.errors))
    else:
        tell(line(f"{heading}: {error.detail}", "red"))


def table(*headings: str, wrap: str, rows: Iterable[Sequence[RenderableType]]) -> Table:
    """Return a table; the column `wrap` gives way first on a narrow screen, and nothing is cut."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for heading in headings:
        made.add_column(heading, no_wrap=heading != wrap, overflow="fold", min_width=len(heading) or 8)
    for row in rows:
        made.add_row(*map(_Folded, row))
    return made


class _Folded:
    """A cell that folds: rich cuts the cells of a column that keeps its room before others."""

    def __init__(self, cell: RenderableType) -> None:
        self._cell = cell

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._cell, options.update(no_wrap=False, overflow="fold"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._cell)


def columns(rows: Iterable[Sequence[RenderableType]]) -> Table:
    """Return values side by side, each in its own column, however long they are."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*map(_Folded, row))
    for column in grid.columns:
        column.overflow = "fold"
    return grid


def when(text: str | None) -> str:
    """Return a time of the API (RFC 3339) in UTC, to the minute."""
    try:
        at = datetime.fromisoformat(text or "").astimezone(UTC)
    except ValueError:
        return text or "-"
    return at.strftime("%Y-%m-%d %H:%M UTC")


def actor(one: Mapping[str, Any]) -> str:
    """Return somebody as issuer#subject: a subject alone may be two people."""
    return f"{one['issuer']}#{one['subject']}"


def state(name: str) -> Text:
    """Return a state in its colour."""
    return line(name, STYLES.get(name, ""))


def under(*rows: RenderableType) -> Padding:
    """Return rows set in below what they belong to, so that no text of theirs can pass for a line of ours."""
    return Padding(Group(*rows), (0, 0, 0, 2), expand=False)


def fields(rows: Iterable[tuple[str, RenderableType]]) -> Padding:
    """Return labelled values; no line of a value can pass for a label."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(Text(label), value)
    return under(grid)
