"""Change windows: on which days, between which hours of which time zone, and on which dates not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOKS = 400
"""How many days ahead a window is looked for: more than a year of holidays."""
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", re.ASCII)


class Window(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"begins": "from", "ends": "to"},
):
    """Open from `begins` to `ends` (HH:MM in `time_zone`) on each of `days` that is no holiday.

    One that ends at or before its beginning goes on past midnight, and belongs to the day that it begins on.
    """

    time_zone: str
    begins: str = "00:00"
    ends: str = "24:00"
    days: tuple[Day, ...] = DAYS
    holidays: tuple[date, ...] = ()

    def fault(self) -> str | None:
        """Return what is wrong with it, if anything is: one that never opens is wrong too."""
        for text in (self.begins, self.ends):
            if not _TIME.fullmatch(text):
                return f"{text!r} is not a time such as 09:00"
        if self.begins == "24:00":
            return "a window begins at 23:59 at the latest"
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return f"{self.time_zone!r} is not a time zone of the IANA database such as Europe/Vienna"
        if not self.days:
            return "a window without days never opens"
        return None

    def opens(self, at: datetime) -> datetime | None:
        """Return when it is open from `at` on: `at` itself if it is open then; None if not within 400 days."""
        return next((max(begin, at) for begin, end in self._spans(at) if end > at), None)

    def is_open(self, at: datetime) -> bool:
        """Tell whether it is open at this time."""
        return self.opens(at) == at

    def _spans(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield its openings in UTC, from the day before `at` on."""
        zone = ZoneInfo(self.time_zone)
        first = at.astimezone(zone).date() - timedelta(days=1)
        for day in (first + timedelta(days=n) for n in range(LOOKS)):
            if DAYS[day.weekday()] not in self.days or day in self.holidays:
                continue
            over_midnight = self.ends <= self.begins
            begin = _moment(day, self.begins, zone)
            end = _moment(day + timedelta(days=1) if over_midnight else day, self.ends, zone)
            if begin < end:
                yield begin, end


def _moment(day: date, text: str, zone: ZoneInfo) -> datetime:
    """Return a local time in UTC; in an hour that the clocks leave out, as far after its beginning."""
    if text == "24:00":
        day, text = day + timedelta(days=1), "00:00"
    return datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)
