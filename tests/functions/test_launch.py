"""Launching once, exactly as approved, whatever is lost, comes twice, or is made up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import Place
from gonogo.service.launch import tags
from local.aws import client
from tests.functions.arriving import again, cue, messages, on_bus, state_change
from tests.functions.faults import CrashError, crashing, on_each_call, refusing, silent
from tests.functions.policy import TWO_MORE_LEADS, gate, person, policy
from tests.functions.world import World


def cleared(launch: Any) -> dict[str, Any]:
    """Return the launcher's cue."""
    return cue(launch["id"], "launch.cleared")


def made_for(world: World, launch: Any) -> list[dict[str, Any]]:
    """Return the instances that carry the launch's tag."""
    wanted = {"Key": "gonogo:launch", "Value": launch["id"]}
    return [one for one in world.instances() if wanted in one.get("Tags", ())]


def told(world: World, launch: Any) -> Counter[str]:
    """Return how often each event is in the launch's history."""
    items = world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev").json["items"]
    return Counter(one["type"] for one in items)


def stored(world: World, launch: Any) -> Launch:
    """Return the launch as the table has it."""
    item = world.gonogo.items.get(Launch, launch["id"])
    assert item is not None
    return item


def how_many_calls(world: World) -> int:
    """Return how many calls the launcher makes for one launch, where something was launched before."""
    again(world, "launch", cleared(world.ask("ops")))
    launch = world.ask("ops")
    with on_each_call() as calls:
        again(world, "launch", cleared(launch))
    assert calls.count("ec2.RunInstances") == 1
    return len(calls)


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_crash_at_any_call_leaves_one_instance(world: World, side: str) -> None:
    """The launcher dies at each call it makes, and comes again: one instance, on record, told once."""
    for number in range(how_many_calls(world)):
        launch = world.ask("ops")
        with on_each_call(**{side: crashing(number)}), pytest.raises(CrashError):
            again(world, "launch", cleared(launch))
        assert again(world, "launch", cleared(launch)) == []
        assert again(world, "launch", cleared(launch)) == []
        (instance,) = made_for(world, launch)
        running = world.read(launch["id"])
        assert (running["state"], [one["id"] for one in running["resources"]]) == (
            "RUNNING",
            [instance["InstanceId"]],
        )
        assert told(world, launch)["launch.started"] == 1
    world.settle()
    assert Counter(one["type"] for one in world.events())["instance.started"] == len(world.instances())


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("operation", ["ec2.RunInstances", "dynamodb.UpdateItem"])
def test_an_answer_that_never_comes_is_no_failure(world: World, side: str, operation: str) -> None:
    """A time-out says nothing of what happened: the same call is made again, and nothing is called failed."""
    launch = world.ask("ops")
    with on_each_call(**{side: silent(operation)}):
        assert again(world, "launch", cleared(launch)) == ["m0"]
    assert told(world, launch)["launch.failed"] == 0
    assert again(world, "launch", cleared(launch)) == []
    assert len(made_for(world, launch)) == 1
    assert world.read(launch["id"])["state"] == "RUNNING"


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError", "Unavailable"])
def test_what_passes_is_waited_for(world: World, code: str) -> None:
    """A throttle of EC2 fails nobody's launch."""
    launch = world.ask("ops")
    with on_each_call(before=refusing("ec2.RunInstances", code, http=503)):
        assert again(world, "launch", cleared(launch)) == ["m0"]
    assert world.read(launch["id"])["state"] == "LAUNCHING"
    assert again(world, "launch", cleared(launch)) == []
    assert len(made_for(world, launch)) == 1


def test_two_launchers_one_within_the_other(world: World) -> None:
    """A second launcher that does all between two calls of the first changes nothing of what comes out."""
    for number in range(how_many_calls(world)):
        launch = world.ask("ops")
        left = [number]

        def meanwhile(
            _operation: str, _parameters: Mapping[str, Any], left: list[int] = left, launch: Any = launch
        ) -> None:
            left[0] -= 1
            if left[0] == -1:
                again(world, "launch", cleared(launch))

        with on_each_call(before=meanwhile):
            again(world, "launch", cleared(launch))
        assert len(made_for(world, launch)) == 1
        assert world.read(launch["id"])["state"] == "RUNNING"
        assert told(world, launch)["launch.started"] == 1


