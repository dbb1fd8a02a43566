"""The event bus, and the dead letters of what it will never take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, uuid5

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


class Subscriber:
    """`ports.Bus` to one SQS queue: each event as EventBridge delivers it to a queue that is a rule's target."""

    LARGEST = 256 * 1024
    """Bytes of the bodies of one SendMessageBatch call (SQS API reference), as queues had it before 2025-08."""

    def __init__(self, url: str, region: str) -> None:
        """Name the queue; nothing is called yet."""
        self._url, self._region = url, region

    @cached_property
    def _sqs(self) -> Any:
        return client("sqs", self._region)

    @cached_property
    def _account(self) -> str:
        return str(call(client("sts", self._region).get_caller_identity)["Account"])

    def publish(self, events: Sequence[dict[str, Any]]) -> None:
        """Send at most ten events."""
        bodies = [msgspec.json.encode(self._delivered(event)).decode() for event in events]
        poison: list[int] = []
        why = ""
        for start, end in _fitting(bodies, self.LARGEST):
            for index, said in self._sent(events, bodies, range(start, end)):
                poison.append(index)
                why = said
        if poison:
            raise PoisonError(poison, why)

    def _delivered(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the envelope (EventBridge user guide, "Events"): its id is of this delivery, and the same each time."""
        return {
            "version": "0",
            "id": str(uuid5(NAMESPACE_URL, f"urn:gonogo:{event['id']}")),
            "detail-type": event["type"],
            "source": SOURCE,
            "account": self._account,
            "time": f"{datetime.fromisoformat(event['time']).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "region": self._region,
            "resources": [],
            "detail": event,
        }

    def _sent(
        self, events: Sequence[dict[str, Any]], bodies: Sequence[str], which: range
    ) -> list[tuple[int, str]]:
        """Send these, and return those that are never taken, each with why."""
        entries = [
            {"Id": str(index), "MessageBody": bodies[index], **self._ordered(events[index])}
            for index in which
        ]
        try:
            answer = call(self._sqs.send_message_batch, QueueUrl=self._url, Entries=entries)
        except RefusedError as error:
            if error.code not in _TOO_MUCH:
                raise
            if len(which) == 1:
                return [(which.start, str(error))]
            half = (which.start + which.stop) // 2
            parts = (range(which.start, half), range(half, which.stop))
            return [one for part in parts for one in self._sent(events, bodies, part)]
        failed = answer.get("Failed", ())
        passing = [one for one in failed if not one["SenderFault"]]
        if passing:
            raise LaterError(f"{passing[0]['Code']}: {passing[0].get('Message', '')}")
        return [(int(one["Id"]), f"{one['Code']}: {one.get('Message', '')}") for one in failed]

    def _ordered(self, event: Mapping[str, Any]) -> dict[str, str]:
        """Return what a FIFO queue wants to know besides: the order within an item, and what is the same event."""
        if not self._url.endswith(".fifo"):
            return {}
        return {"MessageGroupId": str(event["subject"]), "MessageDeduplicationId": str(event["id"])}


_TOO_MUCH = frozenset(
    {"BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", "InvalidMessageContents"}
)
"""Codes about the message, not about the queue or the caller (SQS API reference, SendMessageBatch)."""


def _fitting(bodies: Sequence[str], largest: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of bodies that go together in one call; one that is too large goes by itself."""
    start = size = 0
    for index, body in enumerate(bodies):
        length = len(body.encode())
        if index > start and size + length > largest:
            yield start, index
            start, size = index, 0
        size += length
    if start < len(bodies):
        yield start, len(bodies)
