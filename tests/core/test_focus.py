"""A usage record is a row of FOCUS 1.2 by the specification's own rules, and no spreadsheet runs what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.core import focus, usage
from gonogo.core.actor import Actor
from gonogo.core.event import Metered
from gonogo.core.usage import Carry, Interval, Sight, UsageDay
from tests import focus_rules
from tests.core.agreed import assert_agreed

DAY = datetime(2026, 11, 30, tzinfo=UTC)
AFTER = DAY + timedelta(days=3)
DEV, LEAD, FINANCE = (Actor("https://issuer.example.com", name) for name in ("dev", "lead", "finance"))
FACTS = Metered(
    instance="i-0123456789abcdef0",
    region="eu-central-1",
    instance_type="t3.micro",
    launch="l-abc",
    name="fair",
    template="web-small",
    digest="ab" * 32,
    requester=DEV,
    on_behalf_of=None,
    approvers=(LEAD, FINANCE),
    cost_center="4711",
    currency="USD",
    price_version="2026-11-01",
    hourly=Decimal("0.0104"),
    image="ami-1",
)


def at(text: str) -> datetime:
    """Return a time of the day."""
    return datetime.fromisoformat(f"2026-11-30T{text}Z")


def sights(*told: tuple[str, str]) -> list[Sight]:
    """Return what was told of the day: times and states."""
    return [Sight(at(time), state, "event") for time, state in told]  # type: ignore[arg-type]


def day(*told: tuple[str, str], heard: datetime | None = None, least: int = 0, **facts: Any) -> UsageDay:
    """Return the day of an instance of which this was told."""
    these = msgspec.structs.replace(FACTS, **facts)
    opened = usage.opened(these, "2026-11-30", least, heard or DAY)
    return usage.seen(opened, sights(*told), heard or at("23:00:00"))


def rows(*days: UsageDay) -> list[dict[str, str | None]]:
    """Return every record of these days as a row."""
    return [focus.row(usage.told(one, record), record.at) for one in days for record in one.records]


def broken(found: Iterable[dict[str, str | None]]) -> list[str]:
    """Return the rules of FOCUS 1.2 that these rows break."""
    return focus_rules.faults(focus.COLUMNS, list(found))


MORNING = (("08:00:00", "running"), ("09:00:01", "stopped"))


def corrected(heard: datetime) -> UsageDay:
    """Return a day of which it is heard then that it had stopped before."""
    return usage.seen(day(*MORNING), sights(("08:30:00", "stopped")), heard)


CASES = {
    "an hour and a second": day(*MORNING),
    "a second of a day": day(("08:00:00", "running"), ("08:00:01", "stopped")),
    "less than a second, billed for a minute": day(
        ("08:00:00", "running"), ("08:00:00", "stopped"), least=60
    ),
    "corrected in time": corrected(at("23:30:00")),
    "corrected after the month": corrected(AFTER),
    "in another account": day(*MORNING, account="210987654321"),
    "without a name, approvers, or an image": day(*MORNING, name=None, approvers=(), image=None),
    "for somebody else": day(*MORNING, on_behalf_of=FINANCE),
    "a stack": day(*MORNING, engine="cloudformation", instance="arn:aws:cloudformation:x:1:stack/a/b"),
    "an execution": day(*MORNING, engine="stepfunctions", instance="arn:aws:states:x:1:execution:a:b"),
    "of an engine of one's own": day(*MORNING, engine="batch", region=""),
    "for nothing": day(*MORNING, hourly=Decimal(0)),
    "for next to nothing": day(*MORNING, hourly=Decimal("0.0000001")),
    "of a cost center with an umlaut": day(*MORNING, cost_center="Größe \u20ac"),
    "in another currency": day(*MORNING, currency="EUR", hourly=Decimal("21.957642")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_record_is_a_row_of_focus(case: str):
    """A biller's tools refuse a file, or misread it, that breaks a rule of the specification."""
    found = rows(CASES[case])
    assert found
    assert broken(found) == []


