"""Plays Lambda's event-source mappings: takes records from a stream or a queue and hands them to a function.

A stream is a line: nothing goes past a record that failed, which is tried again for ever unless the mapping
says how often. A queue is a heap: what failed comes back after a moment, and after `maxReceiveCount` tries
SQS moves it to the dead letters. (AWS Lambda developer guide, "Using Lambda with DynamoDB", "with SQS".)
"""

import base64
import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from local.aws import REGION, Arn, client, queue_url
from local.pattern import matches
from local.stack import Wire

log = logging.getLogger(__name__)

Handler = Callable[[Any], Any]
"""A function as Lambda calls it, its context left to the caller: JSON value in, JSON value out."""

RECEIVE_MOST = 10
LONGEST_PAUSE = 8


class Outcome(Enum):
    """What one step of a pump came to."""

    WORKED = "there may be more at once"
    FAILED = "the same again, after a pause"
    IDLE = "nothing there"


class Pump(ABC):
    """Something that moves records, step by step."""

    def __init__(self, name: str, source: str, look_anyway: float) -> None:
        """Take the ARN of what it reads, and the seconds after which it looks without being rung."""
        self.name = name
        self.source = source
        self.look_anyway = look_anyway
        self.pause = 0.5

    @abstractmethod
    def step(self) -> Outcome:
        """Move what is there now, once; never raises for what a function did."""


class Runner:
    """Runs one pump on a thread: at once when it is rung, and now and then anyway."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=pump.name, daemon=True)

    @property
    def source(self) -> str:
        """The ARN of what the pump reads, for whoever rings it."""
        return self._pump.source

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ring(self) -> None:
        """Say that there is something to move."""
        self._bell.set()

    def stop(self) -> None:
        """End after the step that is running; wait for that a few seconds at most."""
        self._stopping.set()
        self._bell.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                outcome = self._pump.step()
            except Exception:
                log.exception("%s stumbled, and goes on", self._pump.name)
                outcome = Outcome.FAILED
            if outcome is Outcome.FAILED:
                self._stopping.wait(self._pump.pause)
            elif outcome is Outcome.IDLE:
                self._bell.wait(self._pump.look_anyway)


class StreamPump(Pump):
    """Hands the records of a DynamoDB stream to a function, in order, from the oldest on."""

    def __init__(self, wire: Wire, handler: Handler) -> None:
        super().__init__(f"{wire.function} (stream)", wire.source, look_anyway=5)
        self._wire = wire
        self._handler = handler
        self._streams = client("dynamodbstreams")
        self._iterator: str | None = None
        self._waiting: list[Any] = []
        self._tries = 0

    def of_stream(self, source: str) -> "StreamPump":
        """Return a pump of another stream to the same function."""
        return StreamPump(msgspec.structs.replace(self._wire, source=source), self._handler)

    def step(self) -> Outcome:
        """Hand over one batch, or what is left of it; a failure leaves the rest for the next step."""
        if not self._waiting:
            self._waiting, self._tries = self._read(), 0
        if not self._waiting:
            return Outcome.IDLE
        batch = self._waiting
        if self._tries and self._wire.bisects:
            batch = batch[: max(1, len(batch) >> self._tries)]
        done = self._hand_over(batch)
        if done:
            self._waiting, self._tries = self._waiting[done:], 0
        if done == len(batch):
            return Outcome.WORKED
        self._tries += 1
        if 0 <= self._wire.attempts < self._tries:
            self._give_up(self._waiting[: max(1, len(batch) - done)])
            return Outcome.WORKED
        self.pause = min(0.05 * 2**self._tries, 2.0)
        return Outcome.FAILED

    def _read(self) -> list[Any]:
        """Return the next records that pass the filters, as Lambda writes them; empty at the stream's end."""
        if self._iterator is None:
            stream = self._streams.describe_stream(StreamArn=self._wire.source)["StreamDescription"]
            self._iterator = self._streams.get_shard_iterator(
                StreamArn=self._wire.source,
                ShardId=stream["Shards"][0]["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
        while True:
            answer = self._streams.get_records(ShardIterator=self._iterator, Limit=self._wire.batch)
            if not answer["Records"]:
                return []
            self._iterator = answer["NextShardIterator"]
            records = [as_lambda_writes(record, self._wire.source) for record in answer["Records"]]
            wanted = [one for one in records if passes(self._wire.filters, one)]
            if wanted:
                return wanted

    def _hand_over(self, batch: Sequence[Any]) -> int:
        """Call the function with `batch`, and return how many of its records need not come again."""
        try:
            answer = self._handler({"Records": list(batch)})
        except Exception:
            log.log(*_how_loud(self._tries, self.name), exc_info=not self._tries)
            return 0
        if not self._wire.reports_failures:
            return len(batch)
        failed = failures(answer)
        numbers = [one["dynamodb"]["SequenceNumber"] for one in batch]
        if not failed:
            return len(numbers)
        log.info("%s asks for records again, from %s on", self.name, failed[0])
        if not all(number in numbers for number in failed):
            return 0
        return min(numbers.index(number) for number in failed)

    def _give_up(self, lost: Sequence[Any]) -> None:
        self._waiting, self._tries = self._waiting[len(lost) :], 0
        if self._wire.on_failure:
            told = {
                "DDBStreamBatchInfo": {
                    "startSequenceNumber": lost[0]["dynamodb"]["SequenceNumber"],
                    "endSequenceNumber": lost[-1]["dynamodb"]["SequenceNumber"],
                    "batchSize": len(lost),
                    "streamArn": self._wire.source,
                }
            }
            url = queue_url(Arn.read(self._wire.on_failure))
            client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(told))


class QueuePump(Pump):
    """Hands the messages of an SQS queue to a function, and deletes those that it took."""

    def __init__(self, wire: Wire, handler: Handler, longest_pause: int = LONGEST_PAUSE) -> None:
        """Take the mapping, its function, and the most seconds that a message rests before it comes again."""
        super().__init__(f"{wire.function} (queue)", wire.source, look_anyway=0.25)
        self._longest_pause = longest_pause
        self._wire = wire
        self._handler = handler
        self._sqs = client("sqs")
        self._url = queue_url(Arn.read(wire.source))

    def step(self) -> Outcome:
        """Hand over one batch of messages."""
        messages = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(self._wire.batch, RECEIVE_MOST),
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return Outcome.IDLE
        records = [_record(message, self._wire.source) for message in messages]
        wanted = [one for one in records if passes(self._wire.filters, _with_parsed_body(one))]
        again = self._hand_over(wanted) if wanted else set()
        for message in messages:
            handle = message["ReceiptHandle"]
            if message["MessageId"] in again:
                tries = int(message["Attributes"]["ApproximateReceiveCount"])
                pause = min(2 ** (tries - 1), self._longest_pause)
                self._sqs.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=handle, VisibilityTimeout=pause
                )
            else:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=handle)
        return Outcome.WORKED

    def _hand_over(self, records: Sequence[Any]) -> set[str]:
        """Call the function, and return the ids of the messages that must come again."""
        ids = {one["messageId"] for one in records}
        tries = min(int(one["attributes"]["ApproximateReceiveCount"]) for one in records) - 1
        try:
            answer = self._handler({"Records": list(records)})
        except Exception:
            log.log(*_how_loud(tries, self.name), exc_info=not tries)
            return ids
        if not self._wire.reports_failures:
            return set()
        failed = set(failures(answer))
        if failed:
            log.info("%s asks for %d messages again", self.name, len(failed))
        return ids if failed - ids else failed


