"""Usage records as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification (https://focus.finops.org).

A record is a row, a correction one of its own: nothing is added up, so a file can be held against the events. The
amounts are exact decimals as text. What FOCUS has no column for is in columns that begin with `x_`, and in Tags.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from gonogo.core.event import UsageRecorded
from gonogo.core.reports import period
from gonogo.core.unseen import is_unseen
from gonogo.core.usage import GRACE

ISSUER = "gonogo"
"""Who issues the invoice, unless somebody says otherwise."""

QUANTITY = Decimal("1e-18")
"""To how many places a quantity in hours is given: a third of an hour has no end. Costs are exact."""

MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
)
"""The columns whose feature level is Mandatory in FOCUS 1.2, section 3 ("Columns")."""

CONDITIONAL = (
    "ChargeFrequency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
)
"""The conditional and recommended columns whose condition holds for what gonogo bills."""

CUSTOM = (
    "x_Approvers",
    "x_Corrects",
    "x_CostCenter",
    "x_Digest",
    "x_Engine",
    "x_Image",
    "x_InstanceType",
    "x_IntervalEnd",
    "x_IntervalStart",
    "x_LaunchId",
    "x_OnBehalfOf",
    "x_PriceVersion",
    "x_RecordId",
    "x_RecordedAt",
    "x_Requester",
    "x_StopSource",
    "x_Template",
)
"""Columns of our own, behind those of FOCUS (FOCUS 1.2, "Column Naming and Ordering")."""

COLUMNS = (*sorted((*MANDATORY, *CONDITIONAL)), *CUSTOM)
"""Every column of a file, in its order."""

NUMBERS = frozenset(
    {
        "BilledCost",
        "ConsumedQuantity",
        "ContractedCost",
        "ContractedUnitPrice",
        "EffectiveCost",
        "ListCost",
        "ListUnitPrice",
        "PricingQuantity",
    }
)
"""The columns that hold a number, so that a minus at their beginning is one."""


class _Service(msgspec.Struct, frozen=True):
    provider: str
    name: str
    category: str
    subcategory: str
    resource_type: str
    meter: str


_SERVICES = {
    "ec2": _Service(
        "AWS", "Amazon Elastic Compute Cloud", "Compute", "Virtual Machines", "Instance", "Instance Usage"
    ),
    "cloudformation": _Service(
        "AWS",
        "AWS CloudFormation",
        "Management and Governance",
        "Other (Management and Governance)",
        "Stack",
        "Stack Usage",
    ),
    "stepfunctions": _Service(
        "AWS", "AWS Step Functions", "Integration", "Workflow Orchestration", "Execution", "Execution Usage"
    ),
}


def _service(engine: str) -> _Service:
    """Return what an engine makes; what one of somebody's own makes is known by its name only."""
    other = _Service(ISSUER, engine, "Other", "Other (Other)", "Resource", "Resource Usage")
    return _SERVICES.get(engine, other)


