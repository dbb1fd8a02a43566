"""What the API gives a biller: records, sums and reports; amounts are decimals as text, without exponents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from functions.bodies import END
from gonogo.core import usage
from gonogo.core.actor import Actor
from gonogo.core.event import StopSource
from gonogo.core.focus import plain
from gonogo.core.reports import Estimate, NeverApproved, NeverRan, PastLease
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from gonogo.core.watch import Why
from gonogo.ports import Page
from gonogo.service.billing import Sums

Amount = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?" + END)]


class UsageRecordView(msgspec.Struct, frozen=True, kw_only=True):
    """One record, as `usage.recorded` told it, and when it did; a correction's amounts are differences."""

    record: str
    corrects: str | None
    recorded_at: datetime
    day: str
    instance: str
    instance_type: str
    region: str
    engine: str
    account: str | None
    image: str | None
    launch: str
    name: str | None
    template: str
    digest: str
    requester: Actor
    on_behalf_of: Actor | None
    approvers: tuple[Actor, ...]
    cost_center: str
    currency: str
    price_version: str
    hourly: Amount
    interval_begin: datetime
    interval_end: datetime | None
    begin: datetime
    end: datetime
    seconds: int
    cost: Amount
    stop_source: StopSource | None


class UsagePage(msgspec.Struct, frozen=True):
    """The records of so many instance days, the newest first; no sum of them is that of the month."""

    items: tuple[UsageRecordView, ...]
    cursor: str | None


class DaySumView(msgspec.Struct, frozen=True, kw_only=True):
    """What a cost center's instances came to on one UTC day, in one currency."""

    day: str
    cost_center: str
    currency: str
    instances: int
    seconds: int
    cost: Amount


class UsageSums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a month. With a cursor they are of a part of it, and those of the other parts are to be added."""

    month: str
    cost_center: str | None
    items: tuple[DaySumView, ...]
    cursor: str | None


class NeverRanView(msgspec.Struct, frozen=True, kw_only=True, tag_field="report", tag="approved-never-ran"):
    """A launch of which everybody said go, and that never ran; `why` is what the engine said, if it did."""

    launch: str
    state: State
    name: str | None
    template: str
    cost_center: str
    requester: Actor
    approvers: tuple[Actor, ...]
    cleared_at: datetime
    why: str | None


class NeverApprovedView(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="report", tag="ran-never-approved"
):
    """An instance that was seen to run without an approval; `launch` is what its tag says, which proves nothing."""

    instance: str
    instance_type: str
    region: str
    account: str | None
    image: str | None
    why: Why
    launch: str | None
    began_at: datetime | None
    seen_at: datetime


class PastLeaseView(msgspec.Struct, frozen=True, kw_only=True, tag_field="report", tag="past-lease"):
    """A launch that ran on after its lease: how long its instances did, together, and what that cost."""

    launch: str
    name: str | None
    template: str
    cost_center: str
    requester: Actor
    lease_ends_at: datetime
    instances: tuple[str, ...]
    seconds: int
    currency: str
    cost: Amount


class EstimateView(msgspec.Struct, frozen=True, kw_only=True, tag_field="report", tag="estimate"):
    """What a launch might cost in the month at most, as approved, and what it did; less is negative."""

    launch: str
    name: str | None
    template: str
    cost_center: str
    requester: Actor
    currency: str
    estimate: Amount
    actual: Amount
    difference: Amount


Row = NeverRanView | NeverApprovedView | PastLeaseView | EstimateView


class ReportPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a report; there may be more while there is a cursor, even where a part is empty."""

    report: str
    month: str
    items: tuple[Row, ...]
    cursor: str | None


def usage_page(page: Page) -> UsagePage:
    """Show a page of instance days record by record."""
    return UsagePage(tuple(one for day in page.items for one in _records(day)), page.cursor)


def _records(day: UsageDay) -> Iterator[UsageRecordView]:
    for record in day.records:
        told = msgspec.structs.asdict(usage.told(day, record))
        told |= {"cost": plain(record.cost), "hourly": plain(day.facts.hourly)}
        del told["day_seconds"], told["day_cost"]  # all records of the day are here to be added up
        yield UsageRecordView(**told, recorded_at=record.at)


def usage_sums(month: str, cost_center: str | None, sums: Sums) -> UsageSums:
    """Show the sums of a month."""
    items = tuple(
        DaySumView(
            day=one.day,
            cost_center=one.cost_center,
            currency=one.currency,
            instances=one.instances,
            seconds=one.seconds,
            cost=plain(one.cost),
        )
        for one in sums.items
    )
    return UsageSums(month=month, cost_center=cost_center, items=items, cursor=sums.cursor)


def report(name: str, month: str, page: Page) -> ReportPage:
    """Show a part of a report."""
    rows: tuple[Row, ...] = tuple(_row(one) for one in page.items)
    return ReportPage(report=name, month=month, items=rows, cursor=page.cursor)


def _row(one: NeverRan | NeverApproved | PastLease | Estimate) -> Row:
    said = msgspec.structs.asdict(one)
    match one:
        case NeverRan():
            return NeverRanView(**said)
        case NeverApproved():
            return NeverApprovedView(**said)
        case PastLease():
            return PastLeaseView(**{**said, "cost": plain(one.cost)})
        case Estimate():
            amounts = {name: plain(getattr(one, name)) for name in ("estimate", "actual", "difference")}
            return EstimateView(**{**said, **amounts})
