"""A stack and an execution, from the asking to the bill, by what AWS tells of them and by what is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from moto.cloudformation.models import cloudformation_backends
from moto.stepfunctions.models import stepfunctions_backends

from functions import observe as observing
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.usage import UsageDay, day_of, usage_id
from local.aws import ACCOUNT, REGION, client
from tests.contract.engines import bundle
from tests.functions.arriving import messages
from tests.functions.world import World, world

NO_SUBNET = """
Parameters: {Site: {Type: String}}
Resources:
  First: {Type: "AWS::SQS::Queue"}
  Net: {Type: "AWS::EC2::Subnet", Properties: {VpcId: vpc-0123456789abcdef0, CidrBlock: 10.0.0.0/24}}
"""


@pytest.fixture(name="world", scope="module")
def world_of_stacks() -> Iterator[World]:
    """Give a world with templates of stacks and executions, whose reports arrive."""
    files = bundle(broken=NO_SUBNET)
    files["templates/broken.toml"] = files["templates/site.toml"].replace("site.yaml", "broken.yaml")
    with world(files) as made:
        queue = made.stack.look("ObserveQueue", "Arn")
        for name, bus, pattern in (
            ("stacks", "default", {"source": ["aws.cloudformation", "aws.states"]}),
            ("launches", made.gonogo.settings.bus, {"detail-type": ["launch.started"]}),
        ):
            client("events").put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
            client("events").put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1", "Arn": queue}])
        client("stepfunctions").create_state_machine(
            name="nightly", definition="{}", roleArn=f"arn:aws:iam::{ACCOUNT}:role/nightly", publish=True
        )
        yield made


def later(world: World, **span: float) -> None:
    """Let so much time pass, and happen what happens."""
    world.clock.go(**span)
    world.wake()
    world.settle()


def instance(world: World, launch: Any) -> Instance:
    """Return what is known of the one thing that a launch made."""
    (resource,) = world.read(launch["id"], "ops")["resources"]
    found = world.gonogo.items.get(Instance, resource["id"])
    assert found is not None
    return found


def billed(world: World, resource: str) -> Decimal:
    """Return what a resource has cost today."""
    day = world.gonogo.items.get(UsageDay, usage_id(resource, day_of(world.clock())))
    return day.cost if day is not None else Decimal(0)


def test_a_stack_runs_is_billed_and_ends(world: World) -> None:
    """From the asking to the bill, by what AWS tells: two hours at the price that policy names."""
    launch = world.ask("ops", template="site", parameters={"site": "fair"})
    world.settle()
    assert world.read(launch["id"], "ops")["state"] == "RUNNING"
    made = instance(world, launch)
    assert (made.state, made.instance_type, made.launch) == ("running", "site", launch["id"])
    later(world, hours=2)
    world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="ops")
    world.settle()
    assert world.read(launch["id"], "ops")["state"] == "TERMINATED"
    assert instance(world, launch).state == "terminated"
    assert billed(world, made.id) == Decimal("0.1")


def test_whoever_decides_sees_what_it_makes_and_may(world: World) -> None:
    """Nobody can approve what they were not shown: on the page, grouped, and in the whole plan."""
    world.ask("dev", template="site", parameters={"site": "asked"})
    world.settle()
    shown = world.form("/decide", code=world.token("lead")).text
    for fact in (
        "2 \N{MULTIPLICATION SIGN} AWS::S3::Bucket (Logs, Pages)",
        "1 \N{MULTIPLICATION SIGN} AWS::IAM::Role (Renderer)",
        "may make roles and rights (CAPABILITY_IAM)",
        "stacks/site.yaml",
        "<bdi>sha256</bdi>",
        "parameters.Site",
    ):
        assert fact in shown
    assert "makes[0]" not in shown


def test_an_execution_that_ends_by_itself_ends_its_launch(world: World) -> None:
    """Nobody terminates what is done."""
    launch = world.ask("ops", template="nightly")
    world.settle()
    arn = instance(world, launch).id
    world.clock.go(minutes=30)
    (machine,) = stepfunctions_backends[ACCOUNT][REGION].state_machines
    (execution,) = [one for one in machine.executions if one.execution_arn == arn]
    execution.status, execution.stop_date = "SUCCEEDED", world.clock().replace(tzinfo=None)
    world.settle()
    assert world.read(launch["id"], "ops")["state"] == "TERMINATED"
    assert billed(world, arn) == Decimal("0.125000")


def test_what_aws_did_not_tell_is_seen_by_a_look(world: World) -> None:
    """Step Functions tells on best effort (EventBridge, "AWS Step Functions events")."""
    launch = world.ask("ops", template="nightly")
    world.settle()
    arn = instance(world, launch).id
    client("events").disable_rule(Name="stacks")
    client("stepfunctions").stop_execution(executionArn=arn)
    world.settle()
    assert world.read(launch["id"], "ops")["state"] == "RUNNING"
    later(world, minutes=6)
    client("events").enable_rule(Name="stacks")
    assert world.read(launch["id"], "ops")["state"] == "TERMINATED"


def test_a_stack_that_takes_its_time_is_waited_for(world: World) -> None:
    """A minute later it is asked for again, and by then it is there."""
    launch = world.ask("ops", template="site", parameters={"site": "slow"})
    backend = cloudformation_backends[ACCOUNT][REGION]

    def turn(status: str) -> None:
        for one in backend.stacks.values():
            if one.tags["gonogo:launch"] == launch["id"]:
                one.status = status

    create = backend.create_stack

    def slowly(*given: Any, **named: Any) -> Any:
        made = create(*given, **named)
        turn("CREATE_IN_PROGRESS")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "create_stack", slowly)
        world.settle()
        later(world, minutes=1)
    assert world.read(launch["id"], "ops")["state"] == "LAUNCHING"
    turn("CREATE_COMPLETE")
    later(world, minutes=1)
    assert world.read(launch["id"], "ops")["state"] == "RUNNING"
    assert instance(world, launch).state == "running"


def test_a_stack_that_rolls_back_has_failed_and_is_gone(world: World) -> None:
    """The requester reads what CloudFormation said; it is billed from when it was made until it was deleted."""
    launch = world.ask("ops", template="broken", parameters={"site": "none"})
    world.settle()
    failed = world.read(launch["id"], "ops")
    assert failed["state"] == "FAILED"
    assert "vpc-0123456789abcdef0" in failed["failure"]["message"]
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    assert not [one for one in stacks if {"Key": "gonogo:launch", "Value": launch["id"]} in one["Tags"]]
    item = world.gonogo.items.get(Launch, launch["id"])
    assert item is not None
    (gone,) = item.rolled_back
    known = world.gonogo.items.get(Instance, gone)
    assert known is not None
    assert (known.state, known.instance_type, billed(world, gone)) == ("terminated", "site", Decimal(0))


# The shapes


STACK = "arn:aws:cloudformation:us-west-1:111122223333:stack/g-x/1"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:state-machine-name:execution-name"


def of_stack(status: str) -> dict[str, Any]:
    """Return a report as CloudFormation makes it (CloudFormation user guide, "Stack Status Change event detail")."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "CloudFormation Stack Status Change",
        "source": "aws.cloudformation",
        "account": "111122223333",
        "time": "2017-12-22T18:43:48Z",
        "region": "us-west-1",
        "resources": [STACK],
        "detail": {
            "stack-id": STACK,
            "status-details": {"status": status, "status-reason": ""},
            "client-request-token": "",
        },
    }