@pytest.mark.parametrize("case", CASES)
def test_a_row_is_as_it_was_agreed_on(case: str):
    """Whoever loads the file has written down what stands in which column: of all but the first, what differs."""
    (first,) = rows(CASES["an hour and a second"])
    assert_agreed(
        "focus.json",
        case,
        [
            f"{number} {name}: {value}"
            for number, row in enumerate(rows(CASES[case]), 1)
            for name, value in row.items()
            if row == first or value != first[name]
        ],
    )


@pytest.mark.usefixtures("far_east")
def test_every_time_is_in_utc():
    """A month that began when it did where the machine stands would bill what belongs to another."""
    (row,) = rows(day(*MORNING))
    assert [row[name] for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart")] == [
        "2026-11-01T00:00:00Z",
        "2026-12-01T00:00:00Z",
        "2026-11-30T08:00:00Z",
    ]


def test_a_file_of_all_of_them_is_one_of_focus():
    """Some rules are of all rows together."""
    assert broken(rows(*CASES.values())) == []


STATES = st.sampled_from(["running", "stopped"])
TOLD = st.lists(st.tuples(st.integers(0, 86_399), STATES), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    heard=st.lists(TOLD, min_size=1, max_size=3),
    hourly=st.decimals(min_value=0, max_value=10_000, places=6),
    least=st.sampled_from([0, 60, 3600]),
    carry=st.sampled_from([Carry(), Carry(Interval(DAY - timedelta(hours=1)))]),
)
def test_whatever_is_heard_in_whatever_order_the_rows_hold_and_add_up(
    heard: list[list[tuple[int, str]]], hourly: Decimal, least: int, carry: Carry
):
    """Corrections of corrections are rows too; the sum of a day's rows is the day's cost, to the last place."""
    one = usage.opened(msgspec.structs.replace(FACTS, hourly=hourly), "2026-11-30", least, DAY)
    one = one.changed(carry=carry)
    for number, told in enumerate(heard):
        seen = [Sight(DAY + timedelta(seconds=second), state, "event") for second, state in told]  # type: ignore[arg-type]
        one = usage.seen(one, seen, DAY + timedelta(days=number, hours=23))
    found = rows(one)
    assert broken(found) == []
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum((Decimal(row[name] or "") for row in found), Decimal(0)) == one.cost
    assert sum(int(row["ConsumedQuantity"] or "") for row in found) == one.seconds


def test_a_correction_within_its_month_is_no_correction_of_focus():
    """The specification calls only that a Correction which changes a period that was invoiced."""
    first, correction = rows(corrected(at("23:30:00")))
    assert (first["ChargeClass"], correction["ChargeClass"]) == (None, None)
    assert (first["x_Corrects"], correction["x_Corrects"]) == (None, first["x_RecordId"])


def test_a_correction_of_a_month_that_was_over_is_one_of_focus():
    """Who has invoiced the month looks for these, and they stand with the month that they change."""
    first, correction = rows(corrected(AFTER))
    assert (first["ChargeClass"], correction["ChargeClass"]) == (None, "Correction")
    assert correction["x_Corrects"] == first["x_RecordId"]
    assert correction["BilledCost"] == "-0.0052028889"
    assert correction["ConsumedQuantity"] == "-1801"
    assert correction["x_RecordedAt"] == "2026-12-03T00:00:00Z"
    assert [row["BillingPeriodStart"] for row in (first, correction)] == ["2026-11-01T00:00:00Z"] * 2


def test_what_is_recorded_as_the_month_ends_is_no_correction():
    """The last day is recorded some minutes after its end; what is heard by then changes no invoice."""
    assert [row["ChargeClass"] for row in rows(corrected(DAY + timedelta(days=1, minutes=14)))] == [
        None,
        None,
    ]
    assert rows(corrected(DAY + timedelta(days=1, minutes=15)))[1]["ChargeClass"] == "Correction"


