"""What a biller reads: the records of a month, their sums, and the reports; every call reads so much and no more."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import msgspec

from gonogo.core import reports, usage
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.launch import Launch, LaunchSummary
from gonogo.core.reports import DaySum, Estimate, LaunchSum, NeverRan, PastLease
from gonogo.core.states import State
from gonogo.core.usage import UsageDay, UsageSummary
from gonogo.core.watch import STRAYS, Stray, StraySummary
from gonogo.ports import Outside, Page
from gonogo.service import saving

LIST = 500
"""Summaries of one query: under the megabyte that DynamoDB answers at most (API reference, Query)."""
MOST_SUMMED = 10_000
"""Instance days that are summed in one call."""
MOST_REPORTED = 2_000
"""Instance days that a report looks at in one call."""
MOST_STEPS = 10
"""Pages of launches that a report looks at in one call."""


class Sums(msgspec.Struct, frozen=True):
    """The sums of a month, or where there is a cursor, of a part of it; those of the other parts are to be added."""

    items: tuple[DaySum, ...]
    cursor: str | None


def records(outside: Outside, month: str, cost_center: str | None, *, cursor: str | None, limit: int) -> Page:
    """Return a page of instance days with all their records, the newest day first.

    Raises:
        InvalidError: the month is none, or the cursor none of ours.
    """
    page = _listed(outside, month, cost_center, cursor, limit)
    found = outside.items.get_many(UsageDay, [one.id for one in page.items])
    return Page(tuple(found[one.id] for one in page.items if one.id in found), page.cursor)


def sums(outside: Outside, month: str, cost_center: str | None, *, cursor: str | None) -> Sums:
    """Return the sums of a month by day, cost center and currency.

    Raises:
        InvalidError: the month is none, or the cursor none of ours.
    """
    found, more = _summaries(outside, month, cost_center, cursor, MOST_SUMMED)
    return Sums(tuple(reports.by_day(found)), more)


def approved_never_ran(outside: Outside, month: str, *, cursor: str | None, limit: int) -> Page:
    """Return a page of the launches that were asked for in a month, approved, and never ran.

    One state is looked through after the other, in so many steps at most; so a page may have fewer than `limit`,
    or none, and yet a cursor.

    Raises:
        InvalidError: the month is none, or the cursor none of ours.
    """
    begin, end = reports.period(month)
    rows: list[NeverRan] = []
    for _ in range(MOST_STEPS):
        state, inner = _position(cursor)
        page = outside.items.in_state(LaunchSummary, state, cursor=inner, limit=limit - len(rows), before=end)
        ids = [one.id for one in page.items if one.at >= begin]
        found = outside.items.get_many(Launch, ids) if ids else {}
        made = (reports.never_ran(found[id_], outside.now()) for id_ in ids if id_ in found)
        rows += [one for one in made if one is not None]
        is_over = page.cursor is None or len(ids) < len(page.items)
        cursor = _next(state, None if is_over else page.cursor)
        if cursor is None or len(rows) == limit:
            break
    return Page(tuple(rows), cursor)


def _position(cursor: str | None) -> tuple[State, str | None]:
    """Return the state that is looked through, and the cursor within it."""
    if cursor is None:
        return reports.NOT_RUN[0], None
    name, _, inner = cursor.partition("~")
    if name not in reports.NOT_RUN:
        raise InvalidError(Fault("/cursor", "cursor", "is not a cursor that this list gave"))
    return State(name), inner or None


def _next(state: State, inner: str | None) -> str | None:
    if inner is not None:
        return f"{state}~{inner}"
    following = reports.NOT_RUN.index(state) + 1
    return f"{reports.NOT_RUN[following]}~" if following < len(reports.NOT_RUN) else None


def ran_never_approved(outside: Outside, month: str, *, cursor: str | None, limit: int) -> Page:
    """Return a page of the instances that were seen in a month to run without an approval, newest first.

    Raises:
        InvalidError: the month is none, or the cursor none of ours.
    """
    begin, end = reports.period(month)
    page = outside.items.in_state(StraySummary, STRAYS, cursor=cursor, limit=limit, before=end)
    ids = [one.id for one in page.items if one.at >= begin]
    found = outside.items.get_many(Stray, ids) if ids else {}
    rows = tuple(reports.never_approved(found[id_]) for id_ in ids if id_ in found)
    return Page(rows, page.cursor if len(ids) == len(page.items) else None)


def past_lease(outside: Outside, month: str, *, cursor: str | None) -> Page:
    """Return the launches that ran on after their lease in a month, as far as this call looks.

    With a cursor, those of the other parts are to be added to these: seconds, cost and instances.

    Raises:
        InvalidError: the month is none, or the cursor none of ours.
    """
    found, more = _summaries(outside, month, None, cursor, MOST_REPORTED)
    launches = saving.load_many(outside.items, Launch, (one.launch for one in found))
    late = [one for one in found if _may_be_late(launches.get(one.launch), one)]
    days = saving.load_many(outside.items, UsageDay, (one.id for one in late))
    rows: list[PastLease] = []
    for launch_id, of_launch in groupby(sorted(late, key=lambda one: one.launch), lambda one: one.launch):
        its_days = [days[one.id] for one in of_launch if one.id in days]
        row = reports.past_lease(launches[launch_id], its_days, outside.now())
        rows += [row] if row is not None else []
    return Page(tuple(rows), more)


def _may_be_late(launch: Launch | None, one: UsageSummary) -> bool:
    ends = launch.lease_ends_at if launch is not None else None
    return ends is not None and one.day >= usage.day_of(ends)


def estimates(outside: Outside, month: str, *, cursor: str | None) -> Page:
    """Return what each launch cost in a month against its estimate, as far as this call looks.

    With a cursor, what a launch did cost in the other parts is to be added to this.

    Raises:
        InvalidError: the month is none, or the cursor none of ours.
    """
    found, more = _summaries(outside, month, None, cursor, MOST_REPORTED)
    actual = reports.by_launch(found)
    launches = saving.load_many(outside.items, Launch, (one.launch for one in actual))
    return Page(tuple(_estimates(actual, launches, month)), more)


def _estimates(actual: Iterable[LaunchSum], launches: dict[str, Launch], month: str) -> Iterable[Estimate]:
    for one in actual:
        launch = launches.get(one.launch)
        if launch is not None:
            yield reports.estimate(launch, one, month)


def _listed(outside: Outside, month: str, cost_center: str | None, cursor: str | None, limit: int) -> Page:
    reports.period(month)
    if cost_center is not None:
        feed = usage.bill(cost_center, month)
        return outside.items.feed(UsageSummary, feed, cursor=cursor, limit=limit)
    return outside.items.in_state(UsageSummary, usage.ran_in(month), cursor=cursor, limit=limit)


def _summaries(
    outside: Outside, month: str, cost_center: str | None, cursor: str | None, most: int
) -> tuple[list[UsageSummary], str | None]:
    """Return the summaries of a month's instance days, so many at most, and a cursor where there are more."""
    found: list[UsageSummary] = []
    while len(found) < most:
        page = _listed(outside, month, cost_center, cursor, min(LIST, most - len(found)))
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    return found, cursor
