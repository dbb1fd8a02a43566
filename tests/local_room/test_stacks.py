"""Stacks and executions are announced on the default bus, as CloudFormation and Step Functions do."""

import json

import pytest

from local.aws import client
from local.pump import Outcome
from local.stacks import ExecutionWatch, StackWatch


@pytest.fixture
def announced(moto, queue, received):
    """What the default bus of us-east-1 heard of them since it was last asked."""
    target = queue("q")
    client("events").put_rule(Name="all", EventPattern='{"source":["aws.cloudformation","aws.states"]}')
    client("events").put_targets(Rule="all", Targets=[{"Id": "q", "Arn": target}])
    return lambda: [json.loads(body) for body in received(target)]


def test_each_status_of_a_stack_is_announced_once(announced):
    """`observe` lives on these; their shape is CloudFormation's (user guide, "Stack Status Change event detail")."""
    cloud, watch = client("cloudformation"), StackWatch()
    made = cloud.create_stack(
        StackName="web",
        TemplateBody='Resources: {Queue: {Type: "AWS::SQS::Queue"}}',
        ClientRequestToken="one",
    )["StackId"]
    assert [watch.step(), watch.step()] == [Outcome.WORKED, Outcome.IDLE]
    cloud.delete_stack(StackName=made)
    assert [watch.step(), watch.step()] == [Outcome.WORKED, Outcome.IDLE]
    heard = announced()
    assert [one["detail"]["status-details"]["status"] for one in heard] == [
        "CREATE_IN_PROGRESS",
        "CREATE_COMPLETE",
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]
    event = heard[1]
    assert (event["detail-type"], event["resources"]) == ("CloudFormation Stack Status Change", [made])
    assert event["detail"] == {
        "stack-id": made,
        "status-details": {"status": "CREATE_COMPLETE", "status-reason": ""},
        "client-request-token": "one",
    }


def test_each_status_of_an_execution_is_announced_once(announced):
    """One that has ended before it was looked at has run too (Step Functions guide, "Step Functions event examples")."""
    states, watch = client("stepfunctions"), ExecutionWatch()
    machine = states.create_state_machine(
        name="nightly", definition="{}", roleArn="arn:aws:iam::123456789012:role/x", publish=True
    )["stateMachineVersionArn"]
    first = states.start_execution(stateMachineArn=machine, name="first")["executionArn"]
    assert [watch.step(), watch.step()] == [Outcome.WORKED, Outcome.IDLE]
    states.stop_execution(executionArn=first)
    second = states.start_execution(stateMachineArn=machine, name="second")["executionArn"]
    states.stop_execution(executionArn=second)
    assert [watch.step(), watch.step()] == [Outcome.WORKED, Outcome.IDLE]
    heard = announced()
    assert [(one["detail"]["name"], one["detail"]["status"]) for one in heard] == [
        ("first", "RUNNING"),
        ("first", "ABORTED"),
        ("second", "RUNNING"),
        ("second", "ABORTED"),
    ]
    running, ended = heard[0]["detail"], heard[1]["detail"]
    assert (running["executionArn"], running["stateMachineVersionArn"]) == (first, machine)
    assert running["stopDate"] is None
    assert ended["stopDate"] >= ended["startDate"] == running["startDate"] > 1_500_000_000_000