def test_a_row_says_who_asked_who_approved_and_what():
    """An auditor who has the bill alone can find the approval of each line."""
    (row,) = rows(day(*MORNING, on_behalf_of=FINANCE))
    assert row["x_LaunchId"] == "l-abc"
    assert row["x_Digest"] == "ab" * 32
    assert row["x_Requester"] == "https://issuer.example.com#dev"
    assert row["x_OnBehalfOf"] == "https://issuer.example.com#finance"
    assert row["x_Approvers"] == "https://issuer.example.com#lead https://issuer.example.com#finance"
    assert json.loads(row["Tags"] or "") == {
        "gonogo:approvers": row["x_Approvers"],
        "gonogo:cost-center": "4711",
        "gonogo:digest": "ab" * 32,
        "gonogo:launch": "l-abc",
        "gonogo:on-behalf-of": row["x_OnBehalfOf"],
        "gonogo:price-version": "2026-11-01",
        "gonogo:record": row["x_RecordId"],
        "gonogo:requester": row["x_Requester"],
        "gonogo:template": "web-small",
    }


def test_numbers_are_exact_and_plain():
    """A biller adds them up: no exponent, no rounding, no float on the way."""
    (row,) = rows(day(*MORNING, hourly=Decimal("0.0000001")))
    assert row["BilledCost"] == "0.0000001000"
    assert row["ListUnitPrice"] == "0.0000001"
    assert row["PricingQuantity"] == "1.000277777777777778"
    (whole,) = rows(day(("00:00:00", "running"), ("10:00:00", "stopped")))
    assert whole["PricingQuantity"] == "10"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (one, f"'{one}")
            for one in ("=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\uff1d1", "\uff0b1", "\uff0d1")
        ),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("\n=1", r"\n=1"),
        ("pay 100\u202e001", r"pay 100\u202e001"),
        ("fair;=1", "fair;'=1"),
    ],
)
def test_no_spreadsheet_runs_a_name(text: str, expected: str):
    """Whoever asks for a launch chooses its name; whoever opens the bill must not run it."""
    (row,) = rows(day(*MORNING, name=text))
    assert row["ResourceName"] == text
    cell = dict(zip(focus.COLUMNS, focus.cells(row), strict=True))["ResourceName"]
    assert cell == expected


def test_a_minus_before_an_amount_stays_a_minus():
    """An apostrophe before a number would make a text of it, and a sum that leaves it out."""
    correction = rows(corrected(AFTER))[1]
    cells = dict(zip(focus.COLUMNS, focus.cells(correction), strict=True))
    for name in focus.NUMBERS - {"ContractedUnitPrice", "ListUnitPrice"}:
        assert (cells[name] or "").startswith("-"), name


def test_every_mandatory_column_is_there():
    """The list here is the specification's, read by itself; theirs and ours must be the same."""
    assert set(focus.MANDATORY) == focus_rules.MANDATORY
    assert len(focus.MANDATORY) == 21


def test_the_documents_say_what_stands_in_each_column():
    """Who loads the file has to know what a column means before they add it up."""
    text = (Path(__file__).parents[2] / "docs" / "billing.md").read_text()
    assert [name for name in focus.COLUMNS if f"`{name}`" not in text] == []
    assert [tag for tag in focus._TAGS if f"`{tag}`" not in text] == []