def failures(answer: Any) -> list[str]:
    """Return what `batchItemFailures` names; no answer at all means that all went well."""
    if not isinstance(answer, dict):
        return []
    return [str(one.get("itemIdentifier") or "") for one in answer.get("batchItemFailures") or []]


def passes(filters: Sequence[Mapping[str, Any]], record: Any) -> bool:
    """Tell whether a record meets one of the filters; all do where there are none."""
    return not filters or any(matches(one, record) for one in filters)


def as_lambda_writes(record: Mapping[str, Any], stream: str) -> Any:
    """Return a record of GetRecords as the JSON that Lambda makes of it: epoch seconds, bytes in base64."""
    change = dict(record["dynamodb"])
    change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return _json({**record, "dynamodb": change, "eventSourceARN": stream})


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda raw: base64.b64encode(raw).decode()))


def _record(message: Mapping[str, Any], queue: str) -> Any:
    attributes = {
        name: {"stringValue": one.get("StringValue"), "dataType": one["DataType"]}
        for name, one in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": REGION,
    }


def _with_parsed_body(record: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return {**record, "body": json.loads(record["body"])}
    except ValueError:
        return record


def _how_loud(tries: int, name: str) -> tuple[int, str, str]:
    """Return how to log a failure: the first with its traceback, those after it quietly."""
    return (logging.DEBUG if tries else logging.WARNING), "%s failed, and is tried again", name
