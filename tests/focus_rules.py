"""What FOCUS 1.2 asks of a file, column by column, as a reader of it who does not know gonogo would check.

Written from the specification (https://focus.finops.org/focus-specification/v1-2): its columns' content constraints
and requirements, and its attributes (Column Naming, Currency Code, Date/Time, Key-Value, Null Handling, Numeric, String
Handling, Unit Format). Of the rules that ask for knowledge from outside the file, none is here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

Row = Mapping[str, str | None]
Null = Literal["must", "must not", "may"]

SERVICES = {
    "AI and Machine Learning": (
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
        "Other (AI and Machine Learning)",
    ),
    "Analytics": (
        "Analytics Platforms", "Business Intelligence", "Data Processing", "Search", "Streaming Analytics",
        "Other (Analytics)",
    ),
    "Business Applications": ("Productivity and Collaboration", "Other (Business Applications)"),
    "Compute": (
        "Containers", "End User Computing", "Quantum Compute", "Serverless Compute", "Virtual Machines",
        "Other (Compute)",
    ),
    "Databases": (
        "Caching", "Data Warehouses", "Ledger Databases", "NoSQL Databases", "Relational Databases",
        "Time Series Databases", "Other (Databases)",
    ),
    "Developer Tools": (
        "Developer Platforms", "Continuous Integration and Deployment", "Development Environments",
        "Source Code Management", "Quality Assurance", "Other (Developer Tools)",
    ),
    "Identity": ("Identity and Access Management", "Other (Identity)"),
    "Integration": ("API Management", "Messaging", "Workflow Orchestration", "Other (Integration)"),
    "Internet of Things": ("IoT Analytics", "IoT Platforms", "Other (Internet of Things)"),
    "Management and Governance": (
        "Architecture", "Compliance", "Cost Management", "Data Governance", "Disaster Recovery",
        "Endpoint Management", "Observability", "Support", "Other (Management and Governance)",
    ),
    "Media": ("Content Creation", "Gaming", "Media Streaming", "Mixed Reality", "Other (Media)"),
    "Migration": ("Data Migration", "Resource Migration", "Other (Migration)"),
    "Mobile": ("Other (Mobile)",),
    "Multicloud": ("Multicloud Integration", "Other (Multicloud)"),
    "Networking": (
        "Application Networking", "Content Delivery", "Network Connectivity", "Network Infrastructure",
        "Network Routing", "Network Security", "Other (Networking)",
    ),
    "Security": (
        "Secret Management", "Security Posture Management", "Threat Detection and Response", "Other (Security)",
    ),
    "Storage": (
        "Backup Storage", "Block Storage", "File Storage", "Object Storage", "Storage Platforms",
        "Other (Storage)",
    ),
    "Web": ("Application Platforms", "Other (Web)"),
    "Other": ("Other (Other)",),
}  # fmt: skip
"""The service categories with their subcategories."""

TIME_UNITS = {"Years", "Months", "Days", "Hours", "Minutes", "Seconds", "Milliseconds", "Microseconds"}
PRICE_DETAILS = {
    "CoreCount", "DiskMaxIops", "DiskSpace", "DiskType", "GpuCount", "InstanceType", "InstanceSeries",
    "MemorySize", "NetworkMaxIops", "NetworkMaxThroughput", "OperatingSystem", "Redundancy", "StorageClass",
}  # fmt: skip


def _never(_row: Row) -> Null:
    return "must not"


def _may(_row: Row) -> Null:
    return "may"


def _priced(row: Row) -> Null:
    """Null for a tax; a value for usage and purchases but corrections (as of PricingQuantity and its like)."""
    if row["ChargeCategory"] == "Tax":
        return "must"
    is_charge = row["ChargeCategory"] in ("Usage", "Purchase")
    return "must not" if is_charge and row["ChargeClass"] != "Correction" else "may"


def _consumed(row: Row) -> Null:
    if row["ChargeCategory"] != "Usage" or row.get("CommitmentDiscountStatus") == "Unused":
        return "must"
    return "may" if row["ChargeClass"] == "Correction" else "must not"


def _with(other: str) -> Callable[[Row], Null]:
    """Null where the other is, and only there."""
    return lambda row: "must" if row[other] is None else "must not"


def _only_with(other: str) -> Callable[[Row], Null]:
    return lambda row: "must" if row[other] is None else "may"


class Column(NamedTuple):
    """One column: its feature level, its type, when it is null, and its allowed values."""

    level: Literal["Mandatory", "Conditional", "Recommended"]
    type: Literal["String", "Decimal", "Date/Time", "JSON"]
    null: Callable[[Row], Null] = _never
    values: tuple[str, ...] = ()


COLUMNS = {
    "AvailabilityZone": Column("Recommended", "String", _may),
    "BilledCost": Column("Mandatory", "Decimal"),
    "BillingAccountId": Column("Mandatory", "String"),
    "BillingAccountName": Column("Mandatory", "String", _may),
    "BillingAccountType": Column("Conditional", "String", _with("BillingAccountId")),
    "BillingCurrency": Column("Mandatory", "String"),
    "BillingPeriodEnd": Column("Mandatory", "Date/Time"),
    "BillingPeriodStart": Column("Mandatory", "Date/Time"),
    "ChargeCategory": Column(
        "Mandatory", "String", values=("Usage", "Purchase", "Tax", "Credit", "Adjustment")
    ),
    "ChargeClass": Column("Mandatory", "String", _may, ("Correction",)),
    "ChargeDescription": Column("Mandatory", "String", _may),
    "ChargeFrequency": Column("Recommended", "String", values=("One-Time", "Recurring", "Usage-Based")),
    "ChargePeriodEnd": Column("Mandatory", "Date/Time"),
    "ChargePeriodStart": Column("Mandatory", "Date/Time"),
    "ConsumedQuantity": Column("Conditional", "Decimal", _consumed),
    "ConsumedUnit": Column("Conditional", "String", _with("ConsumedQuantity")),
    "ContractedCost": Column("Mandatory", "Decimal"),
    "ContractedUnitPrice": Column("Conditional", "Decimal", _priced),
    "EffectiveCost": Column("Mandatory", "Decimal"),
    "InvoiceId": Column("Recommended", "String", _may),
    "InvoiceIssuerName": Column("Mandatory", "String"),
    "ListCost": Column("Mandatory", "Decimal"),
    "ListUnitPrice": Column("Conditional", "Decimal", _priced),
    "PricingCategory": Column(
        "Conditional", "String", _priced, ("Standard", "Dynamic", "Committed", "Other")
    ),
    "PricingQuantity": Column("Mandatory", "Decimal", _priced),
    "PricingUnit": Column("Mandatory", "String", _with("PricingQuantity")),
    "ProviderName": Column("Mandatory", "String"),
    "PublisherName": Column("Mandatory", "String"),
    "RegionId": Column("Conditional", "String", _may),
    "RegionName": Column("Conditional", "String", _with("RegionId")),
    "ResourceId": Column("Conditional", "String", _may),
    "ResourceName": Column("Conditional", "String", _only_with("ResourceId")),
    "ResourceType": Column("Conditional", "String", _with("ResourceId")),
    "ServiceCategory": Column("Mandatory", "String", values=tuple(SERVICES)),
    "ServiceName": Column("Mandatory", "String"),
    "ServiceSubcategory": Column(
        "Recommended", "String", values=tuple(one for all_ in SERVICES.values() for one in all_)
    ),
    "SkuId": Column("Conditional", "String", _priced),
    "SkuMeter": Column("Conditional", "String", _only_with("SkuId")),
    "SkuPriceDetails": Column("Conditional", "JSON", _only_with("SkuPriceId")),
    "SkuPriceId": Column("Conditional", "String", _priced),
    "SubAccountId": Column("Conditional", "String", _may),
    "SubAccountName": Column("Conditional", "String", _with("SubAccountId")),
    "SubAccountType": Column("Conditional", "String", _with("SubAccountId")),
    "Tags": Column("Conditional", "JSON", _may),
}
"""The columns of FOCUS 1.2, but for those of commitments, reservations and other pricing currencies."""

MANDATORY = {name for name, one in COLUMNS.items() if one.level == "Mandatory"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_PLACES = Decimal("1e-10")


def faults(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return every broken rule of a file, as `row: column: rule`; rows count from 1, the header is row 0."""
    found = [f"0: {one}" for one in _header(columns)]
    for number, row in enumerate(rows, 1):
        found += [f"{number}: {one}" for one in _row(columns, row)]
    found += [f"all: {one}" for one in _whole(rows)]
    return found


