"""Instances are announced on the default bus, as EC2 does."""

import json
from datetime import UTC, datetime

import pytest

from local.aws import client
from local.ec2 import InstanceWatch
from local.pump import Outcome

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def announced(moto, queue, received):
    """What the default bus of us-east-1 heard of instances since it was last asked."""
    target = queue("q")
    events = client("events")
    pattern = '{"source":["aws.ec2"],"detail-type":["EC2 Instance State-change Notification"]}'
    events.put_rule(Name="ec2", EventPattern=pattern)
    events.put_targets(Rule="ec2", Targets=[{"Id": "q", "Arn": target}])
    return lambda: [json.loads(body) for body in received(target)]


def test_each_change_is_announced_once(announced):
    """`observe` lives on these: started, stopped, gone."""
    ec2 = client("ec2")
    watch = InstanceWatch(lambda: NOW)
    made = ec2.run_instances(
        ImageId="ami-0d27e0fb3bac4d724", InstanceType="t3.micro", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    heard = []
    for change in (None, ec2.stop_instances, ec2.start_instances, ec2.terminate_instances):
        if change is not None:
            change(InstanceIds=[made])
        assert watch.step() is Outcome.WORKED
        assert watch.step() is Outcome.IDLE
        heard.append([event["detail"]["state"] for event in announced()])
    assert heard == [
        ["pending", "running"],
        ["stopping", "stopped"],
        ["pending", "running"],
        ["shutting-down", "terminated"],
    ]


def test_an_announcement_looks_as_ec2_makes_it(announced):
    """The rule of the template is written for AWS."""
    made = client("ec2").run_instances(
        ImageId="ami-0d27e0fb3bac4d724", InstanceType="t3.micro", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    InstanceWatch(lambda: NOW).step()
    event = announced()[-1]
    assert event["resources"] == [f"arn:aws:ec2:us-east-1:123456789012:instance/{made}"]
    assert event["detail"] == {"instance-id": made, "state": "running"}
    assert event["time"] == "2026-01-02T03:04:05Z"
