"""What a month came to, and what ran, or did not, otherwise than it was approved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from gonogo.core import attempts, commands, instance, life, reports, usage, watch
from gonogo.core.errors import InvalidError
from gonogo.core.event import InstanceUnapproved
from gonogo.core.launch import Launch
from gonogo.core.plan import POLICY_ENGINE, Place
from gonogo.core.reports import DaySum, Estimate, LaunchSum, NeverApproved, NeverRan, PastLease
from gonogo.core.states import State
from gonogo.core.usage import Sight, UsageDay, UsageSummary
from tests.core.builders import (
    AT,
    DAY,
    DEV,
    HOUR,
    LEAD,
    LEAD2,
    MINUTE,
    SECOND,
    cleared,
    failed,
    launch,
    launching,
    question,
    running,
    terminated,
)

HOURLY = Decimal("0.0104")


def ran(
    day: str, cost_center: str, launch: str, seconds: int, cost: str, currency: str = "USD"
) -> UsageSummary:
    """Return what a list of usage shows of one instance's day."""
    return UsageSummary(
        id="u",
        instance="i-1",
        launch=launch,
        day=day,
        cost_center=cost_center,
        currency=currency,
        seconds=seconds,
        cost=Decimal(cost),
    )


MONTH = [
    ran("2026-11-02", "4711", "l-2", 60, "1.5"),
    ran("2026-11-01", "4711", "l-1", 10, "0.25"),
    ran("2026-11-02", "4711", "l-1", 30, "0.5"),
    ran("2026-11-02", "4711", "l-1", 7, "9", "EUR"),
    ran("2026-11-02", "0815", "l-3", 1, "3"),
]


def test_days_add_up():
    """Whoever checks a bill by the day must find each second and cent of it, once, currencies apart."""
    assert reports.by_day(MONTH) == [
        day("2026-11-01", "4711", "USD", 1, 10, "0.25"),
        day("2026-11-02", "0815", "USD", 1, 1, "3"),
        day("2026-11-02", "4711", "EUR", 1, 7, "9"),
        day("2026-11-02", "4711", "USD", 2, 90, "2.0"),
    ]


def day(on: str, cost_center: str, currency: str, instances: int, seconds: int, cost: str) -> DaySum:
    """Return the sum of a day."""
    return DaySum(
        day=on,
        cost_center=cost_center,
        currency=currency,
        instances=instances,
        seconds=seconds,
        cost=Decimal(cost),
    )


def test_launches_add_up():
    """What a launch came to is over all its days and instances, currencies apart."""
    assert reports.by_launch(MONTH) == [
        LaunchSum(launch="l-1", currency="EUR", seconds=7, cost=Decimal(9)),
        LaunchSum(launch="l-1", currency="USD", seconds=40, cost=Decimal("0.75")),
        LaunchSum(launch="l-2", currency="USD", seconds=60, cost=Decimal("1.5")),
        LaunchSum(launch="l-3", currency="USD", seconds=1, cost=Decimal(3)),
    ]


@pytest.mark.parametrize(
    ("month", "begin", "end"),
    [
        ("2026-11", "2026-11-01", "2026-12-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2099-01", "2099-01-01", "2099-02-01"),
    ],
)
def test_a_month_ends_where_the_next_begins(month: str, begin: str, end: str):
    """A month that is a day short, or begins in another time zone, loses what was billed there."""
    assert reports.period(month) == tuple(
        datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (begin, end)
    )


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "1999-01", "2026-1", "2026-111", " 2026-11", "2026-\u0660\u0661", ""]
)
def test_what_is_no_month(month: str):
    """A report of a month that there is not must not be an empty one."""
    with pytest.raises(InvalidError) as raised:
        reports.period(month)
    assert [(one.rule, str(one)) for one in raised.value.faults] == [
        ("month", "month: is a month such as 2026-11")
    ]


# Approved, and never ran