def test_a_late_refusal_is_not_of_the_next_attempt(world: World) -> None:
    """A slow launcher hears no while another has failed, been retried, and begun anew: that is not undone."""
    launch = world.ask("ops")
    stages = ["slow", "fails", "retried"]

    def act(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation != "ec2.RunInstances" or not stages:
            return
        stage = stages.pop(0)
        if stage == "retried":
            raise CrashError
        if stage == "slow":
            again(world, "launch", cleared(launch))
            assert (
                world.call("POST", f"/v1/launches/{launch['id']}/retry", {}, who="ops").json["attempt"] == 2
            )
            with pytest.raises(CrashError):
                again(world, "launch", cleared(launch))
        refusing("ec2.RunInstances", "VcpuLimitExceeded")(operation, parameters)

    with on_each_call(before=act):
        assert again(world, "launch", cleared(launch)) == []
    begun = world.read(launch["id"])
    assert (begun["state"], begun["attempt"]) == ("LAUNCHING", 2)
    again(world, "launch", cleared(launch))
    assert world.read(launch["id"])["state"] == "RUNNING"
    assert len(made_for(world, launch)) == 1


def test_a_lost_cue_is_given_again(world: World) -> None:
    """What was cleared is not launched; five minutes later the same event, by the same id, cues again."""
    launch = world.ask("ops")
    drop(world, "LaunchQueue")
    first = [one for one in world.events() if one["type"] == "launch.cleared"]
    assert world.read(launch["id"])["state"] == "PENDING"
    world.clock.go(minutes=5)
    world.wake()
    world.settle()
    assert [one for one in world.events() if one["type"] == "launch.cleared"] == first
    assert world.read(launch["id"])["state"] == "RUNNING"


def test_a_launcher_that_died_is_followed(world: World) -> None:
    """Killed after RunInstances, before the record, and its message lost: one instance in the end."""
    launch = world.ask("ops")
    with on_each_call(after=_dying_after("ec2.RunInstances")), pytest.raises(CrashError):
        again(world, "launch", cleared(launch))
    drop(world, "LaunchQueue")
    assert (world.read(launch["id"])["state"], len(made_for(world, launch))) == ("LAUNCHING", 1)
    world.clock.go(minutes=5)
    world.wake()
    world.settle()
    assert (world.read(launch["id"])["state"], len(made_for(world, launch))) == ("RUNNING", 1)


def _dying_after(operation: str) -> Any:
    def act(name: str, _parameters: Mapping[str, Any]) -> None:
        if name == operation:
            raise CrashError

    return act


def drop(world: World, queue: str) -> None:
    """Let everything arrive but at one queue, whose messages are lost."""
    lost = world.stack.look(queue, None)
    kept = [pump for pump in world.pumps if getattr(pump, "_url", None) != lost]
    every, world.pumps = world.pumps, kept
    world.settle()
    list(world.messages(lost))
    world.pumps = every


def test_a_lost_change_is_asked_for_again(world: World) -> None:
    """A terminate whose message is lost still comes about: what costs must end."""
    launch = world.ask("ops")
    world.settle()
    world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="ops")
    drop(world, "LaunchQueue")
    assert len(world.instances("running")) == 1
    world.clock.go(minutes=5)
    world.wake()
    world.settle()
    assert (world.read(launch["id"])["state"], world.instances("running")) == ("TERMINATED", [])


def test_authority_that_is_lost_opens_the_gate_again(world: World) -> None:
    """Who may not say go any more has not said go: the gate opens again, says so, and asks the others."""
    world.publish(policy(TWO_MORE_LEADS))
    launch = world.ask()
    assert world.decide(launch, "lead", "lead").json["state"] == "PENDING"
    world.publish(policy(TWO_MORE_LEADS, without=("lead",)))
    world.settle()
    waits = world.read(launch["id"])
    (lead,) = waits["gates"]
    assert (waits["state"], lead["state"], lead["round"], lead["approvals"]) == (
        "PENDING_APPROVAL",
        "OPEN",
        2,
        0,
    )
    assert lead["decisions"][0]["void"] == "may decide this gate no longer"
    assert world.instances() == []
    assert "lead" not in [one["subject"] for one in lead["approvers"]]
    answer = world.call("POST", "/v1/decisions", {"token": world.token("lead2"), "verdict": "approve"})
    assert answer.json["state"] == "PENDING"
    world.settle()
    assert world.read(launch["id"])["state"] == "RUNNING"
    started = next(one for one in world.events() if one["type"] == "launch.started")
    assert [one["subject"] for one in started["data"]["approvers"]] == ["lead2"]


