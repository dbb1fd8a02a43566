"""Every call that an engine makes is broken in every way, and the cue comes again: one of everything, on record."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from moto.cloudformation.models import cloudformation_backends

from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.service import change, identity
from local.aws import ACCOUNT, REGION, client
from tests.contract.engines import POINTS, Launcher, bundle, cloud, sweep
from tests.functions.faults import Act

NO_SUBNET = """
Parameters: {Site: {Type: String}}
Resources:
  First: {Type: "AWS::SQS::Queue"}
  Net: {Type: "AWS::EC2::Subnet", Properties: {VpcId: vpc-0123456789abcdef0, CidrBlock: 10.0.0.0/24}}
"""
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """Give a launcher, and a state machine with a version."""
    with cloud():
        files = bundle(broken=NO_SUBNET)
        files["templates/broken.toml"] = files["templates/site.toml"].replace("site.yaml", "broken.yaml")
        client("stepfunctions").create_state_machine(
            name="nightly",
            definition='{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 60, "End": true}}}',
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/nightly",
            publish=True,
        )
        yield Launcher(files)


def stacks(launch: Launch) -> list[dict[str, Any]]:
    """Return all stacks that were ever made with the launch's tag, deleted ones too."""
    backend = cloudformation_backends[ACCOUNT][REGION]
    every = [*backend.stacks.values(), *backend.deleted_stacks.values()]
    return [
        {"id": one.stack_id, "status": one.status}
        for one in every
        if one.tags.get("gonogo:launch") == launch.id
    ]


def told(launch: Launch, kind: str) -> int:
    """Return how often an event is in a launch's history."""
    return sum(one.type == kind for one in launch.history)


def forget_tokens(name: str, _parameters: Mapping[str, Any]) -> None:
    """Let CloudFormation know a stack by its name alone, as if the token had been forgotten."""
    if name == "cloudformation.CreateStack":
        for one in cloudformation_backends[ACCOUNT][REGION].stacks.values():
            vars(one).pop("made_with", None)


def nothing(_name: str, _parameters: Mapping[str, Any]) -> None:
    """Leave all as it is."""


def both(first: Act, then: Act) -> Act:
    """Return what does one after the other."""

    def act(name: str, parameters: Mapping[str, Any]) -> None:
        first(name, parameters)
        then(name, parameters)

    return act


@pytest.mark.parametrize("meanwhile", [nothing, forget_tokens], ids=["token", "name"])
def test_whatever_goes_wrong_a_stack_is_made_once(
    launcher: Launcher, meanwhile: Act, record_property: Callable[[str, object], None]
) -> None:
    """By its token, and where that is forgotten by its name: the same stack is adopted, and recorded once."""

    def play(launch: Launch, broken: Mapping[str, Act]) -> list[str]:
        calls = launcher.cue(launch, **{**broken, "before": both(meanwhile, broken.get("before", nothing))})
        meanwhile("cloudformation.CreateStack", {})
        launcher.until_over(launch)
        return calls

    def wrongs(launch: Launch) -> list[str]:
        after, made = launcher.now(launch), stacks(launch)
        found = []
        if [one["status"] for one in made] != ["CREATE_COMPLETE"]:
            found.append(f"stacks {made}")
        if [one.id for one in after.resources] != [one["id"] for one in made]:
            found.append(f"on record is {after.resources}")
        if (after.state, told(after, "launch.started")) != (State.RUNNING, 1):
            found.append(f"{after.state} {after.failure}")
        return found

    tried, troubled = sweep(lambda: launcher.ask("site", site=f"site-{next(NUMBERS)}"), play, wrongs)
    record_property(POINTS, tried)
    assert troubled == {}


