"""The table's stream: what is new in each item's history goes on the bus."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from gonogo.bootstrap import gonogo
from gonogo.core.event import Event
from gonogo.service import publish
from gonogo.service.publish import Change, Image

log = logging.getLogger("gonogo")


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Publish a batch of stream records; name the first that must come again: Lambda's checkpoint."""
    changes = [change(record) for record in event["Records"] if "NewImage" in record["dynamodb"]]
    again = publish.publish(gonogo(), [one for one in changes if one is not None])
    return {"batchItemFailures": [{"itemIdentifier": again}] if again else []}


def change(record: dict[str, Any]) -> Change | None:
    """Return what a record says, None for a kind of item that has no events, unread if it cannot be read."""
    data = record["dynamodb"]
    number = str(data["SequenceNumber"])
    key = str(data["Keys"]["pk"]["S"])
    if str(data["Keys"]["sk"]["S"]) != key.partition("#")[0]:
        return None
    try:
        before = image(data["OldImage"]) if "OldImage" in data else None
        return Change(number=number, item=key, before=before, after=image(data["NewImage"]))
    except (KeyError, ValueError, TypeError, msgspec.MsgspecError):
        log.exception("stream record %s of %s cannot be read", number, key)
        return Change(number=number, item=key, before=None, after=None)


def image(raw: dict[str, Any]) -> Image:
    """Return as much of an item's image as tells what to publish."""
    return Image(
        id=raw["id"]["S"],
        seq=int(raw["seq"]["N"]),
        history=msgspec.json.decode(raw["history"]["S"], type=tuple[Event, ...]),
        cue=msgspec.json.decode(raw["cue"]["S"], type=tuple[int, ...]),
        cue_times=int(raw["cue_times"]["N"]),
    )
