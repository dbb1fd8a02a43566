"""What a biller reads over the API is what was told on the bus, to the last place; and the reports say what is amiss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest

from functions import usage_bodies
from functions.chart import draw
from functions.usage import NAMES
from gonogo.core.actor import Actor
from gonogo.core.reports import DaySum, Estimate, PastLease
from gonogo.ports import Page
from gonogo.service import billing
from tests.functions.billed import MONTH, Month, lived
from tests.functions.test_access import assert_safe, schema_for
from tests.functions.world import ISSUER, world

DEV = {"issuer": ISSUER, "subject": "dev"}
LEAD = {"issuer": ISSUER, "subject": "lead"}


@pytest.fixture(name="month", scope="module")
def month_that_was() -> Iterator[Month]:
    """Give a month to look at; nothing here changes it."""
    with world() as made:
        yield lived(made)


def read(month: Month, path: str, **query: str) -> Any:
    """Read something of the month."""
    asked = "&".join(f"{name}={value}" for name, value in {"month": MONTH, **query}.items())
    answer = month.world.call("GET", f"/v1/{path}?{asked}", who="finance")
    assert answer.code == 200, answer.text
    return answer.json


def records(month: Month, **query: str) -> list[Any]:
    """Read all records of the month, page by page."""
    found, cursor = [], None
    for _ in range(50):
        page = read(month, "usage", **query, **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor = page["cursor"]
        if cursor is None:
            return found
    raise AssertionError("it goes round and round")


def of_november(month: Month) -> list[dict[str, Any]]:
    """Return what was told of November's usage."""
    return [one for one in month.told() if one["day"].startswith(MONTH)]


def test_every_record_is_what_was_told_on_the_bus(month: Month) -> None:
    """Who reads the API and who listens must bill the same, fact by fact and digit by digit."""
    told = {one["record"]: one for one in of_november(month)}
    found = {one.pop("record"): one for one in records(month)}
    assert found.keys() == told.keys()
    for id_, one in found.items():
        assert one["begin"] < one["end"] <= one.pop("recorded_at")
        event = told[id_]
        del event["day_seconds"], event["day_cost"]  # a page has all records of the day
        assert {"record": id_, **one} == event


def test_a_page_has_so_many_days_and_no_record_twice(month: Month) -> None:
    """A record that is left out or comes twice between two pages is money."""
    ids = [one["record"] for one in records(month, limit="2")]
    assert len(ids) == len(set(ids))
    assert set(ids) == {one["record"] for one in of_november(month)}
    page = read(month, "usage", limit="1")
    assert len({(one["instance"], one["day"]) for one in page["items"]}) == 1
    assert page.keys() == {"items", "cursor"}


def test_a_cost_center_sees_its_own(month: Month) -> None:
    """Whoever pays for one cost center must not be billed for another."""
    assert {one["launch"] for one in records(month, cost_center="4711")} == {month.steady}
    assert {one["launch"] for one in records(month, cost_center="marketing")} == {month.fair, month.late}
    assert records(month, cost_center="nobody") == []


def test_the_sums_are_those_of_the_records(month: Month) -> None:
    """A sum that is off by a rounding is a question to somebody; here each digit is that of the records."""
    sums: dict[tuple[str, str], list[Any]] = {}
    for one in of_november(month):
        known = sums.setdefault((one["day"], one["cost_center"]), [0, Decimal(0)])
        known[0] += one["seconds"]
        known[1] += Decimal(one["cost"])
    summary = read(month, "usage/summary")
    assert summary["cursor"] is None
    found = {(one["day"], one["cost_center"]): one for one in summary["items"]}
    assert {key: [one["seconds"], Decimal(one["cost"])] for key, one in found.items()} == sums
    assert {one["currency"] for one in summary["items"]} == {"USD"}
    assert found["2026-11-27", "marketing"]["instances"] == 3
    ran = 2 * (3 * 3600 + 31 * 60) + 3 * 3600 + 31 * 60
    assert found["2026-11-27", "marketing"]["seconds"] == ran
    assert found["2026-11-27", "4711"]["seconds"] == (14 * 60 + 40 - 30 - 10) * 60
    assert found["2026-11-30", "4711"]["cost"] == "0.2496000000"