def row(record: UsageRecorded, recorded_at: datetime, issuer: str = ISSUER) -> dict[str, str | None]:
    """Return a record as a row: every column, None for null.

    Args:
        record: as it is told on the bus.
        recorded_at: when it was.
        issuer: who issues the invoice.
    """
    service = _service(record.engine)
    begin, end = period(record.day[:7])
    cost, price = plain(record.cost), plain(record.hourly)
    sku = f"{record.engine}/{record.instance_type}"
    found: dict[str, str | None] = {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        **dict.fromkeys(("ContractedUnitPrice", "ListUnitPrice"), price),
        **dict.fromkeys(("ProviderName", "PublisherName"), service.provider),
        **dict.fromkeys(("BillingAccountId", "BillingAccountName", "x_CostCenter"), record.cost_center),
        "BillingCurrency": record.currency,
        "BillingPeriodEnd": _moment(end),
        "BillingPeriodStart": _moment(begin),
        "ChargeCategory": "Usage",
        "ChargeClass": "Correction" if _is_late_correction(record, recorded_at, end) else None,
        "ChargeDescription": _description(record),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _moment(max(record.end, record.begin + timedelta(seconds=1))),
        "ChargePeriodStart": _moment(record.begin),
        "ConsumedQuantity": str(record.seconds),
        "ConsumedUnit": "Seconds",
        "InvoiceIssuerName": issuer,
        "PricingCategory": "Standard",
        "PricingQuantity": plain(_hours(record.seconds)),
        "PricingUnit": "Hours",
        "RegionId": record.region or None,
        "RegionName": record.region or None,
        "ResourceId": record.instance,
        "ResourceName": record.name,
        "ResourceType": service.resource_type,
        "ServiceCategory": service.category,
        "ServiceName": service.name,
        "ServiceSubcategory": service.subcategory,
        "SkuId": sku,
        "SkuMeter": service.meter,
        "SkuPriceDetails": _json({"InstanceType": record.instance_type}),
        "SkuPriceId": f"{record.engine}/{record.region}/{record.instance_type}",
        "SubAccountId": record.account,
        "SubAccountName": record.account,
        "SubAccountType": "AWS account" if record.account else None,
        "x_Approvers": " ".join(one.key for one in record.approvers) or None,
        "x_Corrects": record.corrects,
        "x_Digest": record.digest,
        "x_Engine": record.engine,
        "x_Image": record.image,
        "x_InstanceType": record.instance_type,
        "x_IntervalEnd": _moment(record.interval_end) if record.interval_end else None,
        "x_IntervalStart": _moment(record.interval_begin),
        "x_LaunchId": record.launch,
        "x_OnBehalfOf": record.on_behalf_of.key if record.on_behalf_of else None,
        "x_PriceVersion": record.price_version,
        "x_RecordId": record.record,
        "x_RecordedAt": _moment(recorded_at),
        "x_Requester": record.requester.key,
        "x_StopSource": record.stop_source,
        "x_Template": record.template,
    }
    found["Tags"] = _tags(found)
    return {name: found[name] for name in COLUMNS}


def _is_late_correction(record: UsageRecorded, recorded_at: datetime, period_end: datetime) -> bool:
    """Tell whether it corrects a period that was over: one within an open period is no Correction of FOCUS 1.2."""
    return record.corrects is not None and recorded_at >= period_end + GRACE


def _description(record: UsageRecorded) -> str:
    what = f"{record.instance_type} in {record.region or 'no region'}, {record.seconds} seconds"
    price = f"{plain(record.hourly)} {record.currency} an hour"
    return f"{what} at {price}" + (f", correcting {record.corrects}" if record.corrects else "")


_TAGS = {
    "gonogo:approvers": "x_Approvers",
    "gonogo:corrects": "x_Corrects",
    "gonogo:cost-center": "x_CostCenter",
    "gonogo:digest": "x_Digest",
    "gonogo:launch": "x_LaunchId",
    "gonogo:on-behalf-of": "x_OnBehalfOf",
    "gonogo:price-version": "x_PriceVersion",
    "gonogo:record": "x_RecordId",
    "gonogo:requester": "x_Requester",
    "gonogo:template": "x_Template",
}
"""The tags of a row, by the column that says the same; four of them are on the instance too."""


def _tags(found: dict[str, str | None]) -> str:
    return _json({tag: found[name] for tag, name in _TAGS.items() if found[name] is not None})


def _json(value: dict[str, str | None]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _hours(seconds: int) -> Decimal:
    return (Decimal(seconds) / 3600).quantize(QUANTITY, rounding=ROUND_HALF_EVEN).normalize()


def plain(number: Decimal) -> str:
    """Return a number as digits, however small: no exponent (FOCUS 1.2, "Numeric Format")."""
    return f"{number:f}"


def _moment(at: datetime) -> str:
    """Return a time as FOCUS 1.2 writes it ("Date/Time Format"): UTC, whole seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


_FORMULA = re.compile("(^|;)(?=\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a text begins that a spreadsheet takes for a formula (OWASP, "CSV Injection"), full-width forms too; behind
a semicolon as well, at which a spreadsheet parts cells where a comma is the decimal sign."""


def harmless(text: str | None) -> str | None:
    r"""Return a text so that no spreadsheet runs it, and nothing in it is hidden.

    What begins like a formula gets an apostrophe before it; what is not seen is written out, such as `\u202e`.
    """
    if text is None:
        return None
    shown = "".join(one.encode("unicode_escape").decode() if is_unseen(one) else one for one in text)
    return _FORMULA.sub(r"\1'", shown)


def cells(made: dict[str, str | None]) -> list[str | None]:
    """Return a row's cells for a CSV file, in the order of COLUMNS, the texts among them harmless."""
    return [made[name] if name in NUMBERS else harmless(made[name]) for name in COLUMNS]