def test_who_may_not_ask_any_more_gets_nothing(world: World) -> None:
    """The requester left between the approval and the launch: it fails, and says why."""
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    world.publish(policy(person("eve", "developers"), without=("dev",)))
    world.settle()
    failed = world.read(launch["id"], who="eve")
    assert (failed["state"], failed["failure"]["code"]) == ("FAILED", "NotPermitted")
    assert world.instances() == []


def test_a_stricter_rule_stops_what_needed_no_gate(world: World) -> None:
    """An operator's launch is judged again when it begins; a gate asked for by then was not passed."""
    launch = world.ask("ops")
    files = policy(rules='@id("not at once") forbid (principal, action == Action::"launch", resource);')
    world.publish(files)
    world.settle()
    assert world.read(launch["id"])["failure"]["code"] == "NotPermitted"
    assert world.instances() == []


def tampered(world: World, launch: Any, **changed: Any) -> None:
    """Write other attributes into the stored launch, past gonogo."""
    client("dynamodb").update_item(
        TableName=world.gonogo.settings.table,
        Key={"pk": {"S": f"launch#{launch['id']}"}, "sk": {"S": "launch"}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changed),
        ExpressionAttributeNames={f"#{name}": name for name in changed},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in changed.items()},
    )


def other_plan(world: World, launch: Any) -> str:
    """Return the launch's question with a dearer machine in it."""
    return msgspec.json.encode(stored(world, launch).question).decode().replace("t3.micro", "p4d.24xlarge")


@pytest.mark.parametrize("claimed", [False, True])
def test_another_plan_than_the_approved_one_is_not_launched(world: World, claimed: bool) -> None:  # noqa: FBT001
    """Whoever can write the table still launches nothing that was not approved, not even after a crash."""
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    if claimed:
        with on_each_call(before=_dying_after("ec2.RunInstances")), pytest.raises(CrashError):
            again(world, "launch", cleared(launch))
    tampered(world, launch, question=other_plan(world, launch))
    again(world, "launch", cleared(launch))
    assert world.instances() == []
    assert world.read(launch["id"])["failure"]["code"] == "DigestMismatch"


def test_another_digest_than_the_approved_one_is_not_launched(world: World) -> None:
    """A plan with a digest that fits is still not the one that anybody said go for."""
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    question = msgspec.json.decode(other_plan(world, launch), type=type(stored(world, launch).question))
    tampered(world, launch, question=other_plan(world, launch), digest=question.digest)
    again(world, "launch", cleared(launch))
    assert world.instances() == []


@pytest.mark.parametrize("kind", ["launch.cleared", "launch.change_requested", "launch.started"])
def test_a_forged_cue_launches_nothing(world: World, kind: str) -> None:
    """Whoever can put a message into our queue has not thereby said go."""
    waiting = world.ask()
    rejected = world.ask()
    world.decide(rejected, "lead", "lead", "reject")
    before = world.rows()
    for launch in (waiting, rejected, {"id": "l-none"}):
        forged = {**cue(launch["id"], kind, 99), "data": {"approvers": ["ops"], "wanted": "terminate"}}
        assert again(world, "launch", forged) == []
    assert world.rows() == before
    assert world.instances() == []


def test_a_message_that_is_none_harms_no_other(world: World) -> None:
    """Of a batch, only what cannot be read comes again."""
    launch = world.ask("ops")
    broken: list[Any] = [{}, {"detail": 7}, {"detail": {"type": "launch.cleared"}}, []]
    for at in range(len(broken) + 1):
        batch = messages(*broken[:at], on_bus(cleared(launch)), *broken[at:])
        answer = world.invoke("launch", batch)
        again_ = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        assert again_ == {f"m{n}" for n in range(5)} - {f"m{at}"}
    raw = {
        "Records": [
            {"messageId": "x", "body": "{"},
            {"messageId": "y", "body": messages(on_bus(cleared(launch)))["Records"][0]["body"]},
        ]
    }
    assert world.invoke("launch", raw) == {"batchItemFailures": [{"itemIdentifier": "x"}]}
    assert len(made_for(world, launch)) == 1


