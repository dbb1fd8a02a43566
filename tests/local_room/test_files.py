"""Events become files, and reports of other regions arrive, by the same templates that are deployed."""

import json
from datetime import UTC, datetime

import pytest

from local.aws import client
from local.stack import Stack
from local.template import read
from tests.local_room.test_template import HOUSE, PARAMETERS


def make(**parameters):
    """Make the real template's resources."""
    stack = Stack(read(HOUSE / "infra" / "template.yaml"), {**PARAMETERS, **parameters})
    stack.make()
    return stack


def put(kind, detail, source="gonogo", bus="gonogo", region="us-east-1"):
    """Put one event on a bus."""
    entry = {
        "EventBusName": bus,
        "Source": source,
        "DetailType": kind,
        "Detail": json.dumps(detail),
        "Time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    assert client("events", region).put_events(Entries=[entry])["FailedEntryCount"] == 0


def files(bucket):
    """Return the files of a bucket, by their names."""
    s3 = client("s3")
    names = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    return {name: s3.get_object(Bucket=bucket, Key=name)["Body"].read().decode() for name in names}


USAGE = {"id": "u-1-1", "type": "usage.recorded", "data": {"cost": "0.2063273333"}}
STARTED = {"id": "l-1-7", "type": "launch.started", "data": {"launch": {"engine": "ec2"}}}


@pytest.mark.parametrize(("option", "expected"), [("usage", [USAGE]), ("all", [STARTED, USAGE])])
def test_events_become_lines_of_files(moto, option, expected):
    """Whoever bills from files reads lines of CloudEvents, here as there."""
    stack = make(BillingFiles=option)
    put("usage.recorded", USAGE)
    put("launch.started", STARTED)
    found = files(stack.look("BillingBucket", None))
    assert all(name.startswith("events/20") for name in found)
    assert all(text.endswith("}\n") for text in found.values())
    lines = [json.loads(line) for text in found.values() for line in text.splitlines()]
    assert sorted(lines, key=lambda one: one["id"]) == expected


def test_there_are_no_files_unless_they_are_asked_for(moto):
    """A bucket that nobody asked for is one that somebody must look after."""
    make()
    assert client("s3").list_buckets()["Buckets"] == []


def test_a_file_that_cannot_be_written_is_found_again(moto, received):
    """A usage record that is in no file is a bill that is too low, and nobody would know."""
    stack = make(BillingFiles="usage")
    client("firehose").delete_delivery_stream(DeliveryStreamName=stack.look("BillingStream", None))
    put("usage.recorded", USAGE)
    assert [json.loads(body) for body in received(stack.look("BillingDead", "Arn"))] == [USAGE]


def test_what_happens_abroad_is_told_at_home_as_of_abroad(moto, queue, received):
    """Observe looks where the event says that it happened: in the region and account it came from."""
    target = queue("heard")
    client("events").put_rule(Name="all", EventPattern='{"source":[{"prefix":"aws."}]}')
    client("events").put_targets(Rule="all", Targets=[{"Id": "t", "Arn": target}])
    home = "arn:aws:events:us-east-1:123456789012:event-bus/default"
    Stack(read(HOUSE / "infra" / "forward.yaml"), {"BusArn": home}, "eu-west-1").make()
    stack = "arn:aws:cloudformation:eu-west-1:123456789012:stack/{}/id"
    told = [
        ("aws.ec2", "EC2 Instance State-change Notification", {"instance-id": "i-1", "state": "running"}),
        ("aws.ec2", "EC2 Spot Instance Interruption Warning", {"instance-id": "i-1"}),
        ("aws.cloudformation", "CloudFormation Stack Status Change", {"stack-id": stack.format("g-token")}),
        ("aws.cloudformation", "CloudFormation Stack Status Change", {"stack-id": stack.format("payroll")}),
        ("aws.states", "Step Functions Execution Status Change", {"name": "g-token"}),
        ("aws.states", "Step Functions Execution Status Change", {"name": "nightly"}),
    ]
    for source, kind, detail in told:
        put(kind, detail, source, "default", "eu-west-1")
    heard = [json.loads(body) for body in received(target)]
    assert [(one["source"], one["detail"]) for one in heard] == [
        (source, detail) for source, _, detail in told[::2]
    ]
    assert {(one["account"], one["region"]) for one in heard} == {("123456789012", "eu-west-1")}
    assert {one["time"] for one in heard} == {"2026-01-02T03:04:05Z"}
