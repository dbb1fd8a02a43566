"""The table: items as DynamoDB keeps them, every change one conditional write on `version`.

A field is one attribute: text and numbers as they are, everything else as JSON text. Only what differs is
written, so that older and newer code can run side by side, each leaving alone what it does not know.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from heapq import merge
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from botocore.config import Config
from pynamodb.connection import TableConnection
from pynamodb.connection.base import MetaTable
from pynamodb.exceptions import PutError, PynamoDBException, UpdateError
from pynamodb.expressions.operand import Path

from gonogo.aws.clients import user_agent
from gonogo.core.errors import Fault, InvalidError, ItemExistsError, LaterError, VersionConflictError
from gonogo.core.event import Event
from gonogo.core.item import Item, begun_in, in_epoch
from gonogo.ports import Page

READS = 8
"""How often a reading of many is gone on with where DynamoDB left some unread, as it may when it throttles."""
SHARDS = 4
"""How many partitions the indexes by state and by alarm are spread over."""

T = TypeVar("T", bound=Item)
S = TypeVar("S", bound=msgspec.Struct)
_Value = dict[str, Any]

_STRINGS = ("pk", "sk", "feed", "at", "state_shard", "due_shard", "due_at")
_INDEXES = {"feed": ("feed", "at"), "state": ("state_shard", "at"), "due": ("due_shard", "due_at")}


def _key(hash_name: str, range_name: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_name, "KeyType": "HASH"},
        {"AttributeName": range_name, "KeyType": "RANGE"},
    ]


def _meta(name: str) -> MetaTable:
    """Describe the table to pynamodb, which otherwise asks AWS at each cold start."""
    return MetaTable(
        {
            "TableName": name,
            "KeySchema": _key("pk", "sk"),
            "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in _STRINGS],
            "GlobalSecondaryIndexes": [
                {"IndexName": index, "KeySchema": _key(*keys)} for index, keys in _INDEXES.items()
            ],
        }
    )


class Table:
    """`ports.Items` on DynamoDB."""

    def __init__(self, name: str, region: str, epoch: int) -> None:
        """Name the table, and the epoch in which items go on; nothing is called yet."""
        self._table = TableConnection(
            name, region=region, connect_timeout_seconds=3, read_timeout_seconds=5, meta_table=_meta(name)
        )
        self._table.connection.session.set_default_client_config(Config(user_agent=user_agent()))
        self._name = name
        self._epoch = epoch

    def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002
        """Return the item by a consistent read."""
        answer = self._call("get_item", f"{kind.kind}#{id}", kind.kind, consistent_read=True)
        return self._read(kind, answer["Item"]) if "Item" in answer else None

    def get_many(self, kind: type[T], ids: Sequence[str]) -> dict[str, T]:
        """Return those that exist, by consistent reads in one call; LaterError where the table leaves some unread."""
        keys = [{"pk": f"{kind.kind}#{one}", "sk": kind.kind} for one in dict.fromkeys(ids)]
        found: dict[str, T] = {}
        for _ in range(READS):
            if not keys:
                break
            answer = self._call("batch_get_item", keys=keys, consistent_read=True)
            for raw in answer["Responses"].get(self._name, ()):
                item = self._read(kind, raw)
                found[item.id] = item
            left = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", ())
            keys = [{name: value["S"] for name, value in key.items()} for key in left]
        if keys:
            raise LaterError(f"the table left {len(keys)} items unread {READS} times")
        return found

    def add(self, item: T) -> T:
        """Put the item if there is none."""
        item = begun_in(item, self._epoch)
        try:
            self._call(
                "put_item",
                _pk(item),
                item.kind,
                attributes=_attributes(item, item.__struct_fields__),
                condition=Path("pk").does_not_exist(),
            )
        except _ConditionError:
            raise ItemExistsError(f"{item.kind} {item.id} exists") from None
        return item

    def save(self, before: Item, after: Item) -> None:
        """Update what differs if the version is that of `before`; put older events aside first."""
        after = self._trimmed(after)
        fields = [
            name for name in after.__struct_fields__ if getattr(before, name) is not getattr(after, name)
        ]
        old, new = _attributes(before, fields), _attributes(after, fields)
        actions = [Path([name]).set(value) for name, value in new.items() if old.get(name) != value]
        actions += [Path([name]).remove() for name in old.keys() - new.keys()]
        try:
            self._call(
                "update_item",
                _pk(after),
                after.kind,
                actions=actions,
                condition=Path("version") == {"N": str(before.version)},
            )
        except _ConditionError:
            raise VersionConflictError(
                f"{after.kind} {after.id} is not at version {before.version}"
            ) from None

    def feed(self, summary: type[S], feed: str, *, cursor: str | None, limit: int) -> Page:
        """Return one page of a feed: one query, and one more for each MB that it has."""
        return self._page(summary, "feed", [feed], cursor, limit)

    def in_state(
        self, summary: type[S], state: str, *, cursor: str | None, limit: int, before: datetime | None = None
    ) -> Page:
        """Return one page of a state: one query a shard, and one more for each MB, merged."""
        shards = [f"{state}#{shard}" for shard in range(SHARDS)]
        return self._page(summary, "state", shards, cursor, limit, before)

    def due(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        """Return what is due: one query a shard. What an answer of 1 MB has no room for comes with the next waking."""
        rows = [
            raw
            for shard in range(SHARDS)
            for raw in self._call(
                "query",
                str(shard),
                range_key_condition=Path("due_at") <= {"S": _instant(now)},
                index_name="due",
                limit=limit,
            )["Items"]
        ]
        rows.sort(key=lambda raw: str(raw["due_at"]["S"]))
        return [(kind, key) for kind, _, key in (raw["pk"]["S"].partition("#") for raw in rows)]

    def put_aside(self, kind: type[Item], id: str) -> list[Event]:  # noqa: A002
        """Return the events put aside, oldest first."""
        told: list[Event] = []
        start: _Value | None = None
        while True:
            answer = self._call(
                "query",
                f"{kind.kind}#{id}",
                range_key_condition=Path("sk").startswith("history#"),
                consistent_read=True,
                exclusive_start_key=start,
            )
            for raw in answer["Items"]:
                told += msgspec.json.decode(raw["history"]["S"], type=tuple[Event, ...])
            start = answer.get("LastEvaluatedKey")
            if start is None:
                return told

    def _read(self, kind: type[T], raw: Mapping[str, _Value]) -> T:
        return in_epoch(_item(kind, raw), self._epoch)

    def _trimmed(self, item: T) -> T:
        """Put the oldest half of a full history aside, under a key of its own, then take it off the item.

        A crash in between leaves them in both places, which harms nothing.
        """
        kept = item.kept
        oldest = item.history[: len(item.history) - len(kept)]
        if not oldest:
            return item
        key = f"history#{oldest[0].seq:012d}"
        self._call("put_item", _pk(item), key, attributes={"history": {"S": _json(oldest)}})
        return msgspec.structs.replace(item, history=kept)

    def _page(
        self,
        summary: type[S],
        index: str,
        keys: list[str],
        cursor: str | None,
        limit: int,
        older_than: datetime | None = None,
    ) -> Page:
        before = _instant(older_than) if older_than is not None else None
        if cursor is not None:
            before = _read_cursor(cursor)
        found = [self._rows(index, key, before, limit + 1) for key in keys]
        rows = list(merge(*found, key=lambda raw: str(raw["at"]["S"]), reverse=True))
        shown = rows[:limit]
        more = _write_cursor(shown[-1]["at"]["S"]) if len(rows) > limit and shown else None
        return Page(tuple(msgspec.json.decode(raw["summary"]["S"], type=summary) for raw in shown), more)

    def _rows(self, index: str, key: str, before: str | None, most: int) -> list[dict[str, _Value]]:
        """Return the newest rows of a partition: an answer has 1 MB at most (DynamoDB API reference, Query)."""
        rows: list[dict[str, _Value]] = []
        start: _Value | None = None
        while True:
            answer = self._call(
                "query",
                key,
                range_key_condition=Path("at") < {"S": before} if before else None,
                index_name=index,
                limit=most - len(rows),
                scan_index_forward=False,
                exclusive_start_key=start,
            )
            rows += answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if start is None or len(rows) >= most:
                return rows

    def _call(self, operation: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._table, operation)(*arguments, **options)
        except (PutError, UpdateError) as error:
            if _code(error) == "ConditionalCheckFailedException":
                raise _ConditionError from None
            raise _translated(error) from error
        except PynamoDBException as error:
            raise _translated(error) from error


class _ConditionError(Exception):
    pass


_PASSING = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionConflictException",
}


def _code(error: PynamoDBException) -> str | None:
    """Return AWS's word for it; None where no answer came, on which pynamodb's own property raises."""
    said: Mapping[str, Any] = getattr(error.cause, "response", None) or {}
    code: str | None = said.get("Error", {}).get("Code")
    return code


def _translated(error: PynamoDBException) -> Exception:
    """Return LaterError for what passes, or nobody knows the end of; faults of ours stay as they are."""
    code = _code(error)
    if code is None or code in _PASSING:
        return LaterError(f"the table did not answer: {code or error}")
    return error


def _pk(item: Item) -> str:
    return f"{item.kind}#{item.id}"


def _shard(id: str) -> int:  # noqa: A002
    return zlib.crc32(id.encode()) % SHARDS


def _instant(at: datetime) -> str:
    """Write a time in fixed width, so that text sorts as time does."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _write_cursor(at: str) -> str:
    return base64.urlsafe_b64encode(at.encode()).rstrip(b"=").decode()