MUTATIONS: dict[str, tuple[str, str | None, str]] = {
    "cost missing": ("BilledCost", None, "BilledCost: must not be null"),
    "cost with exponent": ("BilledCost", "1E-7", "BilledCost: '1E-7' is no number"),
    "cost with sign": ("EffectiveCost", "+1", "EffectiveCost: '+1' is no number"),
    "cost with symbol": ("ListCost", "$1", "ListCost: '$1' is no number"),
    "cost that is not the product": ("ListCost", "5", "ListCost: is not ListUnitPrice times PricingQuantity"),
    "negative price": ("ListUnitPrice", "-1", "ListUnitPrice: must not be negative"),
    "currency in words": ("BillingCurrency", "Euro", "BillingCurrency: is no code of ISO 4217"),
    "time without zone": (
        "ChargePeriodStart",
        "2026-11-30T08:00:00",
        "ChargePeriodStart: '2026-11-30T08:00:00' is no time in UTC",
    ),
    "empty period": (
        "ChargePeriodEnd",
        "2026-11-30T08:00:00Z",
        "ChargePeriodEnd: the end is exclusive, so it is after the beginning",
    ),
    "another month": (
        "BillingPeriodEnd",
        "2026-11-02T00:00:00Z",
        "ChargePeriodStart: usage lies in its billing period",
    ),
    "unknown category": ("ChargeCategory", "Refund", "ChargeCategory: 'Refund' is not allowed"),
    "unknown class": ("ChargeClass", "Fix", "ChargeClass: 'Fix' is not allowed"),
    "purchase by usage": ("ChargeCategory", "Purchase", "ChargeFrequency: a purchase is not usage-based"),
    "quantity of a purchase": ("ChargeCategory", "Purchase", "ConsumedQuantity: must be null"),
    "price of a tax": ("ChargeCategory", "Tax", "PricingQuantity: must be null"),
    "quantity missing": ("PricingQuantity", None, "PricingQuantity: must not be null"),
    "unit without quantity": ("ConsumedQuantity", None, "ConsumedUnit: must be null"),
    "unit in short": ("PricingUnit", "h", "PricingUnit: is no unit of time"),
    "unknown service": ("ServiceCategory", "Computing", "ServiceCategory: 'Computing' is not allowed"),
    "another's subcategory": (
        "ServiceSubcategory",
        "Object Storage",
        "ServiceSubcategory: is of another category",
    ),
    "empty text": ("ProviderName", " ", "ProviderName: must not be empty"),
    "region without a name": ("RegionName", None, "RegionName: must not be null"),
    "type of no resource": ("ResourceId", None, "ResourceType: must be null"),
    "name that is the id": ("ResourceName", FACTS.instance, "ResourceName: must not repeat the id"),
    "account without a name": ("SubAccountId", "1", "SubAccountName: must not be null"),
    "tags in a list": ("Tags", "[]", "Tags: is no object"),
    "tags twice": ("Tags", '{"a": 1, "a": 2}', "Tags: has a key twice"),
    "tags in tags": ("Tags", '{"a": [1]}', "Tags: has a value that is not plain"),
    "details of our own": ("SkuPriceDetails", '{"Size": 1}', "SkuPriceDetails: Size is no property"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_rules_catch_what_breaks_them(mutation: str):
    """A check that finds nothing wrong with anything would find nothing wrong with us."""
    name, value, fault = MUTATIONS[mutation]
    (row,) = rows(day(*MORNING))
    wrong = {**row, name: value}
    found = broken([wrong])
    assert any(one == f"1: {fault}" for one in found), found


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda names: [one for one in names if one != "ChargeClass"], "0: ChargeClass: must be present"),
        (lambda names: [*names, "x_Template"], "0: a column stands twice"),
        (lambda names: ["x_First", *names], "0: custom columns are mixed with those of FOCUS"),
        (lambda names: [*names, "LaunchId"], "0: LaunchId: is none of FOCUS 1.2"),
        (lambda names: [*names, "x_launch"], "0: x_launch: is not in Pascal case"),
    ],
)
def test_the_rules_of_a_header_catch_what_breaks_them(change: Callable[[list[str]], list[str]], fault: str):
    """A column that is not there cannot be wrong in any row."""
    assert fault in focus_rules.faults(change(list(focus.COLUMNS)), [])
