"""The chart of a month's cost by day: an SVG that reads without colours, without a script, and without sight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from html import escape

from functions.wording import visible
from gonogo.core import reports
from gonogo.core.reports import DaySum

MEDIA = "image/svg+xml"
WIDTH, LEFT, RIGHT = 960, 96, 16
TOP, HIGH, UNDER = 48, 220, 48
"""Pixels: above the bars, the bars at most, and below them the days."""
LINE = 22
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#6c6c6c")
"""Colours that the colour-blind can tell apart (Okabe and Ito, "Color Universal Design"); the last is the rest's."""
REST = "all others"
TICKS = 4
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


def draw(month: str, cost_center: str | None, sums: Sequence[DaySum], *, is_whole: bool) -> str:
    """Return the chart: a bar a day, in parts where there are several cost centers; a panel for each currency.

    Args:
        month: such as 2026-11.
        cost_center: the one that it is of, or None for all.
        sums: of that month.
        is_whole: whether they are all there are; what is left out is said.
    """
    whose = f"of {_text(cost_center)}" if cost_center else "of all cost centers"
    title = f"Cost {whose} by day, {month} (UTC)"
    currencies = sorted({one.currency for one in sums})
    panels: list[str] = []
    told: list[str] = [] if is_whole else ["Not all of the month could be added up: this is a part."]
    y = LINE + (LINE if told else 0)
    for currency in currencies:
        panel = _Panel(month, currency, [one for one in sums if one.currency == currency], y)
        panels += panel.drawn()
        told.append(panel.told)
        y += panel.height
    if not currencies:
        told.append("Nothing is recorded.")
        panels.append(_label(LEFT, y + LINE, "Nothing is recorded."))
        y += 2 * LINE
    notes = [_label(LEFT, 2 * LINE, told[0])] if not is_whole else []
    size = f'viewBox="0 0 {WIDTH} {y + 8}" width="{WIDTH}" height="{y + 8}"'
    font = 'font-family="system-ui, sans-serif" font-size="13" fill="#1a1a1a"'
    named = 'role="img" aria-labelledby="usage-title usage-desc"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named} {font}>',
            f'<title id="usage-title">{title}</title>',
            f'<desc id="usage-desc">{" ".join(told)}</desc>',
            f'<rect width="{WIDTH}" height="{y + 8}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="20" font-size="16" font-weight="600">{title}</text>',
            *notes,
            *panels,
            "</svg>\n",
        ]
    )


