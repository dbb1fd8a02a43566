"""What a life costs by AWS's list prices, from the calls that were counted; and what a month costs without any."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from bench import capacity
from bench.lifecycle import FUNCTIONS, Invocation, Life
from bench.recording import Call
from tests.functions.world import TEMPLATE

FILE = Path(__file__).parent / "prices.toml"
VCPU_MB = 1769
"""Memory at which a function has one whole vCPU (Lambda developer guide, "Configure Lambda function memory")."""
MILLION = 1_000_000

_LISTED: dict[str, Any] = tomllib.loads(FILE.read_text())
_PRICES = {one["name"]: Decimal(one["price"]) for one in _LISTED["price"]}
REGION, CURRENCY = str(_LISTED["region"]), str(_LISTED["currency"])
ASSUMED: Mapping[str, Any] = _LISTED["assumed"]
RESOURCES = {"api": "APIHandler"} | {name: name.capitalize() for name in (*FUNCTIONS[1:], "wake")}
"""The functions' logical ids in infra/template.yaml."""


class Bought(NamedTuple):
    """So much of something that has a price, in which function's name."""

    function: str
    name: str
    quantity: Decimal

    @property
    def cost(self) -> Decimal:
        """What it costs."""
        return self.quantity * _PRICES[self.name]


def listed() -> list[tuple[str, str, Decimal, date, str]]:
    """Return each price: its name, of what, in USD, as of when, and where it stands."""
    return [
        (one["name"], one["unit"], Decimal(one["price"]), one["as_of"], one["source"])
        for one in _LISTED["price"]
    ]


def memory(function: str) -> int:
    """Return the MB of memory of a function."""
    return int(TEMPLATE["Resources"][RESOURCES[function]]["Properties"]["MemorySize"])


def seconds(function: str, cpu: float, calls: Sequence[Call]) -> float:
    """Return how long calls of a function take: its share of a vCPU, and waiting for what it asks of AWS."""
    wait = ASSUMED["wait_ms"]
    waited: float = sum(wait.get(call.operation, wait["other"]) for call in calls) / 1000
    return cpu * max(1.0, VCPU_MB / memory(function)) + waited


def of_life(life: Life, cpu: Mapping[str, float]) -> list[Bought]:
    """Return all that one life buys, each function's CPU seconds given; what a queue is asked counts for its reader."""
    found: list[Bought] = []
    for function in FUNCTIONS:
        found += _of_function(function, life.of(function), cpu[function])
    entries = Decimal(life.entries)
    found += [Bought("publish", "events.custom", entries), Bought("publish", "sns.publish", entries)]
    return found


def _of_function(function: str, invocations: Sequence[Invocation], cpu: float) -> Iterable[Bought]:
    calls = [call for one in invocations for call in one.calls]
    units = capacity.of(calls)
    count = Decimal(len(invocations))
    lasted = Decimal(str(seconds(function, cpu, calls)))

    def of(name: str, quantity: Decimal | float) -> Bought:
        return Bought(function, name, Decimal(str(quantity)))

    yield of("dynamodb.read", units.read)
    yield of("dynamodb.write", units.written)
    yield of("lambda.request", count)
    yield of("lambda.gb_second", lasted * memory(function) / 1024)
    yield of("logs.gb", count * ASSUMED["log_bytes"] / 2**30)
    yield of("kms.request", sum(call.service == "kms" for call in calls))
    yield of("ses.mail", sum(call.service == "sesv2" for call in calls))
    if function == "api":
        yield of("apigateway.request", count)
    elif function != "publish":
        # each message is sent by itself; what is received together is received and deleted in a request each
        yield of("sqs.request", sum(one.records for one in invocations) + 2 * count)


def idle(wakings: Sequence[Call], cpu: float) -> list[Bought]:
    """Return what a month costs in which nothing is asked for: `wakings` are the calls of one waking."""
    month = Decimal(ASSUMED["hours_a_month"]) * 60
    units = capacity.of(wakings)
    lasted = Decimal(str(seconds("wake", cpu, wakings)))
    polls = (
        ASSUMED["pollers"] * ASSUMED["polls_a_minute"] * _count("AWS::Lambda::EventSourceMapping", "Queue")
    )
    return [
        Bought("wake", "dynamodb.read", month * Decimal(str(units.read))),
        Bought("wake", "lambda.request", month),
        Bought("wake", "lambda.gb_second", month * lasted * memory("wake") / 1024),
        Bought("wake", "logs.gb", month * ASSUMED["log_bytes"] / 2**30),
        Bought("queues", "sqs.request", month * polls),
        Bought("keys", "kms.key", Decimal(_count("AWS::KMS::Key"))),
        Bought("alarms", "cloudwatch.alarm", Decimal(_count("AWS::CloudWatch::Alarm"))),
        Bought("dashboard", "cloudwatch.dashboard", Decimal(_count("AWS::CloudWatch::Dashboard"))),
    ]


def _count(kind: str, source: str = "") -> int:
    """Return how many of a kind the template always makes; of mappings, those of what is named so."""
    return sum(
        one.get("Type") == kind
        and "Condition" not in one
        and source in str(one.get("Properties", {}).get("EventSourceArn", ""))
        for one in TEMPLATE["Resources"].values()
    )


def total(bought: Iterable[Bought]) -> Decimal:
    """Return what all of it costs."""
    return sum((one.cost for one in bought), Decimal(0))
