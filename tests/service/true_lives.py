"""What an instance is to be billed whose life is known: reckoned apart from the code that bills it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

HOURLY = Decimal("0.0104")
Run = tuple[datetime, datetime | None]
Bill = dict[str, tuple[int, Decimal]]
"""Seconds and cost by UTC day."""


def bill(runs: Sequence[Run], now: datetime, least: int) -> Bill:
    """Return what each day is to be billed by now, of runs that may go on: day by day, in whole seconds."""
    found: Bill = {}
    closed = (now - timedelta(minutes=15)).replace(hour=0, minute=0, second=0, microsecond=0)
    for begin, end in runs:
        stops = closed if end is None else end
        day = begin.replace(hour=0, minute=0, second=0)
        while day < stops:
            seconds = int((min(day + timedelta(days=1), stops) - max(day, begin)).total_seconds())
            _add(found, day, seconds, end, begin, least)
            day += timedelta(days=1)
        if end is not None and day == stops:
            _add(found, day, 0, end, begin, least)
    return {day: what for day, what in sorted(found.items()) if any(what)}


def _add(found: Bill, day: datetime, seconds: int, end: datetime | None, begin: datetime, least: int) -> None:
    if end is not None and end.date() == day.date():
        seconds += max(0, least - int((end - begin).total_seconds()))
    amount = (HOURLY * seconds / 3600).quantize(Decimal("1e-10"))
    before = found.get(f"{day:%Y-%m-%d}", (0, Decimal(0)))
    found[f"{day:%Y-%m-%d}"] = before[0] + seconds, before[1] + amount