# What becomes of instances


def test_an_instance_with_our_tag_and_a_wrong_token_is_not_ours(world: World) -> None:
    """Anybody may tag an instance; only the launcher knows what token it asks with."""
    launch = world.ask("ops")
    item = stored(world, launch)
    forged = client("ec2").run_instances(
        ImageId=launch["plan"]["spec"]["image_id"],
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        ClientToken="g-" + "a" * 50,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags(item).items()],
            }
        ],
    )["Instances"][0]["InstanceId"]
    with on_each_call(before=_dying_after("ec2.RunInstances")), suppress(CrashError):
        again(world, "launch", cleared(launch))
    assert world.read(launch["id"])["state"] == "LAUNCHING"
    assert observed(world, forged, "running") == []
    assert world.gonogo.items.get(Instance, forged) is None
    world.settle()
    again(world, "launch", cleared(launch))
    world.settle()
    running = world.read(launch["id"])
    assert forged not in [one["id"] for one in running["resources"]]
    told_of = {one["data"]["instance"] for one in world.events() if one["type"].startswith("instance.")}
    assert told_of == {one["id"] for one in running["resources"]}


def observed(world: World, instance: str, state: str, time: str = "2026-11-23T09:00:00Z") -> list[str]:
    """Hand one state change to `observe`, and return the messages that it wants again."""
    answer = world.invoke("observe", messages(state_change(instance, state, time)))
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_news_of_an_instance_before_its_record(world: World) -> None:
    """EC2 may be faster than our own record: what comes too early comes again, and is matched then."""
    launch = world.ask("ops")
    with on_each_call(after=_dying_after("ec2.RunInstances")), pytest.raises(CrashError):
        again(world, "launch", cleared(launch))
    (instance,) = made_for(world, launch)
    assert instance["ClientToken"] == stored(world, launch).client_token()
    assert observed(world, instance["InstanceId"], "running") == ["m0"]
    again(world, "launch", cleared(launch))
    assert observed(world, instance["InstanceId"], "running") == []
    assert [one["state"] for one in world.read(launch["id"])["resources"]] == ["running"]
    world.settle()
    assert Counter(one["type"] for one in world.events())["instance.started"] == 1


WHEN = {
    **dict.fromkeys(("pending", "running"), "2026-11-23T09:00:00Z"),
    **dict.fromkeys(("stopping", "stopped"), "2026-11-23T09:30:00Z"),
    "terminated": "2026-11-23T10:00:00Z",
}
"""When each state was come into: an event that comes again says the same."""


def test_news_that_come_twice_and_in_any_order(world: World) -> None:
    """Each start, stop and end is told once, whatever EC2's messages do on their way."""
    launch = world.ask("ops")
    world.settle()
    (instance,) = made_for(world, launch)
    name = instance["InstanceId"]
    for _ in range(3):
        assert observed(world, name, "running") == []
    world.clock.go(minutes=30)
    client("ec2").stop_instances(InstanceIds=[name])
    for state in ("running", "stopped", "running", "stopping", "stopped", "pending"):
        assert observed(world, name, state, WHEN[state]) == []
    world.settle()
    assert world.read(launch["id"])["state"] == "STOPPED"
    world.clock.go(minutes=30)
    client("ec2").terminate_instances(InstanceIds=[name])
    for state in ("terminated", "stopped", "running", "terminated"):
        assert observed(world, name, state, WHEN[state]) == []
    world.settle()
    assert world.read(launch["id"])["state"] == "TERMINATED"
    heard = [one["type"] for one in world.events() if one["subject"] == name]
    assert heard == ["instance.started", "instance.stopped", "instance.terminated"]