WAS_CLEARED = attempts.expire(cleared(), why="Late.", at=AT)
NEVER: dict[str, tuple[Launch, timedelta, bool]] = {
    "failed": (failed(), 0 * DAY, True),
    "expired": (WAS_CLEARED, 0 * DAY, True),
    "cancelled": (commands.cancel(cleared(), actor=DEV, at=AT), 0 * DAY, True),
    "cleared a moment ago": (cleared(), 15 * MINUTE - SECOND, False),
    "cleared, and nothing since": (cleared(), 15 * MINUTE, True),
    "on its way": (launching(), 15 * MINUTE - SECOND, False),
    "on its way for too long": (launching(), 15 * MINUTE, True),
    "runs": (running(), DAY, False),
    "ran": (terminated(), DAY, False),
    "was never approved": (commands.cancel(cleared().changed(cleared_at=None), actor=DEV, at=AT), DAY, False),
    "ran once, and failed when it was to be launched again": (failed().changed(started_at=AT), DAY, False),
    "a policy": (
        failed().changed(
            question=msgspec.structs.replace(
                question(), plan=msgspec.structs.replace(question().plan, engine=POLICY_ENGINE)
            )
        ),
        DAY,
        False,
    ),
}


@pytest.mark.parametrize("case", NEVER)
def test_what_was_approved_and_never_ran(case: str):
    """Approvers learn of what they said go to for nothing, and of nothing that is still on its way."""
    this, later, never = NEVER[case]
    assert (reports.never_ran(this, AT + later) is not None) == never


def test_a_row_says_who_said_go_and_why_it_never_ran():
    """Whoever follows it up must find whom to ask, and about what."""
    row = NeverRan(
        launch="l-1",
        state=State.FAILED,
        name="fair",
        template="web-small",
        cost_center="4711",
        requester=DEV,
        approvers=(LEAD, LEAD2),
        cleared_at=AT,
        why="InsufficientInstanceCapacity: None left.",
    )
    assert reports.never_ran(failed(), AT) == row
    expired = reports.never_ran(WAS_CLEARED, AT)
    assert expired == msgspec.structs.replace(row, state=State.EXPIRED, why=None)


def test_what_ran_without_an_approval_is_told_as_it_was_seen():
    """The report and the event that alarmed people must say the same of it."""
    told = InstanceUnapproved(
        instance="i-9",
        region="us-east-1",
        account="123456789012",
        instance_type="t3.micro",
        image="ami-9",
        why="untagged",
        launch="l-9",
        began_at=AT - HOUR,
    )
    stray = watch.stray(told, Place("us-east-1"), AT)
    assert reports.never_approved(stray) == NeverApproved(
        **{name: getattr(told, name) for name in told.__struct_fields__}, seen_at=AT
    )


# Past its lease

OVER = AT + 2 * DAY


def of(*hours: tuple[float, str], name: str = "i-1", on: datetime = OVER) -> UsageDay:
    """Return the day of an instance that came into these states so many hours after midnight."""
    facts = instance.metered(
        instance.first_seen(id=name, launch=running(), instance_type="t3.micro", hourly=HOURLY, at=AT),
        running(),
    )
    this = usage.opened(facts, f"{on:%Y-%m-%d}", 0, on)
    dawn = this.begin
    sights = [msgspec.convert((dawn + hour * HOUR, state, "event"), Sight) for hour, state in hours]
    return usage.seen(this, sights, dawn + DAY)


def leased(*resources: str, gone: timedelta | None = None) -> Launch:
    """Return a launch whose lease ended OVER, at nine; its instances are gone so long after."""
    this = running(*resources).changed(lease_ends_at=OVER)
    for one in resources or ("i-1",):
        if gone is not None:
            this = life.observe(this, resource=one, state="terminated", changed_at=OVER + gone, at=OVER + DAY)
    return this


def test_what_ran_on_is_counted_from_the_end_of_its_lease():
    """Only what is late is told: by the second, with what it cost, of those instances that ran then."""
    days = [
        of((8, "running"), (10.5, "stopped"), (11, "running"), (11.25, "stopped")),
        of((0, "running"), (12, "stopped"), name="i-2"),
        of((7, "running"), (9, "stopped"), name="i-3"),
        of((7, "running"), (8, "stopped"), on=OVER - DAY),
    ]
    assert reports.past_lease(leased("i-1", "i-2", "i-3", gone=DAY), days, OVER + DAY) == PastLease(
        launch="l-1",
        name="fair",
        template="web-small",
        cost_center="4711",
        requester=DEV,
        lease_ends_at=OVER,
        instances=("i-1", "i-2"),
        seconds=6300 + 3 * 3600,
        currency="USD",
        cost=usage.cost(HOURLY, 6300) + usage.cost(HOURLY, 3 * 3600),
    )


