"""The documents say what the code does."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import tomllib
from operator import attrgetter
from pathlib import Path

import cedarpy
import msgspec
import pytest

from functions.openapi import OPERATIONS
from gonogo.cli import offline
from gonogo.core import event
from gonogo.core.bundle import Template
from gonogo.core.plan import Place, fill
from infra import schemas

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted(schemas.files()), ids=lambda path: path.name)
def test_what_is_made_from_the_code_is_up_to_date(path: Path) -> None:
    """Who builds on these files builds on what the code does, so they may not lag behind (`make docs`)."""
    assert path.read_text() == schemas.files()[path]


def test_no_schema_is_left_over() -> None:
    """A schema of an event that no longer exists would promise what never comes."""
    assert {path.stem for path in schemas.FOLDER.glob("*.json")} == set(event.ALL)


def test_events_are_named_as_things_that_happened() -> None:
    """One form of name, `thing.happened`, lets a rule match by prefix."""
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in event.ALL)


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(path: Path) -> None:
    """A link to a file that is not there sends a new user away."""
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_page_of_numbers_has_a_row_for_each_that_the_bench_prints() -> None:
    """A number that a page leaves out is one that may get worse unseen; the figures are `make bench`'s own."""
    from bench import rows

    page = (ROOT / "docs" / "performance.md").read_text()
    table = page.split("| what | bound | found | |")[1].split("\n\n")[0]
    shown = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")]
    assert [(what.strip(), bound.strip()) for what, bound in shown] == [
        (what, meaning.bound) for what, meaning in rows.ROWS.items()
    ]
    told = re.findall(r"^- \*\*(.+?)\*\*: ", page, re.MULTILINE)
    assert told == list(rows.ROWS)


FENCED = [
    pytest.param(kind, text, id=f"{path.name}-{number}-{kind}")
    for path in sorted((ROOT / "docs").glob("*.md"))
    for number, (kind, text) in enumerate(
        re.findall(r"```(toml|cedar)\n(.*?)```", path.read_text(), re.DOTALL), 1
    )
]


@pytest.mark.parametrize(("kind", "text"), FENCED)
def test_what_is_there_to_copy_can_be_read(kind: str, text: str) -> None:
    """Who copies a piece of a policy from the documents must not be told that it is none."""
    if kind == "toml":
        assert tomllib.loads(text)
    else:
        assert json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]


def test_templates_that_are_there_to_copy_could_be_launched() -> None:
    """A field that no engine knows would be found by whoever copied it, when it is asked for."""
    texts = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "policy.md").read_text(), re.DOTALL)
    templates = [msgspec.toml.decode(text, type=Template) for text in texts if "\nengine = " in text]
    assert len(templates) >= 2
    for one in templates:
        given = {name: rule.get("default") for name, rule in one.parameters.get("properties", {}).items()}
        for spec in (one.spec, *({**one.spec, **choice} for choice in one.choices)):
            place = Place(one.region, one.account)
            _, units = offline.resolver(one.engine).resolve(fill(spec, given), place, {})
            assert units


def test_every_route_is_in_the_api_document() -> None:
    """Who reads docs/api.md must not miss a route."""
    text = (ROOT / "docs" / "api.md").read_text()
    for one in OPERATIONS:
        assert f"`{one.method.upper()} {one.path}`" in text, (one.method, one.path)


EXPLAINED = re.findall(
    r"^- `(\w+)\.([\w.]+)`: `` (.+?) `` → ``", (ROOT / "docs" / "mutants.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("module", "function", "before"), EXPLAINED)
def test_what_is_said_to_be_the_same_is_still_written_so(module: str, function: str, before: str) -> None:
    """An explanation of code that is no more would excuse whatever takes its place."""
    found = attrgetter(function)(importlib.import_module(f"gonogo.core.{module}"))
    source = inspect.getsource(getattr(found, "fget", None) or getattr(found, "func", None) or found)
    assert before in " ".join(line.strip() for line in source.splitlines())


def test_every_decision_is_in_the_list_of_decisions() -> None:
    """Who asks why it is so looks into the list, and not into the folder."""
    folder = ROOT / "docs" / "adr"
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert [file for _, file in listed] == sorted(path.name for path in folder.glob("0*.md"))
    assert all(file.startswith(number) for number, file in listed)