def test_the_sums_of_parts_add_up(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month that is too long for one call is added up in parts; none may be lost, nor pass for the whole."""
    whole = read(month, "usage/summary")["items"]
    monkeypatch.setattr(billing, "MOST_SUMMED", 3)
    parts, cursor, pages = [], None, 0
    while True:
        pages += 1
        assert pages < 50
        part = read(month, "usage/summary", **({"cursor": cursor} if cursor else {}))
        parts += part["items"]
        cursor = part["cursor"]
        if cursor is None:
            break
    assert pages > 1
    for one in whole:
        same = [
            part for part in parts if (part["day"], part["cost_center"]) == (one["day"], one["cost_center"])
        ]
        assert sum(Decimal(part["cost"]) for part in same) == Decimal(one["cost"])
        assert sum(part["instances"] for part in same) == one["instances"]


def test_what_was_approved_and_never_ran_is_reported_with_why(month: Month) -> None:
    """An approver's time, and maybe a budget's money, went into what nobody has."""
    report = read(month, "reports/approved-never-ran")
    assert (report["report"], report["month"], report["cursor"]) == ("approved-never-ran", MONTH, None)
    (one,) = report["items"]
    assert one == {
        "report": "approved-never-ran",
        "launch": month.failed,
        "state": "FAILED",
        "name": None,
        "template": "web-small",
        "cost_center": "marketing",
        "requester": DEV,
        "approvers": [LEAD],
        "cleared_at": "2026-11-27T09:20:00Z",
        "why": "InstanceLimitExceeded: No more.",
    }
    later = month.world.call("GET", "/v1/reports/approved-never-ran?month=2026-12", who="finance").json
    assert (later["items"], later["cursor"]) == ([], None)


def test_what_ran_and_was_never_approved_is_reported_with_why(month: Month) -> None:
    """It is paid for, and nobody said go."""
    (one,) = read(month, "reports/ran-never-approved")["items"]
    assert (one["instance"], one["why"], one["launch"]) == (month.stray, "no_launch", "l-nobody")
    assert one["seen_at"].startswith("2026-11-27T")


def test_what_ran_past_its_lease_is_reported_with_what_that_cost(month: Month) -> None:
    """The approval was for an hour; what came after is somebody's to explain."""
    (one,) = read(month, "reports/past-lease")["items"]
    assert (one["launch"], one["lease_ends_at"]) == (month.late, "2026-11-27T10:20:00Z")
    assert one["seconds"] == 2 * 3600 + 31 * 60
    assert Decimal(one["cost"]) == round(Decimal("0.0104") * one["seconds"] / 3600, 10)
    assert len(one["instances"]) == 1


def test_actual_cost_is_held_against_the_estimate(month: Month) -> None:
    """An approver said go to an amount; here is what it came to."""
    found = {one["launch"]: one for one in read(month, "reports/estimate")["items"]}
    assert found.keys() == {month.fair, month.steady, month.late}
    for launch, one in found.items():
        told = [Decimal(said["cost"]) for said in of_november(month) if said["launch"] == launch]
        assert Decimal(one["actual"]) == sum(told)
        assert Decimal(one["difference"]) == Decimal(one["actual"]) - Decimal(one["estimate"])
    assert found[month.late]["estimate"] == "0.02"
    assert Decimal(found[month.late]["difference"]) > 0
    # from 27 November, 09:20, to the end of the month: 3 days, 14 hours and 40 minutes
    assert found[month.steady]["estimate"] == "0.91"
    assert Decimal(found[month.steady]["difference"]) < 0


@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_another_month_is_empty(month: Month, name: str) -> None:
    """A report says the month that it is of, so it must not hold another's."""
    answer = month.world.call("GET", f"/v1/reports/{name}?month=2026-10", who="finance")
    assert (answer.code, answer.json["items"], answer.json["cursor"]) == (200, [], None)


def test_an_amount_is_digits_however_small() -> None:
    """A sheet that reads an exponent as text adds nothing up."""
    usual: dict[str, Any] = {
        "launch": "l-1",
        "name": None,
        "template": "web",
        "cost_center": "4711",
        "requester": Actor(ISSUER, "dev"),
        "currency": "USD",
    }
    small = Decimal("1E-10")
    late = PastLease(
        **usual, lease_ends_at=datetime(2026, 11, 27, tzinfo=UTC), instances=(), seconds=1, cost=small
    )
    estimated = Estimate(**usual, estimate=Decimal(0), actual=small)
    rows: Any = usage_bodies.report("any", MONTH, Page((late, estimated), None)).items
    assert rows[0].cost == rows[1].actual == rows[1].difference == "0.0000000001"


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_a_report_are_the_whole(
    month: Month, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A part that comes again is explained twice, and one that is left out not at all."""
    whole = read(month, f"reports/{name}")["items"]
    monkeypatch.setattr(billing, "MOST_REPORTED", 1)
    parts: list[Any] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        page = read(month, f"reports/{name}", limit="1", **({"cursor": cursor} if cursor else {}))
        parts += page["items"]
        cursor, pages = page["cursor"], pages + 1
        assert pages < 50
    assert pages > 1 or len(whole) == 1
    what = "instance" if name == "ran-never-approved" else "launch"
    assert {one[what] for one in parts} == {one[what] for one in whole}
    for amount in ("cost", "actual"):
        sums = [sum(Decimal(one.get(amount, 0)) for one in some) for some in (parts, whole)]
        assert sums[0] == sums[1]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("usage", "month"),
        *((f"{path}?month=2026-13", "month") for path in ("usage/summary", "usage/chart")),
        *((f"reports/{name}?month=2026-13", "month") for name in NAMES),
        *((f"reports/{name}?month=2026-11&cursor=x", "/cursor") for name in NAMES),
        ("usage?month=2026-13", "month"),
        ("usage?month=2026-11-01", "month"),
        ("usage?month=%D9%A2026-11", "month"),
        ("usage?month=2026-11&cost_center=a%23b", "cost_center"),
        ("usage?month=2026-11&cost_center=", "cost_center"),
        ("usage?month=2026-11&cursor=x", "/cursor"),
        ("usage?month=2026-11&limit=0", "limit"),
        ("usage?month=2026-11&month=2026-12", "month"),
        ("usage/summary?month=2026-11&limit=5", "limit"),
        ("usage/chart?month=11", "month"),
        ("reports/estimate", "month"),
        ("reports/approved-never-ran?month=2026-11&cursor=RUNNING~", "/cursor"),
        ("reports/approved-never-ran?month=2026-11&cursor=FAILED~x", "/cursor"),
    ],
)
def test_a_wrong_question_is_told_its_field(month: Month, path: str, field: str) -> None:
    """An answer about another month than was meant would be billed."""
    answer = month.world.call("GET", f"/v1/{path}", who="finance")
    assert answer.code == 400, answer.text
    assert [one["pointer"] for one in answer.json["errors"]] == [field]


def test_an_unknown_report_is_not_found_and_names_those_there_are(month: Month) -> None:
    """Who mistypes a name should not have to look it up."""
    answer = month.world.call("GET", "/v1/reports/everything?month=2026-11", who="finance")
    assert answer.code == 404
    assert "past-lease" in answer.json["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "usage",
        "usage/summary",
        "reports/approved-never-ran",
        "reports/ran-never-approved",
        "reports/past-lease",
        "reports/estimate",
    ],
)
def test_every_answer_is_as_described(month: Month, path: str) -> None:
    """Who writes a client from the description gets what it says, with something in it."""
    answer = read(month, path)
    assert answer["items"]
    route = "/v1/reports/{name}" if path.startswith("reports") else f"/v1/{path}"
    jsonschema_rs.validator_for(schema_for("GET", route, 200)).validate(answer)


def chart(month: Month, query: str = "month=2026-11") -> Any:
    """Read the chart as XML."""
    answer = month.world.call("GET", f"/v1/usage/chart?{query}", who="finance")
    assert (answer.code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert_safe(answer)
    return ET.fromstring(answer.text)  # noqa: S314 - what we made ourselves


def texts(drawn: Any, tag: str) -> list[str]:
    """Return the texts of all elements of this name."""
    return ["".join(one.itertext()) for one in drawn.iter(f"{{http://www.w3.org/2000/svg}}{tag}")]


def test_the_chart_says_in_words_what_it_shows(month: Month) -> None:
    """Who does not see it, or not its colours, must learn the same."""
    drawn = chart(month)
    assert drawn.get("role") == "img"
    assert drawn.get("aria-labelledby") == "usage-title usage-desc"
    assert texts(drawn, "title")[0] == "Cost of all cost centers by day, 2026-11 (UTC)"
    sums = read(month, "usage/summary")["items"]
    for cost_center in ("4711", "marketing"):
        amounts = [Decimal(one["cost"]) for one in sums if one["cost_center"] == cost_center]
        total = sum(amounts, Decimal(0)).normalize()
        assert f"{cost_center} {total:f}" in texts(drawn, "desc")[0]
        assert f"{cost_center}: {total:f} USD" in texts(drawn, "text")
    bars = texts(drawn, "title")[1:]
    assert len(bars) == len(sums)
    assert "2026-11-30, 4711: 0.2496 USD" in bars
    assert [text for text in texts(drawn, "text") if re.fullmatch("[0-9]+", text)][-30:][0] == "1"


def test_the_chart_has_no_script_and_loads_nothing(month: Month) -> None:
    """A page puts it into itself; what stands in it must be able to do nothing there."""
    drawn = chart(month)
    assert {one.tag.partition("}")[2] for one in drawn.iter()} == {
        "svg",
        "title",
        "desc",
        "rect",
        "text",
        "line",
    }
    assert not [
        name for one in drawn.iter() for name in one.attrib if name.startswith("on") or "href" in name
    ]


def test_the_chart_of_one_cost_center_is_of_it_alone(month: Month) -> None:
    """It says whose it is, and nobody else's money is in it."""
    drawn = chart(month, "month=2026-11&cost_center=marketing")
    assert texts(drawn, "title")[0].startswith("Cost of marketing by day")
    assert "4711" not in "".join(drawn.itertext())
    empty = chart(month, "month=2026-10")
    assert texts(empty, "desc") == ["Nothing is recorded."]


def test_a_chart_of_a_part_says_so(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that is too short looks like a saving."""
    monkeypatch.setattr(billing, "MOST_SUMMED", 2)
    drawn = chart(month)
    for tag in ("desc", "text"):
        assert "a part" in "".join(texts(drawn, tag))


def of(day: int, cost_center: str, cost: str, currency: str = "USD") -> DaySum:
    """Return what a cost center came to on a day."""
    return DaySum(
        day=f"{MONTH}-{day:02}",
        cost_center=cost_center,
        currency=currency,
        instances=1,
        seconds=60,
        cost=Decimal(cost),
    )


def drawn_of(*sums: DaySum) -> Any:
    """Return the chart of these as XML."""
    return ET.fromstring(draw(MONTH, None, sums, is_whole=True))  # noqa: S314 - what we made ourselves


def test_the_chart_has_whoever_cost_most_by_name_and_the_rest_together() -> None:
    """Nobody disappears in a chart of many, and who cost most is not among the others."""
    told = texts(drawn_of(*(of(1, f"c{n}", f"{n}00") for n in range(1, 10))), "text")
    assert [one for one in told if one.endswith(" USD")] == [
        *(f"c{n}: {n}00 USD" for n in range(9, 3, -1)),
        "all others: 600 USD",
    ]


def test_a_currency_has_a_panel_of_its_own() -> None:
    """What is added up over two currencies is no amount."""
    drawn = drawn_of(of(1, "a", "3"), of(2, "a", "2"), of(1, "b", "7", "EUR"))
    (said,) = texts(drawn, "desc")
    assert said == (
        f"7 EUR on 1 day; the highest is {MONTH}-01 with 7 EUR. By cost center: b 7 EUR."
        f" 5 USD on 2 days; the highest is {MONTH}-01 with 3 USD. By cost center: a 5 USD."
    )
    assert texts(drawn, "title")[1:] == [
        f"{MONTH}-01, b: 7 EUR",
        f"{MONTH}-01, a: 3 USD",
        f"{MONTH}-02, a: 2 USD",
    ]


def test_the_chart_is_as_high_as_its_highest_day() -> None:
    """Its axis ends at the next round number, which may be the day's own."""
    for most, top in (("200", "200"), ("201", "250"), ("0.3", "0.5"), ("99", "100")):
        assert top in texts(drawn_of(of(1, "a", most)), "text")
        assert "500" not in texts(drawn_of(of(1, "a", most)), "text")


def test_a_name_in_the_chart_is_nothing_but_text() -> None:
    """Whatever names a cost center, it makes no element, and nothing that is not to be seen."""
    drawn = drawn_of(of(1, "<a href='x'>&\u202e", "1"))
    assert not list(drawn.iter("{http://www.w3.org/2000/svg}a"))
    assert "<a href='x'>&" in "".join(texts(drawn, "text"))
    assert "\u202e" not in "".join(drawn.itertext())
