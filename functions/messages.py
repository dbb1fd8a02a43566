"""Messages from a queue: each on its own, so that one that fails harms no other."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from gonogo.service.notify import Cue

log = logging.getLogger("gonogo")


def each(event: dict[str, Any], handle: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Give the body of each SQS record to `handle`, and name those that must come again.

    The answer is what Lambda asks for with ReportBatchItemFailures (AWS Lambda, "Using Lambda with SQS").
    """
    failed = []
    for record in event["Records"]:
        try:
            handle(json.loads(record["body"]))
        except Exception:
            log.exception("message %s must come again", record["messageId"])
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


class _Detail(msgspec.Struct, frozen=True):
    type: str
    subject: str
    seq: int


def cue(message: dict[str, Any]) -> Cue:
    """Return what one of our own events names.

    Raises:
        msgspec.ValidationError: it is not one of ours.
    """
    detail = msgspec.convert(message["detail"], _Detail)
    return Cue(type=detail.type, subject=detail.subject, seq=detail.seq)
