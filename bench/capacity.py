"""What a call costs of DynamoDB, by the rules that are documented: bytes of items, read and written, in every copy.

The rules are those of the Amazon DynamoDB Developer Guide: "DynamoDB item sizes and formats", "read consumption",
"write consumption", and "Provisioned throughput considerations for Global Secondary Indexes". Reads by an event-source
mapping from the table's stream cost nothing (pricing page, "DynamoDB Streams").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from bench.recording import WRITES, Call, Raw
from tests.functions.world import TEMPLATE

READ, WRITTEN = 4096, 1024
"""Bytes of one read unit, strongly consistent, and of one write unit."""


class Units(NamedTuple):
    """Read and write units."""

    read: float = 0
    written: int = 0

    def __add__(self, other: Any) -> Units:
        """Return both together."""
        return Units(self.read + other.read, self.written + other.written)


def of(calls: Iterable[Call]) -> Units:
    """Return what these calls cost together."""
    whole = Units()
    for call in calls:
        if call.service == "dynamodb":
            whole += Units(written=_written(call)) if call.operation in WRITES else Units(read=_read(call))
    return whole


def _written(call: Call) -> int:
    """Return the write units: the larger of the item before and after, and what each index has of it."""
    if call.operation not in ("PutItem", "UpdateItem"):
        raise NotImplementedError(call.operation)
    larger = max(_bytes(call.before), _bytes(call.after))
    return _rounded(larger, WRITTEN) + sum(
        _copied(index, call.before, call.after) for index in _indexes().values()
    )


def _copied(names: Sequence[str], before: Raw, after: Raw) -> int:
    """Return what one index costs: nothing if its copy stays as it is, and two writes if it stands elsewhere."""
    old, new = (_projected(names, item) for item in (before, after))
    if old == new:
        return 0
    key = names[:2]
    if old and new and all(old[name] == new[name] for name in key):
        return _rounded(max(_bytes(old), _bytes(new)), WRITTEN)
    return sum(_rounded(_bytes(one), WRITTEN) for one in (old, new) if one)


def _projected(names: Sequence[str], item: Raw) -> Raw:
    """Return what an index has of an item: nothing unless it has both of the index's keys."""
    if not all(name in item for name in names[:2]):
        return {}
    return {name: value for name, value in item.items() if name in names}


@cache
def _indexes() -> Mapping[str, Sequence[str]]:
    """Return the attributes of each index, its own two keys first, as infra/template.yaml has them."""
    properties = TEMPLATE["Resources"]["Table"]["Properties"]
    own = [key["AttributeName"] for key in properties["KeySchema"]]
    return {
        index["IndexName"]: [
            *(key["AttributeName"] for key in index["KeySchema"]),
            *own,
            *index["Projection"].get("NonKeyAttributes", ()),
        ]
        for index in properties["GlobalSecondaryIndexes"]
    }


def _read(call: Call) -> float:
    """Return the read units: of one item or of many each by itself, of a query all together."""
    answer, arguments = call.answer, call.arguments
    if call.operation == "GetItem":
        return _halved(_rounded(_bytes(answer.get("Item", {})), READ), arguments)
    if call.operation == "BatchGetItem":
        ((table, asked),) = arguments["RequestItems"].items()
        sizes = [_bytes(item) for item in answer["Responses"].get(table, ())]
        missing = len(asked["Keys"]) - len(sizes)
        return _halved(missing + sum(_rounded(size, READ) for size in sizes), asked)
    if call.operation == "Query":
        return _halved(_rounded(sum(map(_bytes, answer["Items"])), READ), arguments)
    raise NotImplementedError(call.operation)


def _halved(units: int, asked: Mapping[str, Any]) -> float:
    """Return half of it unless the read was consistent."""
    return units if asked.get("ConsistentRead") else units / 2


def _rounded(size: int, unit: int) -> int:
    return max(1, math.ceil(size / unit))


def _bytes(item: Raw) -> int:
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    ((kind, plain),) = value.items()
    match kind:
        case "S":
            return len(str(plain).encode())
        case "N":
            return math.ceil(len(str(plain).strip("-").replace(".", "")) / 2) + 1
        case "BOOL":
            return 1
        case "B":
            return len(plain)
    raise NotImplementedError(kind)