def test_whatever_goes_wrong_while_a_stack_is_made_it_is_waited_for(
    launcher: Launcher, record_property: Callable[[str, object], None]
) -> None:
    """A stack takes minutes: each look at it may fail, and none makes another one."""

    def play(launch: Launch, broken: Mapping[str, Act]) -> list[str]:
        def in_progress(name: str, _parameters: Mapping[str, Any]) -> None:
            if name == "cloudformation.CreateStack":
                for one in cloudformation_backends[ACCOUNT][REGION].stacks.values():
                    if one.tags.get("gonogo:launch") == launch.id:
                        one.status = "CREATE_IN_PROGRESS"

        calls = launcher.cue(launch, after=in_progress)
        calls += launcher.cue(launch, **broken)
        if launcher.now(launch).state is not State.LAUNCHING:
            return ["it was not waited for"]
        for one in cloudformation_backends[ACCOUNT][REGION].stacks.values():
            one.status = "CREATE_COMPLETE"
        launcher.until_over(launch)
        return calls[len(calls) // 2 :]

    def wrongs(launch: Launch) -> list[str]:
        after, made = launcher.now(launch), stacks(launch)
        said = (after.state, told(after, "launch.started"), [one.id for one in after.resources])
        return (
            [] if said == (State.RUNNING, 1, [one["id"] for one in made]) and len(made) == 1 else [str(said)]
        )

    tried, troubled = sweep(lambda: launcher.ask("site", site=f"site-{next(NUMBERS)}"), play, wrongs)
    record_property(POINTS, tried)
    assert troubled == {}


def test_whatever_goes_wrong_a_stack_that_rolled_back_is_deleted_and_told(
    launcher: Launcher, record_property: Callable[[str, object], None]
) -> None:
    """Why it failed is on record before it is deleted, so that nothing makes it anew."""

    def play(launch: Launch, broken: Mapping[str, Act]) -> list[str]:
        calls = launcher.cue(launch, **broken)
        launcher.until_over(launch)
        return calls

    def wrongs(launch: Launch) -> list[str]:
        after, made = launcher.now(launch), stacks(launch)
        found = []
        if [one["status"] for one in made] != ["DELETE_COMPLETE"]:
            found.append(f"stacks {made}")
        if after.state is not State.FAILED or after.failure is None or "vpc-0" not in after.failure.message:
            found.append(f"{after.state} {after.failure}")
        if list(after.rolled_back) != [one["id"] for one in made] or after.resources:
            found.append(f"rolled back {after.rolled_back}, on record {after.resources}")
        if (told(after, "launch.attempt_failed"), told(after, "launch.failed")) != (1, 1):
            found.append("told otherwise than once")
        return found

    tried, troubled = sweep(lambda: launcher.ask("broken", site=f"site-{next(NUMBERS)}"), play, wrongs)
    record_property(POINTS, tried)
    assert troubled == {}


def ended_meanwhile(name: str, _parameters: Mapping[str, Any]) -> None:
    """Let every execution end before it is asked for again."""
    if name == "stepfunctions.StartExecution":
        states = client("stepfunctions")
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:nightly"
        for one in states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
            states.stop_execution(executionArn=one["executionArn"])


@pytest.mark.parametrize("meanwhile", [nothing, ended_meanwhile], ids=["runs", "ended"])
def test_whatever_goes_wrong_an_execution_is_started_once(
    launcher: Launcher, meanwhile: Act, record_property: Callable[[str, object], None]
) -> None:
    """While it runs the same call gives it; once it has ended it is looked at, and adopted all the same."""

    def play(launch: Launch, broken: Mapping[str, Act]) -> list[str]:
        calls = launcher.cue(launch, **broken)
        meanwhile("stepfunctions.StartExecution", {})
        launcher.until_over(launch)
        return calls

    def wrongs(launch: Launch) -> list[str]:
        after = launcher.now(launch)
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:nightly"
        every = client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
        made = [one["executionArn"] for one in every if one["name"] == launch.client_token()]
        said = (after.state, told(after, "launch.started"), [one.id for one in after.resources])
        return [] if said == (State.RUNNING, 1, made) and len(made) == 1 else [f"{said} {after.failure}"]

    tried, troubled = sweep(lambda: launcher.ask("nightly"), play, wrongs)
    record_property(POINTS, tried)
    assert troubled == {}


@pytest.mark.parametrize("template", ["site", "nightly"])
def test_whatever_goes_wrong_it_is_terminated(
    launcher: Launcher, template: str, record_property: Callable[[str, object], None]
) -> None:
    """Deleting and aborting may be asked twice; neither touches anything else."""

    def ask() -> Launch:
        given = {"site": f"site-{next(NUMBERS)}"} if template == "site" else {}
        launch = launcher.until_over(launcher.ask(template, **given))
        ops = identity.sign_in(launcher.outside, "Bearer ops")
        return change.change(launcher.outside, ops, launch.id, "terminate")

    def play(launch: Launch, broken: Mapping[str, Act]) -> list[str]:
        calls = launcher.cue(launch, **broken)
        launcher.cue(launch)
        return calls

    def wrongs(launch: Launch) -> list[str]:
        (resource,) = launcher.now(launch).resources
        eyes = launcher.outside.observer(launch.question.plan.engine)
        assert eyes is not None
        seen = eyes.look(resource.id, launch.question.plan.place)
        return [] if seen is not None and seen.state == "terminated" else [str(seen)]

    tried, troubled = sweep(ask, play, wrongs)
    record_property(POINTS, tried)
    assert troubled == {}
