"""The bill as a biller gets it: a table for people, files for tools that others wrote, and the reports."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gonogo.cli import billing as command
from gonogo.core import focus
from gonogo.core.actor import Actor
from gonogo.core.event import Metered
from gonogo.core.usage import Sight
from gonogo.service import billing, usage
from tests import focus_rules
from tests.cli.shell import Answers, Gateway, Shell, nasty, problem
from tests.functions.world import ISSUER, World, world

MONTH = "2026-11"
DEV, LEAD = Actor(ISSUER, "dev"), Actor(ISSUER, "lead")


def facts(instance: str, cost_center: str, **more: Any) -> Metered:
    """Return what a biller needs of an instance."""
    said: dict[str, Any] = {
        "region": "us-east-1",
        "instance_type": "t3.micro",
        "launch": f"l-{instance}",
        "name": None,
        "template": "web-small",
        "digest": "ab" * 32,
        "requester": DEV,
        "on_behalf_of": None,
        "approvers": (LEAD,),
        "currency": "USD",
        "price_version": "2026-11-01",
        "hourly": Decimal("0.0104"),
        **more,
    }
    return Metered(instance=instance, cost_center=cost_center, **said)


def at(text: str) -> datetime:
    """Return a time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def note(made: World, these: Metered, *told: tuple[str, str], least: int = 0) -> None:
    """Let it be heard what an instance did."""
    sights = [Sight(at(moment), state, "event") for moment, state in told]  # type: ignore[arg-type]
    usage.note(made.gonogo, these, least, sights)


@pytest.fixture(name="billed", scope="module")
def world_with_a_bill() -> Iterator[World]:
    """Give a world with usage in two cost centers and two currencies, some of it corrected; nothing changes it."""
    with world() as made:
        made.clock.time = at("2026-11-29T12:00:00")
        named = facts("i-a", "4711", name='=HYPERLINK("http://evil")', account="210987654321")
        note(made, named, ("2026-11-10T08:00:00", "running"), ("2026-11-10T09:00:01", "stopped"))
        note(made, facts("i-b", "marketing"), ("2026-11-28T22:00:00", "running"))
        euros = facts("i-c", "4711", currency="EUR", hourly=Decimal("21.957642"), name='a, "b"')
        note(made, euros, ("2026-11-10T08:00:00", "running"), ("2026-11-10T08:00:00", "stopped"), least=60)
        note(made, named, ("2026-11-10T08:30:00", "stopped"))
        made.clock.time = at("2026-12-05T12:00:00")
        made.wake()
        note(made, facts("i-b", "marketing"), ("2026-11-29T06:00:07", "stopped"))
        yield made


@pytest.fixture(name="shell")
def shell_to_the_bill(billed: World) -> Shell:
    """Give a shell to it."""
    return Shell(Gateway(billed))


def sums(billed: World, month: str = MONTH) -> list[Any]:
    """Return the sums as the API gives them."""
    answer = billed.call("GET", f"/v1/usage/summary?month={month}", who="dev")
    found: list[Any] = answer.json["items"]
    return found


def query(sql: str, path: Path) -> list[Any]:
    """Ask DuckDB something of a file."""
    with duckdb.connect() as database:
        return database.execute(sql, [str(path)]).fetchall()


def written(shell: Shell, *words: str) -> list[dict[str, str | None]]:
    """Return the rows of a file that the command writes, with None for null."""
    result = shell("bill", "--month", MONTH, *words)
    assert result.exit_code == 0, result.output
    reader = csv.DictReader(io.StringIO(result.stdout))
    return [{name: value or None for name, value in row.items()} for row in reader]


def test_a_focus_file_is_one_by_the_rules_of_the_specification(shell: Shell):
    """The tools that read it were written by others, against the specification and nothing else."""
    result = shell("bill", "--month", MONTH, "--format", "focus")
    header = next(csv.reader(io.StringIO(result.stdout)))
    found = written(shell, "--format", "focus")
    assert focus_rules.faults(header, found) == []
    assert [one["ChargeClass"] for one in found].count("Correction") >= 1
    assert {one["InvoiceIssuerName"] for one in found} == {"gonogo"}
    ours = written(shell, "--format", "focus", "--issuer", "ACME Shared Services")
    assert {one["InvoiceIssuerName"] for one in ours} == {"ACME Shared Services"}


def test_a_database_adds_a_focus_file_up_to_the_sums_of_the_api(billed: World, shell: Shell, tmp_path: Path):
    """Two ways to one month must come to the same, to the last place."""
    path = tmp_path / "focus.csv"
    assert shell("bill", "--month", MONTH, "--format", "focus", "--output", str(path)).exit_code == 0
    found = query(
        """
        SELECT ChargePeriodStart[:10] AS day, x_CostCenter, BillingCurrency, count(DISTINCT ResourceId),
               sum(ConsumedQuantity::BIGINT)::BIGINT, sum(BilledCost::DECIMAL(38, 10)),
               sum(EffectiveCost::DECIMAL(38, 10))
        FROM read_csv(?, all_varchar = true) GROUP BY ALL ORDER BY ALL
        """,
        path,
    )
    expected = [
        (
            one["day"],
            one["cost_center"],
            one["currency"],
            one["instances"],
            one["seconds"],
            Decimal(one["cost"]),
            Decimal(one["cost"]),
        )
        for one in sums(billed)
    ]
    assert found == expected
    assert len(found) == 5


