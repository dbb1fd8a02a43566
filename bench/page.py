"""docs/performance.md and its chart, made of what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import prices
from bench.lifecycle import FUNCTIONS, RUNS
from bench.prices import ASSUMED, Bought
from bench.rows import ROWS, Row
from functions.chart import COLOURS

if TYPE_CHECKING:
    from bench.__main__ import Part

DOCS = Path(__file__).parents[1] / "docs"
PAGE, CHART = DOCS / "performance.md", DOCS / "performance.svg"
LIBRARIES = ("boto3", "botocore", "cedarpy", "chalice", "moto", "msgspec", "pynamodb")
BUSY = 0.5
"""Load for each core, at the beginning or the end, from which others were at work."""


class Results(NamedTuple):
    """All that was measured, and how busy the machine was (load averages of a minute, before and after)."""

    rows: Sequence[Row]
    parts: Sequence[Part]
    bought: Sequence[Bought]
    idle: Sequence[Bought]
    load: tuple[float, float]


def write(results: Results) -> None:
    """Write the page and its chart."""
    PAGE.write_text(page(results))
    CHART.write_text(chart(results))


def page(results: Results) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Performance",
            "",
            "What gonogo costs, counted. `make bench` prints this table and fails if a bound does not hold;",
            "`make bench ARGS=--write` writes this page. Calls are counted, units follow from the documented",
            "rules; CPU is of one machine, so hold ratios against ratios. Nothing here is a test that is timed.",
            "",
            *_machine(results.load),
            "",
            "| what | bound | found | |",
            "|---|---|---|---|",
            *(
                f"| {row.what} | {ROWS[row.what].bound} | {row.found} | {'holds' if row.holds else '**does not hold**'} |"
                for row in results.rows
            ),
            "",
            "## A whole lifecycle, by function",
            "",
            *_whole(),
            "",
            "![AWS calls, capacity units, CPU and price of a lifecycle, by function](performance.svg)",
            "",
            *_parts(results),
            "",
            "## Price",
            "",
            *_price(results),
            "",
            "## What the rows mean",
            "",
            *(f"- **{what}**: {meaning.means}" for what, meaning in ROWS.items()),
            "",
        ]
    )


def _machine(load: tuple[float, float]) -> Iterator[str]:
    cores = os.cpu_count() or 1
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d} on {cores} cores of {_processor()} ({platform.machine()}),"
    yield f"{platform.system()}, Python {platform.python_version()}; {libraries}."
    before, after = load
    if max(load) > BUSY * cores:
        yield f"The machine was busy with other work (load {before:.1f} at the beginning, {after:.1f} at the end):"
        yield "its figures of CPU are the least of many turns, and still higher than on an idle one."
    else:
        yield f"Nothing else ran (load {before:.1f} at the beginning, {after:.1f} at the end)."


def _processor() -> str:
    """Return the model of the processor, as Linux names it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "an unnamed processor"


def _whole() -> Iterator[str]:
    yield "One launch of one instance: asked for, approved by one person who was told by mail, launched, run for"
    yield f"{RUNS['hours']} hours, terminated, and billed. Processes have been used before. `publish` is called for each"
    yield "change of the table, `deliver` for each notice, though nobody in the example policy has a webhook. Units are"
    yield "those of on-demand capacity by the documented rules, copies in the indexes and refused writes included."


def _parts(results: Results) -> Iterator[str]:
    yield "| function | invocations | AWS calls | read units | write units | CPU, ms | against the floor | asked of AWS |"
    yield "|---|--:|--:|--:|--:|--:|--:|---|"
    for one in results.parts:
        yield (
            f"| {one.function} | {one.invocations} | {one.calls} | {one.units.read:g} | {one.units.written}"
            f" | {one.cpu * 1000:.1f} | {one.cpu / one.raw:.2f}x | {one.told} |"
        )
    count, calls = (sum(getattr(one, name) for one in results.parts) for name in ("invocations", "calls"))
    read, written = (sum(getattr(one.units, name) for one in results.parts) for name in ("read", "written"))
    seconds, raw = (sum(getattr(one, name) for one in results.parts) for name in ("cpu", "raw"))
    yield (
        f"| **all** | {count} | {calls} | {read:g} | {written} | {seconds * 1000:.1f} | {seconds / raw:.2f}x | |"
    )


def _price(results: Results) -> Iterator[str]:
    yield f"List prices of {prices.REGION} in {prices.CURRENCY}, from `bench/prices.toml`, without any free tier."
    yield "Not fetched: each is believed to be right as of its date; hold it against its source before you rely on it."
    yield ""
    usd = prices.CURRENCY
    yield f"| bought | unit price | for a million lifecycles | {usd} | in an idle month | {usd} | as of |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for name, unit, price, as_of, source in prices.listed():
        life, month = (
            sum((one.quantity for one in some if one.name == name), Decimal(0))
            for some in (results.bought, results.idle)
        )
        million = life * prices.MILLION
        yield (
            f"| [{unit}]({source}) | {price:f} | {million:,.0f} | {million * price:,.2f}"
            f" | {month:,.2f} | {month * price:,.2f} | {as_of} |"
        )
    whole, idle = prices.total(results.bought) * prices.MILLION, prices.total(results.idle)
    yield f"| **all** | | | **{whole:,.2f}** | | **{idle:,.2f}** | |"
    wait = ", ".join(f"{name} {ms} ms" for name, ms in ASSUMED["wait_ms"].items())
    yield ""
    yield "What is not counted but assumed:"
    yield ""
    yield "- A Lambda function has its memory's share of a vCPU (1,769 MB is one), so its CPU above takes so much longer,"
    yield f"  and it waits for each call: {wait}. Cold starts are left out."
    yield "- Messages that were there together come together, as in this one life: each is sent by itself, and each"
    yield "  invocation takes one request to receive and one to delete. A bus under load puts more into one."
    pollers, polls = ASSUMED["pollers"], ASSUMED["polls_a_minute"]
    yield f"- Lambda polls each queue by {pollers} connections, {polls} times a minute each, where there is nothing: idle"
    yield "  queues are asked for as long as the stack stands, and that is paid for."
    yield f"- An invocation writes {ASSUMED['log_bytes']} bytes of log."
    yield "- Storage, point-in-time recovery (by the GB), backups, data transfer and what is launched itself are not in"
    yield "  it; nor are billing files (Firehose and S3) and access logs, which are off unless asked for. AWS's own"
    yield "  events, rules and their targets in the account, and reads of the stream by Lambda cost nothing."
    yield "- A place is looked over every five minutes while anything of ours runs there, however many launches it has."


