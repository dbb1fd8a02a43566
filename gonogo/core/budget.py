"""What a cost center may spend in a month, and what launches hold of it.

A ledger is one item a cost center and month. A launch that runs holds what it may cost in that month at most;
once it has ended, what it did cost stays spent. Holding and releasing twice change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal

import msgspec

from gonogo.core import canonical, event
from gonogo.core.item import Item

MOST_MONTHS = 13
"""How many months a launch holds something of: this one and a year; a longer lease is not held further ahead."""
CHECKED_EVERY = timedelta(days=1)
"""How often a ledger is held against the launches that it names."""
_CENT = Decimal("0.01")


class BudgetRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cost center may spend a month, in the currency of the price table; `months` have their own limits."""

    monthly: Decimal
    months: dict[str, Decimal] = {}

    def limit(self, month: str) -> Decimal:
        """Return the limit of a month such as 2026-11."""
        return self.months.get(month, self.monthly)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a launch would stand to its cost center's budget, in the month where it is tightest."""

    cost_center: str
    month: str
    limit: Decimal
    committed: Decimal
    estimate: Decimal

    @property
    def remaining(self) -> Decimal:
        """What is left before this launch; negative where the limit was lowered, or overrun before."""
        return self.limit - self.committed

    @property
    def overruns(self) -> bool:
        """Whether this launch costs more than is left."""
        return self.estimate > self.remaining


class Ledger(Item, frozen=True, kw_only=True):
    """What launches hold of one cost center's month, by launch id, and what launches that ended have spent."""

    kind = "budget"

    cost_center: str
    month: str
    held: dict[str, Decimal] = {}  # noqa: RUF012 - msgspec gives each value its own
    spent: Decimal = Decimal(0)

    def committed(self, without: str | None = None) -> Decimal:
        """Return what is held and spent, but for what the launch `without` holds."""
        return self.spent + sum((one for id_, one in self.held.items() if id_ != without), Decimal(0))


def ledger_id(cost_center: str, month: str) -> str:
    """Return the one id of a cost center's month."""
    return canonical.name(f"b-{month}", cost_center, month)


def amounts(hourly: Decimal, begin: datetime, end: datetime) -> dict[str, Decimal]:
    """Return what running from `begin` to `end` costs by month (UTC), rounded up to the hundredth each."""
    return {month: in_month(hourly, begin, end, month) for month in months(begin, end)[:MOST_MONTHS]}


def months(begin: datetime, end: datetime) -> list[str]:
    """Return the months (UTC) that running from `begin` to `end` touches."""
    found: list[str] = []
    at, end = begin.astimezone(UTC), end.astimezone(UTC)
    while at < end:
        found.append(f"{at:%Y-%m}")
        at = _next_month(at)
    return found


def in_month(hourly: Decimal, begin: datetime, end: datetime, month: str) -> Decimal:
    """Return what running from `begin` to `end` costs in one month (UTC), rounded up to the hundredth."""
    first = datetime.strptime(f"{month} +0000", "%Y-%m %z")
    begin, end = max(begin, first), min(end, _next_month(first))
    seconds = Decimal(max(end - begin, timedelta(0)) // timedelta(microseconds=1)) / 1_000_000
    return (hourly * seconds / 3600).quantize(_CENT, rounding=ROUND_UP)


def _next_month(at: datetime) -> datetime:
    year, month = divmod(at.year * 12 + at.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def standing(
    cost_center: str,
    rule: BudgetRule,
    ledgers: Mapping[str, Ledger],
    asked: Mapping[str, Decimal],
    launch: str | None = None,
) -> Standing | None:
    """Return how a launch would stand in the month where least is left, or None where it costs nothing ever.

    Args:
        ledgers: by month, as they are; a month without one has nothing committed.
        asked: what the launch would cost, by month.
        launch: its id, so that what it holds already does not count against it.
    """
    found = [
        Standing(
            cost_center=cost_center,
            month=month,
            limit=rule.limit(month),
            committed=ledgers[month].committed(launch) if month in ledgers else Decimal(0),
            estimate=amount,
        )
        for month, amount in asked.items()
    ]
    return min(found, key=lambda one: one.remaining - one.estimate, default=None)


def opened(cost_center: str, month: str, at: datetime) -> Ledger:
    """Return a ledger in which nothing is written yet; it is not stored."""
    return Ledger(
        id=ledger_id(cost_center, month),
        version=0,
        at=at,
        updated_at=at,
        cost_center=cost_center,
        month=month,
    )


def hold(ledger: Ledger, launch: str, amount: Decimal, at: datetime) -> Ledger:
    """Let a launch hold so much; where it does already, there is a new version all the same.

    So whoever would release it, by what was read before, must read again.
    """
    if ledger.held.get(launch) == amount:
        return ledger.next_version()
    ledger = ledger.changed(held={**ledger.held, launch: amount})
    told = event.BudgetReserved(
        cost_center=ledger.cost_center,
        month=ledger.month,
        launch=launch,
        amount=amount,
        committed=ledger.committed(),
    )
    return _alarmed(ledger.happened(at, told), at).next_version()


def release(ledger: Ledger, launch: str, spent: Decimal, at: datetime) -> Ledger:
    """Let go of what a launch holds, but for what it did spend; the very same ledger where it holds nothing."""
    if launch not in ledger.held:
        return ledger
    held = {id_: amount for id_, amount in ledger.held.items() if id_ != launch}
    ledger = ledger.changed(held=held, spent=ledger.spent + spent)
    told = event.BudgetReleased(
        cost_center=ledger.cost_center,
        month=ledger.month,
        launch=launch,
        spent=spent,
        committed=ledger.committed(),
    )
    return _alarmed(ledger.happened(at, told), at).next_version()


def checked(ledger: Ledger, at: datetime) -> Ledger:
    """Return the ledger with its alarm set anew, after it was held against its launches."""
    return _alarmed(ledger.changed(updated_at=at), at).next_version()


def _alarmed(ledger: Ledger, at: datetime) -> Ledger:
    return ledger.changed(due_at=at + CHECKED_EVERY if ledger.held else None)
