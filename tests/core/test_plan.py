"""Template and parameters become a plan: nothing is pasted, nothing is free, nothing runs too long."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.core import plan
from gonogo.core.errors import InvalidError, NotPermittedError
from gonogo.core.plan import Lease, Plan, PriceTable, Unit
from tests.core.builders import BOSS, DEV, question

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def hole(name: str) -> dict[str, Any]:
    """Return the hole of a parameter."""
    return {"parameter": name}


@pytest.mark.parametrize(
    ("spec", "filled"),
    [
        ({"a": hole("n")}, {"a": 2}),
        ({"a": {"b": [hole("n"), 3]}}, {"a": {"b": [2, 3]}}),
        (
            {"a": "{parameter}", "b": "parameter", "c": "${n}"},
            {"a": "{parameter}", "b": "parameter", "c": "${n}"},
        ),
        ({"a": hole("absent"), "b": 1}, {"b": 1}),
        ({"a": [1, hole("absent"), 2]}, {"a": [1, 2]}),
        ({"a": {"b": hole("absent")}}, {"a": {}}),
        ({"a": hole("none")}, {"a": None}),
        ({"a": {"parameter": "n", "b": 1}}, {"a": {"parameter": "n", "b": 1}}),
        ({}, {}),
    ],
)
def test_holes_are_filled(spec: dict[str, Any], filled: dict[str, Any]):
    """A hole takes the parameter as it is, and one that was not given leaves no trace."""
    assert plan.fill(spec, {"n": 2, "none": None}) == filled


@given(JSON)
def test_a_value_cannot_change_what_stands_beside_it(value: Any):
    """Whatever somebody sends, be it a hole itself, is put in whole: no other key or string changes."""
    filled = plan.fill(
        {"user_data": hole("x"), "role": "reader", "list": [hole("x")]}, {"x": value, "admin": "a"}
    )
    assert filled == {"user_data": value, "role": "reader", "list": [value]}


def test_the_template_itself_is_never_changed():
    """The next request is filled into the same template."""
    spec = {"a": hole("n"), "b": [hole("n")]}
    plan.fill(spec, {"n": 1})
    assert spec == {"a": {"parameter": "n"}, "b": [{"parameter": "n"}]}


@pytest.mark.parametrize(
    ("asked", "lease"), [(None, "30d"), ("1s", "1s"), ("90d", "90d"), ("2160h", "2160h"), ("12w", "12w")]
)
def test_leases(asked: str | None, lease: str):
    """Whoever does not ask gets the template's lease, and up to the longest all may be asked for."""
    assert plan.lease_for("web-small", Lease("30d", "90d"), asked) == lease


@pytest.mark.parametrize(
    ("asked", "rule"),
    [("91d", "maximum"), ("2161h", "maximum"), ("13w", "maximum"), ("0d", "duration"), ("", "duration")],
)
def test_too_long_a_lease(asked: str, rule: str):
    """A lease is a limit, in whatever unit it is asked for."""
    with pytest.raises(InvalidError) as raised:
        plan.lease_for("web-small", Lease("30d", "90d"), asked)
    assert [(one.pointer, one.rule) for one in raised.value.faults] == [("/lease", rule)]


def priced(*units: Unit, hourly: str = "0.0104", lease: timedelta = timedelta(days=30)) -> Any:
    """Return the estimate of a plan of these units, where a t3.micro costs so much."""
    table = PriceTable(
        version="v", currency="USD", hourly={"ec2": {"us-east-1": {"t3.micro": Decimal(hourly)}}}
    )
    whole = Plan(template="t", engine="ec2", region="us-east-1", parameters={}, spec={}, units=units)
    return table.estimate(whole, lease)


@pytest.mark.parametrize(
    ("hourly", "count", "lease", "monthly", "worst_case"),
    [
        ("0.0104", 1, timedelta(days=30), "7.60", "7.49"),
        ("0.0104", 3, timedelta(days=30), "22.78", "22.47"),
        ("1", 1, timedelta(hours=1), "730.00", "1.00"),
        ("1", 1, timedelta(seconds=1), "730.00", "0.01"),
        ("0.00000001", 1, timedelta(days=1), "0.01", "0.01"),
        ("0", 5, timedelta(days=1), "0.00", "0.00"),
        ("324", 1, timedelta(seconds=100), "236520.00", "9.00"),
        ("3", 1, timedelta(seconds=2400), "2190.00", "2.00"),
    ],
)
def test_estimates(hourly: str, count: int, lease: timedelta, monthly: str, worst_case: str):
    """An approver is never shown less than it can cost: 730 hours a month, up to the next hundredth."""
    price = priced(Unit("t3.micro", count), hourly=hourly, lease=lease)
    assert (str(price.monthly), str(price.worst_case)) == (monthly, worst_case)
    assert price.hourly == Decimal(hourly) * count