PANEL, GAP, LEFT, TOP, LINE = 190, 30, 76, 84, 26
"""Pixels of the chart: how wide a panel's bars are at most, between panels, and of one function's line."""
WIDTH = LEFT + 4 * (PANEL + GAP) + 10
BLUE, ORANGE = COLOURS[0], COLOURS[1]


def chart(results: Results) -> str:
    """Return the chart: a line for each function, and a panel for each thing that it costs."""
    high = TOP + LINE * len(FUNCTIONS) + 44
    title = "A lifecycle of one launch, by function"
    cost = {
        name: float(sum((one.cost for one in results.bought if one.function == name), Decimal(0)))
        for name in FUNCTIONS
    }
    by_name = {one.function: one for one in results.parts}

    def by(*values: Callable[[Part], float]) -> Mapping[str, Sequence[float]]:
        return {name: [value(by_name[name]) for value in values] for name in FUNCTIONS}

    panels = (
        ("AWS calls", "calls", ("",), by(lambda one: one.calls)),
        (
            "Capacity",
            "units",
            ("write", "read"),
            by(lambda one: one.units.written, lambda one: one.units.read),
        ),
        (
            "CPU",
            "ms",
            ("the AWS calls raw", "gonogo"),
            by(lambda one: one.raw * 1000, lambda one: max(0.0, one.cpu - one.raw) * 1000),
        ),
        (
            "Price",
            f"{prices.CURRENCY} a million",
            ("",),
            {name: [cost[name] * prices.MILLION] for name in FUNCTIONS},
        ),
    )
    told = " ".join(
        f"{name}: {by_name[name].calls} calls, {sum(by_name[name].units):g} units, {by_name[name].cpu * 1000:.1f} ms,"
        f" {cost[name] * prices.MILLION:.0f} {prices.CURRENCY} a million."
        for name in FUNCTIONS
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" width="{WIDTH}" height="{high}"',
            'role="img" aria-labelledby="performance-title performance-desc"',
            'font-family="system-ui, sans-serif" font-size="13" fill="#1a1a1a">',
            f'<title id="performance-title">{title}</title>',
            f'<desc id="performance-desc">{told}</desc>',
            f'<rect width="{WIDTH}" height="{high}" fill="#ffffff"/>',
            f'<text x="12" y="24" font-size="16" font-weight="600">{title}</text>',
            *(
                f'<text x="{LEFT - 8}" y="{TOP + LINE * number + 17}" text-anchor="end">{name}</text>'
                for number, name in enumerate(FUNCTIONS)
            ),
            *(line for number, one in enumerate(panels) for line in _panel(number, *one)),
            "</svg>\n",
        ]
    )


def _panel(
    number: int, title: str, unit: str, kinds: Sequence[str], values: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    """Yield a panel: its bars from one axis, each of one or two parts, and its own scale below."""
    x, bottom = LEFT + number * (PANEL + GAP), TOP + LINE * len(FUNCTIONS)
    top = max(sum(some) for some in values.values()) or 1
    scale = (PANEL - 40) / top
    yield f'<text x="{x}" y="52" font-weight="600">{title} ({unit})</text>'
    at = x
    for kind, colour in zip(kinds, (BLUE, ORANGE), strict=False):
        if kind:
            yield f'<rect x="{at}" y="62" width="10" height="10" fill="{colour}"/>'
            yield f'<text x="{at + 14}" y="71" font-size="11">{kind}</text>'
            at += 24 + 6 * len(kind)
    for line, name in enumerate(FUNCTIONS):
        start, y = float(x), TOP + LINE * line + 4
        for value, colour in zip(values[name], (BLUE, ORANGE), strict=False):
            yield (
                f'<rect x="{start:.1f}" y="{y}" width="{value * scale:.1f}" height="{LINE - 8}" fill="{colour}">'
                f"<title>{name}: {value:.4g} {unit}</title></rect>"
            )
            start += value * scale
        yield f'<text x="{start + 4:.1f}" y="{y + 13}" font-size="11">{_figure(sum(values[name]), unit)}</text>'
    yield f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}" stroke="#1a1a1a"/>'
    yield f'<line x1="{x}" y1="{bottom}" x2="{x + PANEL - 40}" y2="{bottom}" stroke="#1a1a1a"/>'
    for part in (0, 1):
        yield (
            f'<text x="{x + part * (PANEL - 40)}" y="{bottom + 18}" font-size="11" text-anchor="middle">'
            f"{_figure(part * top, unit)}</text>"
        )


def _figure(value: float, unit: str) -> str:
    return f"{value:.1f}" if unit == "ms" else f"{value:.0f}"