_POSITION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z#[A-Za-z0-9-]+", re.ASCII)


def _read_cursor(cursor: str) -> str:
    """Return the position that a cursor stands for; only the one form in which it was given is read."""
    try:
        at = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        at = ""
    if not _POSITION.fullmatch(at) or _write_cursor(at) != cursor:
        raise InvalidError(Fault("/cursor", "cursor", "is not a cursor that this list gave"))
    return at


_RENAMED = {"at": "created_at"}


def _attributes(item: Item, fields: Sequence[str]) -> dict[str, _Value]:
    """Return the attributes of these fields, and those by which the item stands in the indexes."""
    found: dict[str, _Value] = {}
    for name in fields:
        value = _value(getattr(item, name))
        if value is not None:
            found[_RENAMED.get(name, name)] = value
    listed = item.listed()
    if listed.feed is not None:
        found["feed"] = {"S": listed.feed}
    if listed.state is not None:
        found["state_shard"] = {"S": f"{listed.state}#{_shard(item.id)}"}
    if listed.summary is not None:
        found["summary"] = {"S": _json(listed.summary)}
        found["at"] = {"S": f"{_instant(item.at)}#{item.id}"}
    if item.due_at is not None:
        found["due_shard"] = {"S": str(_shard(item.id))}
    return found