def of_execution(status: str, stopped: int | None) -> dict[str, Any]:
    """Return a report as Step Functions makes it (Step Functions guide, "Step Functions event examples")."""
    return {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "time": "2019-02-26T19:42:21Z",
        "region": "us-east-1",
        "resources": [EXECUTION],
        "detail": {
            "executionArn": EXECUTION,
            "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:state-machine",
            "name": "execution-name",
            "status": status,
            "startDate": 1551225271984,
            "stopDate": stopped,
            "input": "{}",
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": None,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": 0,
            "redriveDate": None,
            "error": None,
            "cause": None,
        },
    }


BEGAN = datetime(2019, 2, 26, 23, 54, 31, 984000, tzinfo=UTC)
TOLD = datetime(2017, 12, 22, 18, 43, 48, tzinfo=UTC)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            of_stack("CREATE_COMPLETE"),
            (STACK, "running", TOLD, "us-west-1", "111122223333", "cloudformation"),
        ),
        (
            of_stack("DELETE_COMPLETE"),
            (STACK, "terminated", TOLD, "us-west-1", "111122223333", "cloudformation"),
        ),
        (of_stack("CREATE_IN_PROGRESS"), None),
        (of_stack("UPDATE_COMPLETE"), None),
        (of_stack("ROLLBACK_COMPLETE"), None),
        (of_stack("DELETE_FAILED"), None),
        (
            of_execution("RUNNING", None),
            (EXECUTION, "running", BEGAN, "us-east-1", "123456789012", "stepfunctions"),
        ),
        *(
            (
                of_execution(status, 1551225275984),
                (
                    EXECUTION,
                    "terminated",
                    BEGAN.replace(second=35),
                    "us-east-1",
                    "123456789012",
                    "stepfunctions",
                ),
            )
            for status in ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
        ),
    ],
)
def test_reports_are_read_as_aws_makes_them(
    report: dict[str, Any], expected: tuple[Any, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it was so is what AWS says, to the millisecond; what is on its way says nothing."""
    heard: list[tuple[Any, ...]] = []
    monkeypatch.setattr(observing, "gonogo", lambda: None)
    monkeypatch.setattr(
        "gonogo.service.observe.observe",
        lambda _outside, resource, *, region, account, said, said_at, engine: heard.append(
            (resource, said, said_at, region, account, engine)
        ),
    )
    assert observing.handle(messages(report)) == {"batchItemFailures": []}
    assert heard == ([expected] if expected is not None else [])
