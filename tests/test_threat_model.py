"""The threat model names what holds each threat, and all of that is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from local import template

ROOT = Path(__file__).parents[1]
MODEL = (ROOT / "docs" / "threat-model.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in MODEL.splitlines()
    if line.startswith("| ") and "---" not in line
]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FILE = re.compile(r"`((?:app|functions|gonogo|infra|local)[\w/]*\.(?:py|yaml|html|js))`")


@cache
def written(path: str) -> frozenset[str]:
    """Return the names of the tests in a file; none where there is no such file."""
    if not (ROOT / path).is_file():
        return frozenset()
    syntax = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(syntax) if isinstance(node, ast.FunctionDef))


def test_every_test_that_is_named_is_there() -> None:
    """A threat that is held by a test that was renamed is held by nobody knows what."""
    named = TEST.findall(MODEL)
    assert len(named) > 200
    assert [f"{path}::{name}" for path, name in named if name not in written(path)] == []


def test_every_file_that_is_named_is_there() -> None:
    """Who wants to see how something is defended looks where the table says."""
    assert [path for path in FILE.findall(MODEL + SECURITY) if not (ROOT / path).is_file()] == []


def test_every_requirement_has_its_row() -> None:
    """A threat that fell out of the table would be looked after by nobody."""
    ids = [row[0] for row in ROWS if re.fullmatch(r"[SRI]\d\d", row[0])]
    wanted = [f"S{n:02}" for n in range(1, 35)] + [f"R{n:02}" for n in range(1, 17)]
    assert ids == [*wanted, *(one for one in ids if one.startswith("I"))]


def test_every_row_says_what_holds_it() -> None:
    """A claim without a test is a wish, and must at least say that it is one."""
    held = [row for row in ROWS if re.fullmatch(r"[SRI]\d\d|\d+\.\d+\.\d+|[A-Z]\w+", row[0])]
    assert len(held) > 100
    assert [row[0] for row in held if not TEST.search(row[-1]) and row[-1] != "not tested"] == []


def test_every_function_that_could_be_taken_over_is_looked_at() -> None:
    """A new function is a new way in."""
    named = re.findall(r'@app\.lambda_function\(name="(\w+)"\)', (ROOT / "app.py").read_text())
    assert len(named) > 5
    assert {"APIHandler", *(name.capitalize() for name in named)} <= {row[0] for row in ROWS}


def test_every_setting_that_hardens_it_is_one() -> None:
    """Who sets what does not exist believes in a wall that is not there."""
    parameters = template.read(ROOT / "infra" / "template.yaml")["Parameters"]
    named = set(re.findall(r"`([A-Z][a-zA-Z]+)(?:=\w+)?`", SECURITY))
    assert len(named) > 8
    assert named <= set(parameters)