@given(
    st.decimals(min_value="0", max_value="1000", places=6),
    st.integers(min_value=1, max_value=10_000),
    st.integers(min_value=1, max_value=31_536_000),
)
def test_estimates_round_up_and_by_less_than_a_cent(hourly: Decimal, count: int, seconds: int):
    """No rounding on the way makes it cheaper than it is, or dearer by a cent."""
    price = priced(Unit("t3.micro", count), hourly=str(hourly), lease=timedelta(seconds=seconds))
    for shown, exact in (
        (price.monthly * 3600, hourly * count * 730 * 3600),
        (price.worst_case * 3600, hourly * count * seconds),
    ):
        assert exact <= shown < exact + 36


def test_units_add_up():
    """A plan of several kinds costs their sum."""
    assert priced(Unit("t3.micro", 2), Unit("t3.micro", 3)).hourly == Decimal("0.0520")


@pytest.mark.parametrize(
    ("engine", "region", "kind"),
    [("ec2", "us-east-1", "t3.nano"), ("ec2", "eu-west-1", "t3.micro"), ("event", "us-east-1", "t3.micro")],
)
def test_what_has_no_price_is_not_launched(engine: str, region: str, kind: str):
    """Nothing is free by being unknown: not the unit, not the region, not the engine."""
    table = PriceTable(version="v", currency="USD", hourly={"ec2": {"us-east-1": {"t3.micro": Decimal(1)}}})
    with pytest.raises(NotPermittedError, match="not launched"):
        table.of_unit(engine, region, kind)


def test_more_than_can_be_reckoned_is_refused_by_name():
    """A quantity of forty digits is somebody's joke, and no crash."""
    with pytest.raises(NotPermittedError, match="more than can be reckoned"):
        priced(Unit("t3.micro", 10**40))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"reason": "other"},
        {"cost_center": "other"},
        {"requester": BOSS},
        {"on_behalf_of": BOSS},
        {"lease": "31d"},
        {"plan": msgspec.structs.replace(question().plan, region="eu-west-1")},
        {"plan": msgspec.structs.replace(question().plan, spec={"image_id": "ami-1"})},
        {"plan": msgspec.structs.replace(question().plan, parameters={"count": 2})},
        {"plan": msgspec.structs.replace(question().plan, units=(Unit("t3.micro", 2),))},
        {"plan": msgspec.structs.replace(question().plan, engine="event")},
        {"plan": msgspec.structs.replace(question().plan, template="other")},
        {"price": msgspec.structs.replace(question().price, hourly=Decimal(1))},
        {"price": msgspec.structs.replace(question().price, monthly=Decimal(1))},
        {"price": msgspec.structs.replace(question().price, worst_case=Decimal(1))},
        {"price": msgspec.structs.replace(question().price, version="other")},
        {"price": msgspec.structs.replace(question().price, currency="EUR")},
    ],
    ids="-".join,
)
def test_the_digest_covers_all_that_an_approver_is_shown(change: dict[str, Any]):
    """What is approved is the whole question: change any of it, and something else was approved."""
    asks = question()
    assert msgspec.structs.replace(asks, **change).digest != asks.digest


def test_the_digest_is_of_the_question_alone():
    """The same question asked twice has the same digest: ids and times are not part of it."""
    assert question().digest == question().digest
    assert question().requester == DEV


@pytest.mark.parametrize(
    ("lease", "warn", "told"),
    [
        ("30d", None, 72 * 60),
        ("10d", None, 24 * 60),
        ("10h", None, 60),
        ("1h", None, 15),
        ("20m", None, 10),
        ("never", None, 72 * 60),
        ("30d", "7d", 7 * 24 * 60),
        ("1h", "2h", 60),
    ],
)
def test_people_are_warned_in_time(lease: str, warn: str | None, told: int):
    """So many minutes ahead: a tenth of it, not less than a quarter of an hour, not more than three days or half."""
    assert plan.warning(lease, warn) == timedelta(minutes=told)


def test_each_start_costs_at_least_what_the_table_says():
    """An engine that the table says nothing of bills what ran, and not a second more."""
    table = PriceTable(version="1", currency="USD", hourly={}, minimum={"ec2": "60s"})
    assert (table.least("ec2"), table.least("event")) == (60, 0)


def test_a_plan_is_somewhere():
    """Looked over in another account than it was launched in, it would never be found."""
    account = plan.Account(
        role=ROLE.format("launches"), observer=ROLE.format("looks"), external_id="gonogo-1"
    )
    made = msgspec.structs.replace(question().plan, account=account)
    assert made.place == plan.Place("us-east-1", account)
    assert (made.place.number, question().plan.place.number) == ("123456789012", None)


ROLE = "arn:aws:iam::123456789012:role/{}"


def test_a_choice_is_a_plan_of_its_own():
    """The engine gets the choice that it is to make, and no other to choose from."""
    asks = question(count=2, choices=2).plan
    first, second, third = (asks.chosen(choice) for choice in (1, 2, 3))
    assert (first.spec, first.units, first.choices) == (asks.spec, asks.units, ())
    for plan_, choice in ((second, asks.choices[0]), (third, asks.choices[1])):
        assert plan_ == msgspec.structs.replace(asks, spec=choice.spec, units=choice.units, choices=())
