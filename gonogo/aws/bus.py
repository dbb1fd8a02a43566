"""The event bus, and the dead letters of what it will never take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from gonogo.aws.clients import PASSING, call, client
from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.event import SOURCE
from gonogo.ports import PoisonError

_PASSING = PASSING | {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "NotAuthorizedForSourceException",
    "OptInRequired",
    "RequestExpired",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
}
"""What passes, and what passes once somebody mends it: it is about the caller or the bus, not the event."""


class EventBridge:
    """`ports.Bus` on EventBridge: the detail of an entry is the CloudEvent."""

    def __init__(self, name: str, region: str) -> None:
        """Name the bus; nothing is called yet."""
        self._name, self._region = name, region

    @cached_property
    def _events(self) -> Any:
        return client("events", self._region)

    def publish(self, events: Sequence[dict[str, Any]]) -> None:
        """Put at most ten events; an answer of 200 may still name entries that failed."""
        entries = [
            {
                "EventBusName": self._name,
                "Source": SOURCE,
                "DetailType": event["type"],
                "Time": event["time"],
                "Detail": msgspec.json.encode(event).decode(),
            }
            for event in events
        ]
        try:
            answer = call(self._events.put_events, Entries=entries)
        except RefusedError as error:
            self._apart(entries, error)
            return
        failed = (
            [(index, one) for index, one in enumerate(answer["Entries"]) if one.get("ErrorCode")]
            if answer.get("FailedEntryCount")
            else []
        )
        passing = [one for _, one in failed if one["ErrorCode"] in _PASSING]
        if passing:
            raise LaterError(f"{passing[0]['ErrorCode']}: {passing[0].get('ErrorMessage', '')}")
        if failed:
            raise PoisonError([index for index, _ in failed], str(failed[0][1]))

    def _apart(self, entries: list[dict[str, Any]], error: RefusedError) -> None:
        """Put entries one by one where the bus refused them together, to find which it is."""
        if error.code in _PASSING:
            raise LaterError(str(error))
        poison = []
        for index, entry in enumerate(entries):
            try:
                (said,) = call(self._events.put_events, Entries=[entry])["Entries"]
            except RefusedError as alone:
                if alone.code in _PASSING:
                    raise LaterError(str(alone)) from alone
                poison.append(index)
                continue
            if said.get("ErrorCode") in _PASSING:
                raise LaterError(f"{said['ErrorCode']}: {said.get('ErrorMessage', '')}")
            if said.get("ErrorCode"):
                poison.append(index)
        raise PoisonError(poison, str(error))


class Queue:
    """`ports.DeadLetters` on SQS."""

    def __init__(self, url: str, region: str) -> None:
        """Name the queue; nothing is called yet."""
        self._url, self._region = url, region

    @cached_property
    def _sqs(self) -> Any:
        return client("sqs", self._region)

    def put(self, letter: Mapping[str, Any]) -> None:
        """Send one message; a refusal passes too, once somebody mends it."""
        try:
            call(self._sqs.send_message, QueueUrl=self._url, MessageBody=json.dumps(dict(letter)))
        except RefusedError as error:
            raise LaterError(str(error)) from error
