"""What a month came to: sums by day, and what ran, or did not, otherwise than it was approved.

Sums add up: those of two pages of a list are those of both together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Literal

import msgspec

from gonogo.core import usage
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.launch import Launch
from gonogo.core.plan import POLICY_ENGINE, lease_length
from gonogo.core.states import State
from gonogo.core.usage import UsageDay, UsageSummary
from gonogo.core.watch import Stray, Why

Name = Literal["approved-never-ran", "ran-never-approved", "past-lease", "estimate"]
"""The reports by name."""

UNDER_WAY = timedelta(minutes=15)
"""How long after its last go a launch may be on its way, before it is told that it never ran."""
ENDING = timedelta(minutes=10)
"""How long after its lease something may run: it is woken, told and terminated within that."""
_CENT = Decimal("0.01")
_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])", re.ASCII)

NOT_RUN = (State.FAILED, State.EXPIRED, State.CANCELLED, State.PENDING, State.LAUNCHING)
"""The states in which a launch may be that was approved and does not run."""


class DaySum(msgspec.Struct, frozen=True, kw_only=True):
    """What a cost center's instances came to on one UTC day, in one currency."""

    day: str
    cost_center: str
    currency: str
    instances: int
    seconds: int
    cost: Decimal


class LaunchSum(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch's instances came to in a month, in one currency."""

    launch: str
    currency: str
    seconds: int
    cost: Decimal


class NeverRan(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who had to say go said so, at `cleared_at`; and it never ran."""

    launch: str
    state: State
    name: str | None
    template: str
    cost_center: str
    requester: Actor
    approvers: tuple[Actor, ...]
    cleared_at: datetime
    why: str | None


class NeverApproved(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that ran without an approval, as it was told when it was seen."""

    instance: str
    instance_type: str
    region: str
    account: str | None
    image: str | None
    why: Why
    launch: str | None
    began_at: datetime | None
    seen_at: datetime


class PastLease(msgspec.Struct, frozen=True, kw_only=True):
    """A launch that ran on after its lease: how long in all, its instances together, and what that cost."""

    launch: str
    name: str | None
    template: str
    cost_center: str
    requester: Actor
    lease_ends_at: datetime
    instances: tuple[str, ...]
    seconds: int
    currency: str
    cost: Decimal


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch might have cost in the month at most, as it was approved, and what it did."""

    launch: str
    name: str | None
    template: str
    cost_center: str
    requester: Actor
    currency: str
    estimate: Decimal
    actual: Decimal

    @property
    def difference(self) -> Decimal:
        """How much more than estimated it cost; negative for less."""
        return self.actual - self.estimate


def period(month: str) -> tuple[datetime, datetime]:
    """Return when a month such as 2026-11 begins and ends, in UTC.

    Raises:
        InvalidError: it is no month.
    """
    match = _MONTH.fullmatch(month)
    if match is None:
        raise InvalidError(Fault("month", "month", "is a month such as 2026-11"))
    year, number = int(match[1]), int(match[2])
    following = (year + number // 12, number % 12 + 1)
    return datetime(year, number, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)


def by_day(found: Iterable[UsageSummary]) -> list[DaySum]:
    """Return the sums by day, cost center and currency, in that order."""
    sums: dict[tuple[str, str, str], DaySum] = {}
    for one in found:
        key = one.day, one.cost_center, one.currency
        known = sums.get(key)
        sums[key] = DaySum(
            day=one.day,
            cost_center=one.cost_center,
            currency=one.currency,
            instances=(known.instances if known else 0) + 1,
            seconds=(known.seconds if known else 0) + one.seconds,
            cost=(known.cost if known else Decimal(0)) + one.cost,
        )
    return [sums[key] for key in sorted(sums)]


def by_launch(found: Iterable[UsageSummary]) -> list[LaunchSum]:
    """Return the sums by launch and currency, in that order."""
    sums: dict[tuple[str, str], LaunchSum] = {}
    for one in found:
        key = one.launch, one.currency
        known = sums.get(key)
        sums[key] = LaunchSum(
            launch=one.launch,
            currency=one.currency,
            seconds=(known.seconds if known else 0) + one.seconds,
            cost=(known.cost if known else Decimal(0)) + one.cost,
        )
    return [sums[key] for key in sorted(sums)]


def never_ran(launch: Launch, now: datetime) -> NeverRan | None:
    """Return the launch as one that was approved and never ran; None where that is not so, or not yet."""
    cleared_at, question = launch.cleared_at, launch.question
    if cleared_at is None or launch.started_at is not None or launch.state not in NOT_RUN:
        return None
    if question.plan.engine == POLICY_ENGINE:
        return None
    if launch.state in (State.PENDING, State.LAUNCHING) and now - cleared_at < UNDER_WAY:
        return None
    failure = launch.failure
    return NeverRan(
        launch=launch.id,
        state=launch.state,
        name=question.name,
        template=question.plan.template,
        cost_center=question.cost_center,
        requester=question.requester,
        approvers=launch.approvers,
        cleared_at=cleared_at,
        why=f"{failure.code}: {failure.message}" if failure is not None else None,
    )


def never_approved(stray: Stray) -> NeverApproved:
    """Return what was told of a stray."""
    told = stray.history[0].data
    return msgspec.convert({**told, "seen_at": stray.at}, NeverApproved, strict=False)


def past_lease(launch: Launch, days: Iterable[UsageDay], now: datetime) -> PastLease | None:
    """Return how long the launch ran on after its lease on these days; None where it did not."""
    ends = launch.lease_ends_at
    if ends is None or _gone_at(launch, now) - ends <= ENDING:
        return None
    seconds, cost, instances = 0, Decimal(0), set()
    for day in days:
        on = sum((_after(ends, day, begin, end, now) for begin, end in _ran(day)), timedelta())
        late = int(on.total_seconds())
        if late > 0:
            seconds += late
            cost += usage.cost(day.facts.hourly, late)
            instances.add(day.facts.instance)
    if seconds == 0:
        return None
    question = launch.question
    return PastLease(
        launch=launch.id,
        name=question.name,
        template=question.plan.template,
        cost_center=question.cost_center,
        requester=question.requester,
        lease_ends_at=ends,
        instances=tuple(sorted(instances)),
        seconds=seconds,
        currency=question.price.currency,
        cost=cost,
    )


def _gone_at(launch: Launch, now: datetime) -> datetime:
    """Return when the last of it was gone; now, if something is there still."""
    gone = [one.changed_at for one in launch.resources if one.state == "terminated" and one.changed_at]
    return max(gone) if gone and len(gone) == len(launch.resources) else now


def _ran(day: UsageDay) -> list[tuple[datetime, datetime | None]]:
    return [(one.begin, one.end) for one in day.intervals]


def _after(ends: datetime, day: UsageDay, begin: datetime, end: datetime | None, now: datetime) -> timedelta:
    """Return how much of an interval falls on the day and after the lease."""
    until = min(end or now, now, day.end)
    return max(until - max(begin, day.begin, ends), timedelta())


def estimate(launch: Launch, actual: LaunchSum, month: str) -> Estimate:
    """Return what the launch cost in a month against what it might cost at most, as it was approved.

    The estimate is the approved price from its start to the end of its lease, as far as that is in the month,
    rounded up to the hundredth: what its cost center's budget holds for it.
    """
    question = launch.question
    first, end = period(month)
    begun = launch.started_at or launch.cleared_at or launch.at
    until = launch.lease_ends_at or begun + lease_length(question.lease)
    span = max(min(until, end) - max(begun, first), timedelta())
    seconds = Decimal(span // timedelta(microseconds=1)) / 1_000_000
    return Estimate(
        launch=launch.id,
        name=question.name,
        template=question.plan.template,
        cost_center=question.cost_center,
        requester=question.requester,
        currency=actual.currency,
        estimate=(question.price.hourly * seconds / 3600).quantize(_CENT, rounding=ROUND_UP),
        actual=actual.cost,
    )