def _header(columns: Sequence[str]) -> Iterator[str]:
    yield from (f"{name}: must be present" for name in sorted(MANDATORY - set(columns)))
    if len(set(columns)) != len(columns):
        yield "a column stands twice"
    ours = [name.startswith("x_") for name in columns]
    yield from (
        f"{name}: is none of FOCUS 1.2"
        for name in columns
        if not name.startswith("x_") and name not in COLUMNS
    )
    yield from (
        f"{name}: is not in Pascal case"
        for name in columns
        if not re.fullmatch("(x_)?([A-Z][a-z0-9]+)+", name)
    )
    if ours != sorted(ours):
        yield "custom columns are mixed with those of FOCUS"


def _row(columns: Sequence[str], row: Row) -> Iterator[str]:
    for name in columns:
        value = row[name]
        rule = COLUMNS.get(name, Column("Conditional", "JSON" if name == "Tags" else "String", _may))
        null = rule.null(row)
        if value is None:
            if null == "must not":
                yield f"{name}: must not be null"
            continue
        if null == "must":
            yield f"{name}: must be null"
        yield from (f"{name}: {one}" for one in _value(rule, value))
    yield from _periods(row)
    yield from _costs(row)
    if not re.fullmatch("[A-Z]{3}", row["BillingCurrency"] or ""):
        yield "BillingCurrency: is no code of ISO 4217"
    yield from (
        f"{name}: is no unit of time"
        for name in ("PricingUnit", "ConsumedUnit")
        if row.get(name) is not None and row[name] not in TIME_UNITS
    )
    if row["ChargeCategory"] == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "ChargeFrequency: a purchase is not usage-based"
    if row["ServiceSubcategory"] not in SERVICES.get(row["ServiceCategory"] or "", ()):
        yield "ServiceSubcategory: is of another category"
    if row["ResourceName"] is not None and row["ResourceName"] == row["ResourceId"]:
        yield "ResourceName: must not repeat the id"
    details = json.loads(row["SkuPriceDetails"] or "{}")
    yield from (
        f"SkuPriceDetails: {key} is no property"
        for key in details
        if not key.startswith("x_") and key not in PRICE_DETAILS
    )