def test_an_old_message_while_the_instance_is_on_its_way(world: World) -> None:
    """An old start that comes again while the stopped instance is being ended is no start of today."""
    launch = world.ask("ops")
    world.settle()
    (instance,) = made_for(world, launch)
    name = instance["InstanceId"]
    client("ec2").stop_instances(InstanceIds=[name])
    observed(world, name, "stopped", "2026-11-23T10:00:00Z")
    observer = world.gonogo.observer("ec2")
    assert observer is not None
    seen = observer.look(name, Place("us-east-1"))
    assert seen is not None
    observer.look = lambda *_: msgspec.structs.replace(seen, state=None)  # type: ignore[method-assign]
    observed(world, name, "running", "2026-11-23T09:00:00Z")
    assert world.read(launch["id"])["state"] == "STOPPED"
    observed(world, name, "running", "2026-11-23T11:00:00Z")
    assert world.read(launch["id"])["state"] == "RUNNING"


def test_strangers_instances_are_passed_over(world: World) -> None:
    """Every instance of the account is in EC2's news; what is not ours leaves no trace, and no retry."""
    stranger = client("ec2").run_instances(
        ImageId=world.ask()["plan"]["spec"]["image_id"], InstanceType="t3.micro", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    before = world.rows()
    for name in (stranger, "i-0123456789abcdef0", "nonsense"):
        for state in ("running", "stopped", "terminated"):
            assert observed(world, name, state) == []
    assert world.rows() == before


def test_what_ec2_is_believed_not_the_message(world: World) -> None:
    """A forged end of an instance that runs is not the end of what it costs: EC2 is asked again, then people look."""
    launch = world.ask("ops")
    world.settle()
    (instance,) = made_for(world, launch)
    before = world.rows()
    for said in ("terminated", "stopped"):
        assert observed(world, instance["InstanceId"], said, "2026-11-23T09:00:01Z") == ["m0"]
    assert world.rows() == before


def test_an_instance_ended_behind_our_back(world: World) -> None:
    """Who ends it in the console ends the launch: what is paid for is what runs."""
    launch = world.ask("ops", parameters={"count": 2})
    world.settle()
    first, second = made_for(world, launch)
    client("ec2").terminate_instances(InstanceIds=[first["InstanceId"]])
    world.settle()
    assert world.read(launch["id"])["state"] == "RUNNING"
    client("ec2").terminate_instances(InstanceIds=[second["InstanceId"]])
    world.settle()
    assert world.read(launch["id"])["state"] == "TERMINATED"
    assert Counter(one["type"] for one in world.events())["launch.terminated"] == 1


def test_one_that_cannot_be_woken_strands_no_other(world: World) -> None:
    """A poisoned item among those whose time has come harms only itself."""
    poisoned = [world.ask() for _ in range(4)]
    for one in poisoned:
        tampered(world, one, question="{")
    world.clock.go(minutes=1)
    launches = [world.ask() for _ in range(4)]
    world.clock.go(days=3)
    with pytest.raises(ExceptionGroup):
        world.wake()
    assert {world.read(one["id"])["state"] for one in launches} == {"EXPIRED"}


def test_reopening_of_two_stages_asks_the_first_first(world: World) -> None:
    """If both stages lost their deciders, finance is not asked before the leads have answered anew."""
    more = person("lead2", "leads") + person("finance2", "finance")
    world.publish(policy(more, lead=gate("lead"), finance=gate("finance", stage=2)))
    launch = world.ask(template="gpu-large")
    world.decide(launch, "lead", "lead")
    world.decide(launch, "finance", "finance")
    world.publish(policy(more, without=("lead", "finance")))
    world.settle()
    assert [one["state"] for one in world.read(launch["id"])["gates"]] == ["OPEN", "WAITING"]
    assert [len(world.mails(who)) > 0 for who in ("lead2", "finance2")] == [True, False]


def test_nobody_can_reckon_the_client_token(world: World) -> None:
    """Whoever could, and may run instances, would have theirs taken for what was approved."""
    launch = world.ask()
    token = stored(world, launch).client_token()
    shown = json.dumps([launch, world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev").json])
    world.settle()
    nonce = stored(world, launch).nonce
    assert len(nonce) == 32
    assert nonce not in shown
    assert nonce not in json.dumps(world.events())
    assert token != stored(world, launch).changed(nonce="").client_token()
