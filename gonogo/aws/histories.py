"""The histories of all items, read by a scan: for the one command that may, which tells them again."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gonogo.aws.clients import call, client
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.event import Event
from gonogo.ports import History, Part

MARGIN = timedelta(minutes=5)
"""How much a clock that wrote an item's last change may be behind the one that wrote its last event."""
_FIELDS = {"#pk": "pk", "#sk": "sk", "#id": "id", "#history": "history", "#at": "updated_at"}


class Histories:
    """`ports.Histories` on DynamoDB, with the caller's own credentials."""

    def __init__(self, table: str, region: str) -> None:
        """Name the table; nothing is called yet."""
        self._table, self._region = table, region

    def part(self, since: datetime, kinds: Collection[str], *, cursor: str | None, limit: int) -> Part:
        """Return the histories of the items that one call finds, each with what was put aside of it.

        An item that has not changed since then has no event since then, so it is passed over.

        Raises:
            InvalidError: the cursor is none of ours.
            LaterError: throttled or out.
            RefusedError: the caller may not scan, or there is no such table.
        """
        more: dict[str, Any] = {"ExclusiveStartKey": _read_cursor(cursor)} if cursor is not None else {}
        instant = (since - MARGIN).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        answer = call(
            client("dynamodb", self._region).scan,
            TableName=self._table,
            ConsistentRead=True,
            Limit=limit,
            FilterExpression="attribute_exists(#history) AND #at >= :since",
            ProjectionExpression=", ".join(_FIELDS),
            ExpressionAttributeNames=_FIELDS,
            ExpressionAttributeValues={":since": {"S": instant}},
            **more,
        )
        found = []
        for raw in answer["Items"]:
            kind = raw["pk"]["S"].partition("#")[0]
            if raw["sk"]["S"] == kind and (not kinds or kind in kinds):
                found.append(self._history(raw))
        last = answer.get("LastEvaluatedKey")
        return Part(tuple(found), int(answer["ScannedCount"]), _write_cursor(last) if last else None)

    def _history(self, raw: Mapping[str, Any]) -> History:
        """Return all events of an item, oldest first: a crash may have left some in both places."""
        kept = _events(raw)
        older = self._put_aside(raw["pk"]["S"]) if kept and kept[0].seq > 1 else []
        first = kept[0].seq if kept else 1
        return History(raw["id"]["S"], (*(one for one in older if one.seq < first), *kept))

    def _put_aside(self, pk: str) -> list[Event]:
        told: list[Event] = []
        more: dict[str, Any] = {}
        while True:
            answer = call(
                client("dynamodb", self._region).query,
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={":pk": {"S": pk}, ":sk": {"S": "history#"}},
                **more,
            )
            for raw in answer["Items"]:
                told += _events(raw)
            if "LastEvaluatedKey" not in answer:
                return told
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _events(raw: Mapping[str, Any]) -> tuple[Event, ...]:
    return msgspec.json.decode(raw["history"]["S"], type=tuple[Event, ...])


def _write_cursor(key: Mapping[str, Any]) -> str:
    text = json.dumps([key["pk"]["S"], key["sk"]["S"]])
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        pk, sk = msgspec.json.decode(raw, type=tuple[str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidError(Fault("--cursor", "cursor", "is not a cursor that a replay gave")) from None
    return {"pk": {"S": pk}, "sk": {"S": sk}}