def test_a_database_finds_times_and_tags_by_itself(shell: Shell, tmp_path: Path):
    """A column that a reader takes for another type than it is breaks the query of whoever comes after."""
    path = tmp_path / "focus.csv"
    shell("bill", "--month", MONTH, "--format", "focus", "--output", str(path))
    kinds = dict(query("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_csv(?))", path))
    times = {name for name, kind in kinds.items() if kind.startswith("TIMESTAMP")}
    assert times == {
        *(f"{one}Period{side}" for one in ("Billing", "Charge") for side in ("Start", "End")),
        "x_IntervalStart", "x_IntervalEnd", "x_RecordedAt",
    }  # fmt: skip
    launches = query("SELECT DISTINCT Tags::JSON->>'gonogo:launch' = x_LaunchId FROM read_csv(?)", path)
    assert launches == [(True,)]


def test_no_file_has_a_formula(shell: Shell):
    """A launch's name is typed by whoever asks, and the bill is opened by whoever pays."""
    for form in ("csv", "focus"):
        cells = {value for row in written(shell, "--format", form) for value in row.values() if value}
        assert '\'=HYPERLINK("http://evil")' in cells
        assert not [one for one in cells if one.startswith(("=", "+", "@"))]
        minus = [one for one in cells if one.startswith("-")]
        assert minus
        assert all(re.fullmatch(r"-[0-9]+(\.[0-9]+)?", one) for one in minus)


def test_the_records_come_as_they_are(billed: World, shell: Shell):
    """CSV and JSON are for programs: every fact of every record, in one order, whatever the pages."""
    answer = billed.call("GET", f"/v1/usage?month={MONTH}&limit=100", who="dev").json["items"]
    found = json.loads(shell("bill", "--month", MONTH, "--format", "json").stdout)
    assert sorted(found, key=lambda one: one["record"]) == sorted(answer, key=lambda one: one["record"])
    assert [one["day"] for one in found] == sorted(one["day"] for one in found)
    rows = written(shell, "--format", "csv")
    assert [(row["record"], row["cost"], row["seconds"]) for row in rows] == [
        (one["record"], one["cost"], str(one["seconds"])) for one in found
    ]
    assert rows[0].keys() == answer[0].keys()
    assert {row["requester"] for row in rows} == {DEV.key}
    assert {row["approvers"] for row in rows} == {LEAD.key}


def test_it_makes_no_difference_how_many_pages_there_are(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    """A large month comes in many pages; the file must be that of one."""
    whole = shell("bill", "--month", MONTH, "--format", "csv").stdout
    table = shell("bill", "--month", MONTH).stdout
    monkeypatch.setattr(command, "PAGE", 1)
    monkeypatch.setattr(billing, "MOST_SUMMED", 1)
    assert shell("bill", "--month", MONTH, "--format", "csv").stdout == whole
    assert shell("bill", "--month", MONTH).stdout == table


def test_a_cost_center_or_two_may_be_asked_for(shell: Shell):
    """Each gets its own bill, and who pays for two gets one for both; naming one twice bills it once."""
    every = written(shell, "--format", "csv")
    one = written(shell, "--format", "csv", "--cost-center", "4711")
    both = written(shell, "--format", "csv", "--cost-center", "marketing", "--cost-center", "4711")
    twice = written(shell, "--format", "csv", "--cost-center", "4711", "--cost-center", "4711")
    assert {row["cost_center"] for row in one} == {"4711"}
    assert both == every
    assert twice == one


def test_people_see_days_and_totals(billed: World, shell: Shell):
    """Whoever only wants to know what it costs must not need a database."""
    result = shell("bill", "--month", MONTH)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "DAY COST CENTER INSTANCES HOURS COST"
    assert "2026-11-28 marketing 1 2:00:00 0.0208 USD" in lines
    totals: dict[tuple[str, str], Decimal] = {}
    for one in sums(billed):
        key = one["cost_center"], one["currency"]
        totals[key] = totals.get(key, Decimal(0)) + Decimal(one["cost"])
    for (cost_center, currency), total in totals.items():
        assert f"{cost_center}, {MONTH}: {total.normalize():f} {currency}" in lines


def test_a_month_without_usage_says_so(shell: Shell):
    """An empty table could be an error."""
    result = shell("bill", "--month", "2026-01")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing is recorded of 2026-01." in result.stderr
    assert re.search(r"Nothing is recorded of 20\d\d-\d\d\.", shell("bill", "--cost-center", "none").stderr)
    header, *rest = shell("bill", "--month", "2026-01", "--format", "focus").stdout.splitlines()
    assert (header.split(","), rest) == (list(focus.COLUMNS), [])


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path):
    """Half a bill looks like a small bill."""
    path = tmp_path / "bill.csv"
    path.write_text("last month's")
    row = {"items": [], "cursor": "more"}
    shell = Shell(Answers({"GET /v1/usage": [row, problem(403, "not-permitted", "No.")]}))
    result = shell("bill", "--month", MONTH, "--format", "csv", "--output", str(path))
    assert result.exit_code == 1
    assert path.read_text() == "last month's"
    assert [one.name for one in tmp_path.iterdir()] == ["bill.csv"]


