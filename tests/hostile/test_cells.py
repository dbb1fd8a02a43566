"""The files that a biller opens in a spreadsheet: what others wrote is text in one cell, and numbers are numbers."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from gonogo.cli import billing
from gonogo.core import focus
from gonogo.core.actor import Actor
from tests.cli.shell import Gateway, Shell
from tests.cli.test_billing import MONTH, at, facts, note
from tests.functions.world import ISSUER, World, world
from tests.hostile.corpus import TEXTS, many, seed, unseen

PLANTED = {
    "behind a semicolon": 'fair;=HYPERLINK("https://elsewhere.example","GO")',
    "behind a blank and a semicolon": "fair; @SUM(1)",
    "behind a quote": '";=1+1;"',
    "behind blanks": "  =1+1",
    "behind what is not seen": "\u200b=1+1",
    "full width": "\uff1d1+1",
    "end of a line": "fair\r\n=1+1,0,0",
}
WRITABLE = [name for name, text in TEXTS.items() if "surrogate" not in name and text.strip()]
FORMULAS = [name for name in WRITABLE if name.startswith("formula")]
CHOSEN = random.Random(seed()).sample(WRITABLE, many("GONOGO_TEXTS", 8, len(WRITABLE)))
NAMES = PLANTED | {name: TEXTS[name][:100] for name in [*FORMULAS, *CHOSEN]}
"""What a launch may be called by whoever asks, or could be by the rules of another version of us."""
LIVE = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r]")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
BEGINS_WITH_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(,|$)")
"""As a whole line does, in one cell, where there is no other sign to part it at."""
FORMS = {"csv": billing.NUMBERS, "focus": focus.NUMBERS}


@pytest.fixture(scope="module", name="billed")
def world_with_a_bill() -> Iterator[World]:
    """Give a world in which each text names something that was used, and something that cost less than nothing."""
    with world() as made:
        made.clock.time = at("2026-12-05T12:00:00")
        for number, text in enumerate(NAMES.values()):
            these = facts(f"i-{number:03d}", "4711", name=text, requester=Actor(ISSUER, text))
            note(made, these, ("2026-11-10T08:00:00", "running"), ("2026-11-10T09:00:01", "stopped"))
            if number % 10 == 0:
                note(made, these, ("2026-11-10T08:30:00", "stopped"))
        yield made


def rows(text: str, delimiter: str = ",") -> list[list[str]]:
    """Return the cells of a file, as a spreadsheet parts them."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize("form", FORMS)
def test_no_text_is_more_than_text_in_a_cell(
    billed: World, form: str, record_property: Callable[[str, object], None]
) -> None:
    """Whatever it is called: as many rows and cells as there must be, none that runs, hides or is no number."""
    shell = Shell(Gateway(billed))
    result = shell("bill", "--month", MONTH, "--format", form)
    assert result.exit_code == 0, result.output
    header, *found = rows(result.stdout)
    records = json.loads(shell("bill", "--month", MONTH, "--format", "json").stdout)
    assert len(found) == len(records) > len(NAMES)
    assert {len(row) for row in found} == {len(header)}
    for row, record in zip(found, records, strict=True):
        cells = dict(zip(header, row, strict=True))
        for column, cell in cells.items():
            if column in FORMS[form]:
                assert NUMBER.fullmatch(cell), (column, cell)
            else:
                assert not LIVE.match(cell), (column, cell)
                assert not unseen(cell), (column, cell)
        cost = cells["cost" if form == "csv" else "BilledCost"]
        assert Decimal(cost) == Decimal(record["cost"])
    assert any(Decimal(record["cost"]) < 0 for record in records)
    assert len(result.stdout.splitlines()) == len(found) + 1
    record_property("hostile", f"{len(NAMES)} names in cells of {form}, each as text")


@pytest.mark.parametrize("form", FORMS)
def test_no_text_runs_in_a_spreadsheet_that_parts_cells_otherwise(billed: World, form: str) -> None:
    """Where a comma is the decimal sign, a spreadsheet parts cells at semicolons, and at tabs if it is told to."""
    text = Shell(Gateway(billed))("bill", "--month", MONTH, "--format", form).stdout
    for delimiter in (";", "\t"):
        cells = [cell for row in rows(text, delimiter) for cell in row]
        assert not [cell for cell in cells if LIVE.match(cell) and not BEGINS_WITH_NUMBER.match(cell)]


def test_a_name_that_harms_nobody_is_as_it_was_written() -> None:
    """A biller finds a launch by its name, so only what is dangerous is changed."""
    for name in ("fair", "a, b", 'the "fair"', "Größe; 東京", "2-for-1", "a=b", "dev@example.com", "a; b"):
        assert focus.harmless(name) == name
