"""Records and messages as Lambda hands them to a function, made by hand so that a test decides what comes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local.aws import ACCOUNT, client
from local.pump import as_lambda_writes
from tests.functions.world import World


def messages(*events: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch of queue messages with these events as EventBridge sends them, ids m0, m1 and so on."""
    return {"Records": [{"messageId": f"m{n}", "body": json.dumps(one)} for n, one in enumerate(events)]}


def on_bus(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return one of our CloudEvents as it comes from the bus."""
    return {"source": "gonogo", "detail-type": detail["type"], "detail": detail}


def again(world: World, function: str, *details: Mapping[str, Any]) -> list[str]:
    """Hand CloudEvents to a function once more, and return the ids of the messages that it wants again."""
    answer = world.invoke(function, messages(*(on_bus(one) for one in details)))
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def cue(launch_id: str, kind: str, seq: int = 1) -> dict[str, Any]:
    """Return an event that anybody could have made up: right in form, and saying nothing that is proven."""
    return {"type": kind, "subject": launch_id, "seq": seq, "id": f"{launch_id}-{seq}"}


def state_change(instance: str, state: str, time: str, region: str = "us-east-1") -> dict[str, Any]:
    """Return what EC2 tells the default bus of an instance."""
    return {
        "version": "0",
        "source": "aws.ec2",
        "detail-type": "EC2 Instance State-change Notification",
        "account": ACCOUNT,
        "time": time,
        "region": region,
        "detail": {"instance-id": instance, "state": state},
    }


def stream_records(world: World) -> list[dict[str, Any]]:
    """Return every record that the table's stream holds, oldest first, as Lambda writes them."""
    arn = world.stack.look("Table", "StreamArn")
    streams = client("dynamodbstreams")
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    found = streams.get_records(ShardIterator=iterator["ShardIterator"], Limit=1000)["Records"]
    return [as_lambda_writes(one, arn) for one in found]


def published(world: World, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Hand stream records to `publish`, and return the sequence numbers that it wants again."""
    answer = world.invoke("publish", {"Records": list(records)})
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]
