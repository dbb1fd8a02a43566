"""What `make bench` counts by, held against the rules as AWS documents them."""

from __future__ import annotations

from typing import Any

import pytest

from bench import capacity
from bench.capacity import Units
from bench.recording import Call


def item(size: int, **more: str) -> dict[str, Any]:
    """Return an item of so many bytes, and what is in more attributes besides."""
    key = {"pk": {"S": "launch#1"}, "sk": {"S": "launch"}}
    named = {name: {"S": value} for name, value in more.items()}
    return {**key, "x": {"S": "x" * (size - len("pksklaunch#1launchx"))}, **named}


def asked(operation: str, **said: Any) -> Call:
    """Return a call of DynamoDB."""
    arguments, answer, before, after = (
        said.get(name, {}) for name in ("arguments", "answer", "before", "after")
    )
    return Call("dynamodb", operation, arguments, answer, 200, {}, b"", before, after)


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        ({}, item(1024), 1),
        ({}, item(1025), 2),
        (item(3000), item(100), 3),
        (item(100), item(100), 1),
        ({}, item(100, due_shard="0", due_at="1"), 2),
        ({}, item(100, due_shard="0"), 1),
        (item(100, due_shard="0", due_at="1"), item(2000, due_shard="0", due_at="1"), 2),
        (item(100, due_shard="0", due_at="1"), item(100, due_shard="0", due_at="2"), 1 + 2),
        (item(100, due_shard="0", due_at="1"), item(100), 1 + 1),
        (item(100, feed="f", at="1", summary="a"), item(100, feed="f", at="1", summary="b"), 1 + 1),
        ({}, item(100, feed="f", at="1", state_shard="s", summary="a" * 1024), 2 + 2 + 2),
    ],
)
def test_a_write_costs_the_larger_image_and_what_changes_in_each_index(
    before: dict[str, Any], after: dict[str, Any], units: int
) -> None:
    """A copy in an index is paid for like an item, twice if it moves, and not at all if it stays as it is."""
    assert capacity.of([asked("UpdateItem", before=before, after=after)]) == Units(written=units)


def test_a_refused_write_costs_what_is_there() -> None:
    """A race that is lost is not free, so a design that provokes races must show."""
    assert capacity.of([asked("PutItem", before=item(2000), after=item(2000))]) == Units(written=2)


@pytest.mark.parametrize(
    ("operation", "arguments", "answer", "units"),
    [
        ("GetItem", {"ConsistentRead": True}, {"Item": item(4097)}, 2),
        ("GetItem", {}, {"Item": item(4096)}, 0.5),
        ("GetItem", {"ConsistentRead": True}, {}, 1),
        ("Query", {}, {"Items": [item(1000)] * 5}, 1),
        ("Query", {}, {"Items": []}, 0.5),
        (
            "BatchGetItem",
            {"RequestItems": {"t": {"Keys": [{}, {}, {}], "ConsistentRead": True}}},
            {"Responses": {"t": [item(10), item(5000)]}},
            1 + 2 + 1,
        ),
    ],
)
def test_a_read_costs_four_kilobytes_a_unit(
    operation: str, arguments: dict[str, Any], answer: dict[str, Any], units: float
) -> None:
    """Half for what may be stale; a query is rounded once, many items each, and what is missing costs one."""
    assert capacity.of([asked(operation, arguments=arguments, answer=answer)]) == Units(read=units)
