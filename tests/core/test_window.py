"""Change windows: time zones, both changes of the clocks, holidays, and nights. All times are UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from gonogo.core.window import Day, Window

VIENNA = "Europe/Vienna"
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri")
WINDOWS = {
    "work": Window(time_zone=VIENNA, begins="09:00", ends="17:00", days=WEEK, holidays=(date(2026, 12, 8),)),
    "friday night": Window(
        time_zone=VIENNA, begins="22:00", ends="06:00", days=("fri",), holidays=(date(2026, 11, 13),)
    ),
    "saturday night": Window(time_zone=VIENNA, begins="22:00", ends="06:00", days=("sat",)),
    "skipped": Window(time_zone=VIENNA, begins="02:30", ends="03:30", days=("sun",)),
    "half skipped": Window(time_zone=VIENNA, begins="02:30", ends="04:30", days=("sun",)),
    "twice": Window(time_zone=VIENNA, begins="02:00", ends="03:00", days=("sun",)),
    "late": Window(time_zone=VIENNA, begins="22:00", days=WEEK),
    "kolkata": Window(time_zone="Asia/Kolkata", begins="09:00", ends="10:00"),
    "honolulu": Window(time_zone="Pacific/Honolulu", begins="22:00", ends="18:00", days=("mon",)),
    "new york": Window(time_zone="America/New_York", begins="20:00", ends="23:00", days=("mon",)),
    "always": Window(time_zone="UTC"),
    "whole days": Window(time_zone="UTC", begins="00:00", ends="00:00", days=WEEK),
    "never": Window(
        time_zone="UTC",
        days=("mon",),
        holidays=tuple(date(2026, 11, 2) + timedelta(weeks=n) for n in range(60)),
    ),
}


@pytest.mark.parametrize(
    ("name", "at", "opens"),
    [
        ("work", "2026-11-02T08:00:00", "="),
        ("work", "2026-11-02T07:59:59", "2026-11-02T08:00"),
        ("work", "2026-11-02T15:59:59", "="),
        ("work", "2026-11-02T16:00:00", "2026-11-03T08:00"),
        ("work", "2026-11-06T16:00:00", "2026-11-09T08:00"),
        ("work", "2026-12-07T16:00:00", "2026-12-09T08:00"),
        ("work", "2026-12-08T10:00:00", "2026-12-09T08:00"),
        ("work", "2026-07-01T06:59:00", "2026-07-01T07:00"),
        ("work", "2026-10-23T15:00:00", "2026-10-26T08:00"),
        ("work", "2026-03-27T16:00:00", "2026-03-30T07:00"),
        ("friday night", "2026-11-06T21:00:00", "="),
        ("friday night", "2026-11-07T04:59:59", "="),
        ("friday night", "2026-11-07T05:00:00", "2026-11-20T21:00"),
        ("friday night", "2026-11-07T21:00:00", "2026-11-20T21:00"),
        ("friday night", "2026-11-14T02:00:00", "2026-11-20T21:00"),
        ("saturday night", "2026-03-29T03:59:59", "="),
        ("saturday night", "2026-03-29T04:00:00", "2026-04-04T20:00"),
        ("saturday night", "2026-10-24T19:59:59", "2026-10-24T20:00"),
        ("saturday night", "2026-10-25T04:59:59", "="),
        ("saturday night", "2026-10-25T05:00:00", "2026-10-31T21:00"),
        ("skipped", "2026-03-29T00:00:00", "2026-04-05T00:30"),
        ("half skipped", "2026-03-29T00:00:00", "2026-03-29T01:30"),
        ("half skipped", "2026-03-29T02:30:00", "2026-04-05T00:30"),
        ("twice", "2026-10-24T23:59:59", "2026-10-25T00:00"),
        ("twice", "2026-10-25T01:59:59", "="),
        ("twice", "2026-10-25T02:00:00", "2026-11-01T01:00"),
        ("late", "2026-11-02T22:59:59", "="),
        ("late", "2026-11-02T23:00:00", "2026-11-03T21:00"),
        ("kolkata", "2026-11-02T03:00:00", "2026-11-02T03:30"),
        ("new york", "2026-11-03T02:00:00", "="),
        ("new york", "2026-11-03T04:00:00", "2026-11-10T01:00"),
        ("honolulu", "2026-11-04T03:59:59", "="),
        ("honolulu", "2026-11-04T04:00:00", "2026-11-10T08:00"),
        ("always", "2026-11-02T23:59:59", "="),
        ("whole days", "2026-11-06T23:59:59", "="),
        ("whole days", "2026-11-07T00:00:00", "2026-11-09T00:00"),
        ("never", "2026-11-02T12:00:00", None),
    ],
)
def test_when_a_window_opens(name: str, at: str, opens: str | None):
    """Whoever writes `from 09:00` means the clock on the wall there, winter and summer, and no holiday."""
    now = datetime.fromisoformat(f"{at}+00:00")
    found = WINDOWS[name].opens(now)
    if opens is None:
        assert found is None
    else:
        assert found == (now if opens == "=" else datetime.fromisoformat(f"{opens}:00+00:00"))
    assert WINDOWS[name].is_open(now) == (opens == "=")


@pytest.mark.parametrize(("days", "opens"), [(398, True), (399, False)])
def test_how_far_a_window_is_looked_for(days: int, opens: bool):  # noqa: FBT001
    """A window that stays shut for more than a year is as good as none, and looking on would take ever longer."""
    first = datetime(2026, 11, 2, tzinfo=UTC)
    shut = Window(
        time_zone="UTC",
        holidays=tuple(first.date() + timedelta(days=n) for n in range(-1, days)),
    )
    assert shut.opens(first) == (first + timedelta(days=days) if opens else None)


@pytest.mark.usefixtures("far_east")
def test_when_it_opens_is_told_in_utc():
    """A launch keeps the time as text, which must not depend on where the machine stands that wrote it."""
    now = datetime(2026, 11, 2, 7, 59, 59, tzinfo=UTC)
    assert str(WINDOWS["work"].opens(now)) == "2026-11-02 08:00:00+00:00"


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(time_zone="UTC", begins="9:00"), "'9:00' is not a time such as 09:00"),
        (Window(time_zone="UTC", ends="24:01"), "'24:01' is not a time such as 09:00"),
        (Window(time_zone="UTC", ends="17:00\n"), "'17:00\\n' is not a time such as 09:00"),
        (Window(time_zone="UTC", begins="24:00"), "a window begins at 23:59 at the latest"),
        *(
            (
                Window(time_zone=name),
                f"{name!r} is not a time zone of the IANA database such as Europe/Vienna",
            )
            for name in ("Europe/Atlantis", "../../etc/passwd", "")
        ),
        (Window(time_zone="UTC", days=()), "a window without days never opens"),
    ],
)
def test_windows_that_are_refused(window: Window, words: str):
    """A window that means nothing must not hold a launch for ever, or let it through."""
    assert window.fault() == words


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_that_are_not(name: str):
    """What has days, times and a zone is a window."""
    assert WINDOWS[name].fault() is None
