"""Writes what is made from the core: the events' schemas and their table, and the table of states and commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gonogo.core import event, states

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "infra" / "schemas"
PAGE = ROOT / "docs" / "events.md"
MARK = "<!-- made by `make docs` from gonogo/core/event.py; a test holds it -->\n"
STATES = ROOT / "docs" / "states.md"
INTRODUCTION = """# States and commands

Where a command leads a launch: a row for each command, a column for each state in which it may be given. A cell
names the state afterwards; `stays` is the same state, changed or not.

- `-` : the command is refused with an error, and nothing is changed.
- `·` : the command is no error, and changes nothing.

A command that a cell allows is still refused when it breaks another rule, such as who may give it. What starts or
stops is recorded when it is seen: `stop`, `start` and `terminate` only say what is wanted, and `observe` leads on.

<!-- made by `make docs` from gonogo/core/states.py; a test holds it -->

"""


def files() -> dict[Path, str]:
    """Return each file that is made from the core: path to text."""
    made = {
        FOLDER / f"{name}.json": json.dumps(event.schema(kind), indent=2) + "\n"
        for name, kind in sorted(event.ALL.items())
    }
    before, mark, _ = PAGE.read_text().partition(MARK)
    made[PAGE] = before + mark + "\n" + table()
    made[STATES] = INTRODUCTION + states.markdown()
    return made


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
    pages = ", ".join(str(path.relative_to(ROOT)) for path in (PAGE, STATES))
    print(f"{len(event.ALL)} schemas in {FOLDER.relative_to(ROOT)}, {pages}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
