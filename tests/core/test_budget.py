"""Budgets: what a launch costs in which month, and what is left."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from gonogo.core import budget
from gonogo.core.budget import BudgetRule, Ledger, Standing
from tests.core.builders import AT, DAY, assert_well_told, told

RULE = BudgetRule(monthly=Decimal(100), months={"2026-12": Decimal(10)})


def ledger(month: str = "2026-11", spent: int = 0, **held: int) -> Ledger:
    """Return a month of cost center 4711."""
    return budget.opened("4711", month, AT).changed(
        spent=Decimal(spent), held={name: Decimal(amount) for name, amount in held.items()}
    )


@pytest.mark.parametrize(
    ("hourly", "begin", "end", "expected"),
    [
        ("1", "2026-11-02T09:00", "2026-11-02T10:00", "2026-11: 1.00"),
        ("1", "2026-11-30T23:00", "2026-12-01T01:00", "2026-11: 1.00, 2026-12: 1.00"),
        ("1", "2026-11-30T23:00", "2026-12-01T00:00", "2026-11: 1.00"),
        ("1", "2026-12-31T23:59", "2027-01-01T00:01", "2026-12: 0.02, 2027-01: 0.02"),
        ("0.0001", "2026-11-02T09:00", "2026-11-02T09:00:01", "2026-11: 0.01"),
        ("2", "2026-11-15T00:00", "2027-01-02T00:00", "2026-11: 768.00, 2026-12: 1488.00, 2027-01: 48.00"),
        ("0", "2026-11-02T09:00", "2026-11-02T10:00", "2026-11: 0.00"),
        ("1", "2026-11-02T09:00", "2026-11-02T09:00", ""),
        ("1", "2028-02-01T00:00", "2028-03-01T00:00", "2028-02: 696.00"),
    ],
)
def test_costs_by_month(hourly: str, begin: str, end: str, expected: str):
    """A lease over the turn of the month costs in both, in UTC, each rounded up to the hundredth."""
    at, until = (datetime.fromisoformat(f"{text}+00:00") for text in (begin, end))
    found = budget.amounts(Decimal(hourly), at, until)
    assert ", ".join(f"{month}: {amount}" for month, amount in found.items()) == expected


def test_months_are_those_of_utc():
    """Wherever the clock that says so stands: a month begins for all cost centers at once."""
    begin = datetime(2026, 11, 30, 19, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert list(budget.amounts(Decimal(1), begin, begin + timedelta(hours=1))) == ["2026-12"]


def test_a_long_lease_holds_a_year_and_this_month():
    """A lease of ten years must not write a hundred and twenty items."""
    found = budget.amounts(Decimal(1), AT, AT + 3650 * DAY)
    assert (len(found), min(found), max(found)) == (13, "2026-11", "2027-11")


@pytest.mark.parametrize(
    ("ledgers", "asked", "expected"),
    [
        ({}, {"2026-11": 99}, ("2026-11", 100, 0, 99, False)),
        ({}, {"2026-11": 100}, ("2026-11", 100, 0, 100, False)),
        ({}, {"2026-11": 101}, ("2026-11", 100, 0, 101, True)),
        ({}, {"2026-11": 50, "2026-12": 11}, ("2026-12", 10, 0, 11, True)),
        ({"2026-11": ledger(spent=40, other=30)}, {"2026-11": 30}, ("2026-11", 100, 70, 30, False)),
        ({"2026-11": ledger(spent=40, other=30)}, {"2026-11": 31}, ("2026-11", 100, 70, 31, True)),
        ({"2026-11": ledger(spent=40, mine=60)}, {"2026-11": 60}, ("2026-11", 100, 40, 60, False)),
        ({"2026-11": ledger(spent=120)}, {"2026-11": 0}, ("2026-11", 100, 120, 0, True)),
        ({}, {}, None),
    ],
)
def test_how_a_launch_stands(
    ledgers: dict[str, Ledger],
    asked: dict[str, int],
    expected: tuple[str, int, int, int, bool] | None,
):
    """The month where it is tightest decides, and what the launch holds already does not count against it."""
    amounts = {month: Decimal(amount) for month, amount in asked.items()}
    found = budget.standing("4711", RULE, ledgers, amounts, "mine")
    if expected is None:
        assert found is None
        return
    month, limit, committed, estimate, overruns = expected
    assert found == Standing(
        cost_center="4711",
        month=month,
        limit=Decimal(limit),
        committed=Decimal(committed),
        estimate=Decimal(estimate),
    )
    assert (found.overruns, found.remaining) == (overruns, Decimal(limit - committed))


def test_holding_twice_is_holding_once():
    """The sum is right however often a launcher comes by; but whoever read before must read again."""
    first = budget.hold(ledger(), "l-1", Decimal(5), AT)
    again = budget.hold(first, "l-1", Decimal(5), AT)
    assert (again.committed(), told(again)) == (Decimal(5), ["budget.reserved"])
    assert again.version == first.version + 1
    more = budget.hold(again, "l-1", Decimal(7), AT)
    assert (more.committed(), more.committed(without="l-1")) == (Decimal(7), Decimal(0))
    assert_well_told(more)


def test_releasing_twice_is_releasing_once():
    """What it did cost stays spent, once; what is held of the rest is free again."""
    this = budget.hold(budget.hold(ledger(), "l-1", Decimal(5), AT), "l-2", Decimal(3), AT)
    after = budget.release(this, "l-1", Decimal(2), AT)
    assert (after.held, after.spent, after.committed()) == ({"l-2": Decimal(3)}, Decimal(2), Decimal(5))
    assert budget.release(after, "l-1", Decimal(2), AT) is after
    assert told(after)[-1] == "budget.released"
    assert_well_told(after)


def test_a_ledger_is_looked_after_while_something_is_held():
    """What a launch that ended still holds is found by the ledger's own alarm, and an empty one sleeps."""
    this = budget.hold(ledger(), "l-1", Decimal(5), AT)
    assert this.due_at == AT + DAY
    assert budget.checked(this, AT + DAY).due_at == AT + 2 * DAY
    assert budget.release(this, "l-1", Decimal(0), AT).due_at is None


def test_each_month_of_each_cost_center_is_an_item_of_its_own():
    """Two that share an item would spend each other's money."""
    pairs = [("4711", "2026-11"), ("4711", "2026-12"), ("47112026-11", ""), ("4712", "2026-11")]
    assert len({budget.ledger_id(*one) for one in pairs}) == len(pairs)


def test_money_is_exact_through_the_store():
    """A sum of many small amounts is their sum: no float anywhere."""
    this = ledger()
    for n in range(100):
        this = budget.hold(this, f"l-{n}", Decimal("0.1"), AT)
    assert this.committed() == Decimal(10)
    assert this.history[-1].data["committed"] == "10.0"


def test_the_month_is_told_where_least_is_left_after_the_launch():
    """What decides is what would be left, not how dear a month is or how much was left before."""
    rule = BudgetRule(monthly=Decimal(100))
    found = budget.standing(
        "4711", rule, {}, {"2026-11": Decimal(10), "2026-12": Decimal(90), "2027-01": Decimal(20)}
    )
    assert found is not None
    assert (found.month, found.estimate) == ("2026-12", Decimal(90))