def _value(value: Any) -> _Value | None:
    match value:
        case None:
            return None
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case datetime():
            text = _instant(value)
        case str() | Decimal():
            text = str(value)
        case _:
            text = _json(value)
    return {"S": text}


@cache
def _fields(kind: type[Item]) -> Mapping[str, tuple[str, msgspec.json.Decoder[Any] | None]]:
    """Return, for each attribute of a kind, its field, and its decoder where it is JSON text."""
    hints = get_type_hints(kind)
    fields: dict[str, tuple[str, msgspec.json.Decoder[Any] | None]] = {}
    for name in kind.__struct_fields__:
        plain = _is_plain(hints[name])
        fields[_RENAMED.get(name, name)] = (name, None if plain else msgspec.json.Decoder(hints[name]))
    return fields


_PLAIN = (str, int, datetime, Decimal, bytes)


def _is_plain(hint: Any) -> bool:
    """Tell whether values of this type are kept as they are: text, numbers, times, bytes, or none of them."""
    if get_origin(hint) is Literal:
        return all(isinstance(one, str) for one in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return all(_is_plain(one) for one in get_args(hint) if one is not type(None))
    return isinstance(hint, type) and issubclass(hint, _PLAIN)


def _item(kind: type[T], raw: Mapping[str, _Value]) -> T:
    """Read an item tolerantly: attributes that this code does not know are passed over."""
    values: dict[str, Any] = {}
    for attribute, (name, decoder) in _fields(kind).items():
        if attribute in raw:
            ((_, value),) = raw[attribute].items()
            values[name] = decoder.decode(value) if decoder is not None else value
    return msgspec.convert(values, kind, strict=False)
