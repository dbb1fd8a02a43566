"""Writes the JSON Schema of every event into infra/schemas/, and the tables of docs/: events, states and routes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gonogo.core import event, states
from infra import routes

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "infra" / "schemas"
PAGE = ROOT / "docs" / "events.md"
MARK = "<!-- made by `make docs` from gonogo/core/event.py; a test holds it -->\n"
STATES = ROOT / "docs" / "states.md"
STATES_MARK = "<!-- made by `make docs` from gonogo/core/states.py; a test holds it -->\n"


def files() -> dict[Path, str]:
    """Return each file that is made from the events, the table of states, or the routes: path to text."""
    made = {
        FOLDER / f"{name}.json": json.dumps(event.schema(kind), indent=2) + "\n"
        for name, kind in sorted(event.ALL.items())
    }
    made[PAGE] = _after(PAGE, MARK, table())
    made[STATES] = _after(STATES, STATES_MARK, states.markdown())
    made[routes.PAGE] = routes.page()
    return made


def _after(page: Path, mark: str, made: str) -> str:
    """Return the page as it is written by hand up to the mark, and as it is made from there on."""
    before, mark, _ = page.read_text().partition(mark)
    return before + mark + "\n" + made


def table() -> str:
    """Return the events as a Markdown table."""
    lines = ["| event | what happened | and it says |", "|---|---|---|"]
    for name, kind in event.ALL.items():
        common = event.LaunchData.__struct_fields__ if issubclass(kind, event.LaunchData) else ()
        said = [f"`{field}`" for field in kind.__struct_fields__ if field not in common]
        story = " ".join((kind.__doc__ or "").split())
        lines.append(f"| `{name}` | {story} | {', '.join(said)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write them, and take away what no event is any more."""
    made = files()
    FOLDER.mkdir(exist_ok=True)
    for old in set(FOLDER.glob("*.json")) - set(made):
        old.unlink()
    for path, text in made.items():
        path.write_text(text)
    pages = ", ".join(str(path.relative_to(ROOT)) for path in (PAGE, STATES, routes.PAGE))
    print(f"{len(event.ALL)} schemas in {FOLDER.relative_to(ROOT)}; {pages}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
