"""Writes docs/routes.md: each route, what it does, and what it answers to whom; the answers are a person's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from app import ACTIONS, app

PAGE = Path(__file__).parents[1] / "docs" / "routes.md"
MARK = "<!-- rows made by `make docs` from app.py, answers kept; a test holds each of them -->\n"
ROLES = (
    "nobody",
    "forged",
    "stranger",
    "requester",
    "developer",
    "approver",
    "self",
    "service",
    "operator",
)
UNKNOWN = "?"
USUAL = "waiting"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a route answers, of a launch in this situation, to each of ROLES."""

    method: str
    path: str
    given: str
    answers: tuple[str, ...] = (UNKNOWN,) * len(ROLES)


def declared() -> dict[tuple[str, str], str]:
    """Return the action of each route: (method, path) to a key of ACTIONS."""
    return dict(app.actions)


def written() -> list[Row]:
    """Return the rows as they stand in the page."""
    _, _, table = PAGE.read_text().partition(MARK)
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    return [_row([cell.strip() for cell in line.strip("|").split("|")]) for line in lines]


def _row(cells: list[str]) -> Row:
    method, _, path = cells[0].strip("`").partition(" ")
    return Row(method=method, path=path, given=cells[2], answers=tuple(cells[3:]))


def rows(kept: list[Row]) -> Iterator[Row]:
    """Yield the rows in the order of the routes; a new route has one, whose answers nobody has thought about."""
    for method, path in declared():
        own = [row for row in kept if (row.method, row.path) == (method, path)]
        yield from own or [Row(method=method, path=path, given=USUAL)]


def page(kept: list[Row] | None = None) -> str:
    """Return the page: what is written by hand, and the tables with the answers of `kept`."""
    before, mark, _ = PAGE.read_text().partition(MARK)
    actions = declared()
    lines = ["| action | who may |", "|---|---|", *(f"| {name} | {who} |" for name, who in ACTIONS.items())]
    lines += [
        "",
        f"| route | action | a launch that is | {' | '.join(ROLES)} |",
        "|---" * (len(ROLES) + 3) + "|",
    ]
    for row in rows(written() if kept is None else kept):
        route = f"`{row.method} {row.path}`"
        cells = (route, actions[row.method, row.path], row.given, *row.answers)
        lines.append(f"| {' | '.join(cells)} |")
    return before + mark + "\n" + "\n".join(lines) + "\n"
