"""Events: what is needed to know them again is put where nobody can change it."""

from __future__ import annotations

import json
import logging
from typing import Any

from gonogo.bootstrap import gonogo
from gonogo.core import anchors
from gonogo.core.anchors import Anchor
from gonogo.service.anchor import anchor

log = logging.getLogger("gonogo")


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Anchor a batch of messages as one file; what is no event of ours comes again alone, until it is put aside."""
    found: dict[str, Anchor] = {}
    for record in event["Records"]:
        try:
            found[record["messageId"]] = anchors.of(json.loads(record["body"])["detail"])
        except Exception:
            log.exception("message %s cannot be anchored", record["messageId"])
    failed = [record["messageId"] for record in event["Records"] if record["messageId"] not in found]
    try:
        anchor(gonogo(), found.values())
    except Exception:
        log.exception("%d events must be anchored again", len(found))
        failed += found
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