@pytest.mark.parametrize(
    ("gone", "now", "seconds"),
    [
        (10 * MINUTE, DAY, None),
        (10 * MINUTE + SECOND, DAY, 15 * 3600),
        (None, 10 * MINUTE, None),
        (None, 10 * MINUTE + SECOND, 601),
        (None, HOUR, 3600),
        (None, 15 * HOUR, 15 * 3600),
        (None, 2 * DAY, 15 * 3600),
    ],
)
def test_what_is_being_ended_is_not_late(gone: timedelta | None, now: timedelta, seconds: int | None):
    """Ten minutes are what ending takes; what is on still counts until now, and a day until midnight."""
    row = reports.past_lease(leased(gone=gone), [of((8, "running"))], OVER + now)
    assert (row and row.seconds) == seconds


def test_one_that_runs_still_is_enough():
    """A launch of two of which one ended in time is late as long as the other runs."""
    this = life.observe(
        leased("i-1", "i-2"), resource="i-1", state="terminated", changed_at=OVER, at=OVER + HOUR
    )
    row = reports.past_lease(this, [of((8, "running"), name="i-2")], OVER + HOUR)
    assert row is not None
    assert row.instances == ("i-2",)


def test_what_has_no_end_or_did_not_run_is_never_late():
    """Neither a lease without an end, nor one that nothing ran on after, is anybody's fault."""
    assert reports.past_lease(running().changed(lease_ends_at=None), [of((8, "running"))], OVER + DAY) is None
    assert reports.past_lease(leased(), [of((7, "running"), (8, "stopped"))], OVER + DAY) is None
    assert reports.past_lease(leased(), [], OVER + DAY) is None


# Actual against estimate


@pytest.mark.parametrize(
    ("this", "month", "estimate"),
    [
        (running().changed(started_at=AT, lease_ends_at=AT + HOUR), "2026-11", "0.02"),
        (running().changed(started_at=AT, lease_ends_at=AT + 1000 * HOUR), "2026-11", "7.15"),
        (running().changed(started_at=AT, lease_ends_at=AT + 1000 * HOUR), "2026-12", "3.26"),
        (running().changed(started_at=AT, lease_ends_at=AT + HOUR), "2026-12", "0.00"),
        (running().changed(started_at=AT, lease_ends_at=AT + HOUR), "2026-10", "0.00"),
        (running().changed(started_at=AT, lease_ends_at=None), "2026-11", "7.15"),
        (cleared().changed(cleared_at=AT + 10 * DAY, lease_ends_at=None), "2026-11", "4.65"),
        (launch().changed(cleared_at=None), "2026-11", "7.15"),
        (
            running().changed(started_at=AT, lease_ends_at=AT + timedelta(seconds=3461.538462)),
            "2026-11",
            "0.02",
        ),
        (
            running().changed(started_at=AT, lease_ends_at=AT + timedelta(seconds=3461.538461)),
            "2026-11",
            "0.01",
        ),
    ],
)
def test_the_estimate_is_what_was_approved_for_the_month(this: Launch, month: str, estimate: str):
    """From its start, or its last go, to the end of its lease, as far as that is in the month; cents rounded up."""
    actual = LaunchSum(launch="l-1", currency="EUR", seconds=9, cost=Decimal("3.5"))
    row = reports.estimate(this, actual, month)
    assert row == Estimate(
        launch="l-1",
        name="fair",
        template="web-small",
        cost_center="4711",
        requester=DEV,
        currency="EUR",
        estimate=Decimal(estimate),
        actual=Decimal("3.5"),
    )
    assert row.difference == Decimal("3.5") - Decimal(estimate)
