"""A subscriber as a stranger would write it: a queue and a rule of its own on the bus, by an AWS client."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3

from local.aws import ACCOUNT, REGION

BUS = "gonogo"
WAIT = 1
MOST = 10


class Listener:
    """Gets every event of the bus from the moment it is made until it is closed."""

    def __init__(self, aws_url: str, pattern: str = '{"source":["gonogo"]}') -> None:
        """Take the AWS endpoint and an EventBridge pattern; attach a queue by it."""
        self._sqs = _client("sqs", aws_url)
        self._events = _client("events", aws_url)
        self._name = f"listener-{uuid4().hex[:8]}"
        self._url = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        self._events.put_rule(EventBusName=BUS, Name=self._name, EventPattern=pattern)
        target = {"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self._name}"}
        self._events.put_targets(EventBusName=BUS, Rule=self._name, Targets=[target])

    def events(self) -> Iterator[dict[str, Any]]:
        """Return what came within the next second at most, each event as EventBridge delivers it."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=MOST, WaitTimeSeconds=WAIT)
        for message in answer.get("Messages", []):
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            yield json.loads(message["Body"])

    def close(self) -> None:
        """Take queue and rule away again."""
        self._events.remove_targets(EventBusName=BUS, Rule=self._name, Ids=["queue"])
        self._events.delete_rule(EventBusName=BUS, Name=self._name)
        self._sqs.delete_queue(QueueUrl=self._url)


def _client(service: str, aws_url: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=aws_url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  moto takes any
    )