class _Panel:
    """The bars of one currency, their axes and what their colours mean."""

    def __init__(self, month: str, currency: str, sums: Sequence[DaySum], y: int) -> None:
        self._month, self._currency, self._y = month, _text(currency), y
        begin, end = reports.period(month)
        self._days = [f"{begin + timedelta(days=n):%Y-%m-%d}" for n in range((end - begin).days)]
        self._shares = _shares(sums)
        self._names = _in_order(self._shares)
        self._totals = {day: sum(of_day.values(), Decimal(0)) for day, of_day in self._shares.items()}
        self._top = _ceiling(max(self._totals.values(), default=Decimal(0)))

    @property
    def height(self) -> int:
        """How high it is, in pixels."""
        return TOP + HIGH + UNDER + LINE * len(self._names)

    @property
    def told(self) -> str:
        """What it shows, in words."""
        day, most = max(self._totals.items(), key=lambda one: (one[1], one[0]))
        total = sum(self._totals.values(), Decimal(0))
        days = f"{len(self._totals)} day{'s' if len(self._totals) > 1 else ''}"
        highest = f"the highest is {day} with {_amount(most)} {self._currency}"
        by_name = (
            f"{_text(name)} {_amount(sum((one.get(name, Decimal(0)) for one in self._shares.values()), Decimal(0)))}"
            for name in self._names
        )
        return (
            f"{_amount(total)} {self._currency} on {days}; {highest}."
            f" By cost center: {', '.join(by_name)} {self._currency}."
        )

    def drawn(self) -> Iterator[str]:
        """Yield its elements."""
        yield _label(LEFT, self._y + TOP - 18, f"{self._currency} a day", weight="600")
        yield from self._axis()
        wide = Decimal(WIDTH - LEFT - RIGHT) / len(self._days)
        for number, day in enumerate(self._days):
            x = LEFT + wide * number
            yield from self._bar(day, x, wide)
            label = str(number + 1)
            yield _label(x + wide / 2, self._bottom + 18, label, anchor="middle")
        for number, name in enumerate(self._names):
            y = self._bottom + UNDER + LINE * number
            yield f'<rect x="{LEFT}" y="{y - 11}" width="12" height="12" fill="{self._colour(name)}"/>'
            total = sum((one.get(name, Decimal(0)) for one in self._shares.values()), Decimal(0))
            yield _label(LEFT + 20, y, f"{_text(name)}: {_amount(total)} {self._currency}")

    @property
    def _bottom(self) -> int:
        return self._y + TOP + HIGH

    def _axis(self) -> Iterator[str]:
        for step in range(TICKS + 1):
            value = self._top * step / TICKS
            y = _pixels(self._bottom - HIGH * Decimal(step) / TICKS)
            yield (
                f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"'
                f' stroke="{"#1a1a1a" if step == 0 else "#d0d0d0"}" stroke-width="1"/>'
            )
            yield f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{_short(value)}</text>'

    def _bar(self, day: str, x: Decimal, wide: Decimal) -> Iterator[str]:
        above = Decimal(self._bottom)
        for name in self._names:
            share = self._shares.get(day, {}).get(name, Decimal(0))
            if share <= 0:
                continue
            high = share / self._top * HIGH
            above -= high
            yield (
                f'<rect x="{_pixels(x + 2)}" y="{_pixels(above)}" width="{_pixels(wide - 4)}"'
                f' height="{_pixels(high)}" fill="{self._colour(name)}" stroke="#ffffff" stroke-width="0.5">'
                f"<title>{day}, {_text(name)}: {_amount(share)} {self._currency}</title></rect>"
            )

    def _colour(self, name: str) -> str:
        return COLOURS[-1] if name == REST else COLOURS[self._names.index(name)]


def _shares(sums: Iterable[DaySum]) -> dict[str, dict[str, Decimal]]:
    """Return what each cost center's share of each day is, those that cost least taken together."""
    found = list(sums)
    totals: dict[str, Decimal] = {}
    for one in found:
        totals[one.cost_center] = totals.get(one.cost_center, Decimal(0)) + one.cost
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    named = set(ranked) if len(ranked) < len(COLOURS) else set(ranked[: len(COLOURS) - 1])
    shares: dict[str, dict[str, Decimal]] = {}
    for one in found:
        name = one.cost_center if one.cost_center in named else REST
        of_day = shares.setdefault(one.day, {})
        of_day[name] = of_day.get(name, Decimal(0)) + one.cost
    return shares


def _in_order(shares: dict[str, dict[str, Decimal]]) -> list[str]:
    """Return the names, whoever cost most first, the rest last."""
    totals: dict[str, Decimal] = {}
    for of_day in shares.values():
        for name, amount in of_day.items():
            totals[name] = totals.get(name, Decimal(0)) + amount
    return sorted(totals, key=lambda name: (name == REST, -totals[name], name))


def _ceiling(most: Decimal) -> Decimal:
    """Return the top of the axis: the next of 1, 2, 2.5, 5 or 10 times a power of ten."""
    if most <= 0:
        return Decimal(1)
    power = Decimal(10) ** most.adjusted()
    return next(power * step for step in _STEPS if power * step >= most)


def _text(text: str) -> str:
    return escape(visible(text))


def _amount(amount: Decimal) -> str:
    """Return an amount as it is, without the zeros at its end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short(value: Decimal) -> str:
    return _amount(value.normalize())


def _pixels(value: Decimal | int) -> str:
    return _amount(Decimal(value).quantize(Decimal("0.01")))


def _label(
    x: Decimal | int, y: Decimal | int, text: str, *, anchor: str = "start", weight: str = "400"
) -> str:
    """Return a text that is escaped already."""
    return (
        f'<text x="{_pixels(x)}" y="{_pixels(y)}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>'
    )