def test_a_file_that_cannot_be_written_is_told(shell: Shell, tmp_path: Path):
    """A script must not take what is not there for a bill."""
    result = shell(
        "bill", "--month", MONTH, "--format", "csv", "--output", str(tmp_path / "none" / "bill.csv")
    )
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bill", "--month", "November"), "a month such as"),
        (("bill", "--month", "2026-13"), "a month such as"),
        (("bill", "--format", "xlsx"), "xlsx"),
        (("bill", "--output", "bill.txt"), "a table is for people"),
        (("reports", "everything"), "everything"),
        (("reports", "estimate", "--month", "2026"), "a month such as"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], said: str):
    """Nothing is asked of a deployment for a month that is none."""
    result = Shell(Answers({}))(*words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_cost_center_that_cannot_be_one_is_refused_by_name(shell: Shell):
    """A typo that bills nothing would look like a month for free."""
    result = shell("bill", "--month", MONTH, "--cost-center", "a#b")
    assert result.exit_code == 1
    assert "cost_center" in result.stderr


SOMEBODY = {"issuer": ISSUER, "subject": "dev"}
OF_A_LAUNCH = {
    "launch": "l-1",
    "name": None,
    "template": "web-small",
    "cost_center": "4711",
    "requester": SOMEBODY,
}
WHEN = "2026-11-23T09:20:00Z"
LATE = {**OF_A_LAUNCH, "lease_ends_at": WHEN, "currency": "USD"}
ESTIMATED = {
    **OF_A_LAUNCH,
    "currency": "USD",
    "estimate": "1.00",
    "actual": "0.7500000001",
    "difference": "-0.2499999999",
}
STRAY = {
    "instance": "i-1",
    "instance_type": "t3.micro",
    "region": "us-east-1",
    "account": "210987654321",
    "image": "ami-1",
    "why": "no_launch",
    "launch": "l-none",
    "began_at": None,
    "seen_at": WHEN,
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "approved-never-ran": [
        {**OF_A_LAUNCH, "state": "FAILED", "approvers": [SOMEBODY], "cleared_at": WHEN, "why": "Full: no"}
    ],
    "ran-never-approved": [STRAY],
    "past-lease": [
        {**LATE, "instances": ["i-1"], "seconds": 3600, "cost": "0.0104000000"},
        {**LATE, "instances": ["i-2"], "seconds": 60, "cost": "0.0001733333"},
    ],
    "estimate": [ESTIMATED, ESTIMATED],
}
"""Each report, those that come in parts in two."""

SHOWN = {
    "approved-never-ran": "l-1 FAILED 2026-11-23 09:20 UTC 4711 Full: no",
    "ran-never-approved": "i-1 t3.micro us-east-1, 210987654321 2026-11-23 09:20 UTC no_launch, tagged l-none",
    "past-lease": "l-1 2026-11-23 09:20 UTC 1:01:00 0.0105733333 USD i-1 i-2",
    "estimate": "l-1 1.00 1.5000000002 0.5000000002 USD 4711, web-small",
}


def reporting(rows: list[dict[str, Any]], name: str) -> Shell:
    """Give a shell to a deployment that has this report, a row a page, and an empty page at the end."""
    pages = [{"items": [dict(row)], "cursor": "more"} for row in rows]
    shell = Shell(Answers({f"GET /v1/reports/{name}": [*pages, {"items": [], "cursor": None}]}))
    shell.environment["COLUMNS"] = "160"
    return shell


@pytest.mark.parametrize("name", ROWS)
def test_a_report_is_shown_whole(name: str):
    """Its parts are put together: a launch that stands in two of them is one, with both its sums."""
    result = reporting(ROWS[name], name)("reports", name, "--month", MONTH)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[1:] == [SHOWN[name]]
    found = reporting(ROWS[name], name).json("reports", name, "--month", MONTH)
    assert len(found) == 1


@pytest.mark.parametrize("name", ROWS)
def test_a_report_steers_no_terminal(name: str):
    """What an instance's tag says is anybody's."""
    rows = nasty(ROWS[name], but={"cost", "estimate", "actual", "difference", "currency"})
    result = reporting(rows, name)("reports", name, "--month", MONTH)
    assert result.exit_code == 0, result.output
    assert not set("\x1b\x07\x9b\u202e\u200b") & set(result.stdout)


def test_an_empty_report_says_so(shell: Shell):
    """Nothing amiss is good news, and should read like it."""
    result = shell("reports", "past-lease", "--month", MONTH)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There is none." in result.stderr