def _value(rule: Column, value: str) -> Iterator[str]:
    if not value.strip():
        yield "must not be empty"
    if rule.values and value not in rule.values:
        yield f"{value!r} is not allowed"
    if rule.type == "Decimal" and not _NUMBER.fullmatch(value):
        yield f"{value!r} is no number"
    if rule.type == "Date/Time" and not _MOMENT.fullmatch(value):
        yield f"{value!r} is no time in UTC"
    if rule.type == "JSON":
        try:
            pairs = json.loads(value, object_pairs_hook=list)
        except ValueError:
            yield "is not JSON"
            return
        if not value.lstrip().startswith("{"):
            yield "is no object"
        elif len({key for key, _ in pairs}) != len(pairs):
            yield "has a key twice"
        elif any(isinstance(inner, list) for _, inner in pairs):
            yield "has a value that is not plain"


def _periods(row: Row) -> Iterator[str]:
    names = ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd")
    if not all(_MOMENT.fullmatch(row[name] or "") for name in names):
        return
    first, begin, end, last = (datetime.fromisoformat(row[name] or "") for name in names)
    if not begin < end:
        yield "ChargePeriodEnd: the end is exclusive, so it is after the beginning"
    if not first <= begin <= end <= last:
        yield "ChargePeriodStart: usage lies in its billing period"


def _costs(row: Row) -> Iterator[str]:
    for unit, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if not all(_NUMBER.fullmatch(row[name] or "") for name in (unit, cost, "PricingQuantity")):
            continue
        price, amount, quantity = (Decimal(row[name] or "") for name in (unit, cost, "PricingQuantity"))
        if price < 0:
            yield f"{unit}: must not be negative"
        if row["ChargeClass"] != "Correction" and abs(price * quantity - amount) > _PLACES:
            yield f"{cost}: is not {unit} times PricingQuantity"


def _whole(rows: Sequence[Row]) -> Iterator[str]:
    parents: dict[str | None, set[str | None]] = {}
    for row in rows:
        parents.setdefault(row["SkuPriceId"], set()).add(row["SkuId"])
    yield from (
        f"SkuPriceId: {id_} has several SkuIds" for id_, skus in parents.items() if id_ and len(skus) > 1
    )
