"""Instances are announced on the default bus, as EC2 does."""

import json
from datetime import UTC, datetime

import boto3
import pytest

from local.aws import client
from local.ec2 import InstanceWatch
from local.pump import Outcome
from tests.functions.quick import image, quick

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


def test_instances_elsewhere_are_announced_here_as_elsewheres(announced):
    """On AWS infra/forward.yaml hands on what EC2 tells in other regions and accounts: the event stays theirs."""
    given = client("sts").assume_role(
        RoleArn="arn:aws:iam::210987654321:role/launcher", RoleSessionName="gonogo", ExternalId="gonogo-1"
    )["Credentials"]
    other = boto3.client(
        "ec2",
        region_name="eu-west-1",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    expected = set()
    with quick():
        for ec2, account in ((client("ec2", "eu-central-1"), "123456789012"), (other, "210987654321")):
            made = ec2.run_instances(
                ImageId=image(ec2.meta.region_name), InstanceType="t3.micro", MinCount=1, MaxCount=1
            )
            instance, region = made["Instances"][0]["InstanceId"], ec2.meta.region_name
            expected.add((account, region, f"arn:aws:ec2:{region}:{account}:instance/{instance}", instance))
    InstanceWatch(lambda: NOW).step()
    heard = announced()
    assert [one["detail"]["state"] for one in heard] == ["pending", "running"] * 2
    assert {one["time"] for one in heard} == {"2026-01-02T03:04:05Z"}
    assert {
        (one["account"], one["region"], one["resources"][0], one["detail"]["instance-id"]) for one in heard
    } == expected
