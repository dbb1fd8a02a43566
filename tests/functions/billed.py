"""A month that a biller can look at: launches that lived, failed, ran on or were corrected, and one nobody asked for.

They begin on Friday, 27 November 2026, at nine; afterwards it is 2 December.
"""

from __future__ import annotations

from typing import Any

import msgspec

from local.aws import client
from tests.functions.arriving import messages, state_change
from tests.functions.faults import on_each_call, refusing
from tests.functions.world import World

NAME = "=HYPERLINK(1)"
"""A launch's name that a spreadsheet would take for a formula."""
MONTH = "2026-11"


class Month(msgspec.Struct, frozen=True):
    """The launches, and all that our own subscriber heard of them."""

    world: World
    fair: str
    """Two instances of marketing, from 09:20 to 12:51."""
    steady: str
    """One of 4711 that runs from 09:20 on; a stop from 12:00 to 12:30 is heard of late, one at 15:00 in December."""
    failed: str
    """Approved, and refused by EC2."""
    late: str
    """One of marketing for an hour from 09:20, that nobody could terminate before 12:51."""
    stray: str
    heard: list[dict[str, Any]]

    def told(self, kind: str = "usage.recorded") -> list[dict[str, Any]]:
        """Return what was told on the bus of this kind, the first of each id."""
        return [one["data"] for one in {one["id"]: one for one in self.heard}.values() if one["type"] == kind]


def lived(world: World) -> Month:
    """Let the month happen."""
    world.clock.go(days=4)
    fair = world.ask(name=NAME, parameters={"count": 2})
    steady, failed, late = world.ask(cost_center="4711"), world.ask(), world.ask(lease="1h")
    world.settle()
    world.clock.go(minutes=20)
    for launch in (fair, steady, late):
        assert world.decide(launch, "lead", "lead").code == 200
    world.settle()
    with on_each_call(before=refusing("ec2.RunInstances", "InstanceLimitExceeded", "No more.")):
        world.decide(failed, "lead", "lead")
        world.settle()
    stray = _run_by_hand(world)
    world.clock.go(hours=1, minutes=1)
    with on_each_call(before=refusing("ec2.TerminateInstances", "UnsupportedOperation", "Not this one.")):
        world.wake()
        world.settle()
    instance = world.read(steady["id"])["resources"][0]["id"]
    world.clock.go(hours=1, minutes=39)
    _rest_unheard(world, instance, minutes=30)
    world.clock.go(minutes=21)
    for launch in (fair, late):
        answer = world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="dev")
        assert answer.code == 202, answer.text
    world.settle()
    world.clock.go(hours=1)
    _hear(world, instance, ("stopped", "12:00"), ("running", "12:30"))
    world.clock.go(hours=1, minutes=9)
    _rest_unheard(world, instance, minutes=10)
    world.clock.go(days=4, hours=18, minutes=41)
    world.wake()
    world.settle()
    _hear(world, instance, ("stopped", "15:00"), ("running", "15:10"))
    return Month(world, fair["id"], steady["id"], failed["id"], late["id"], stray=stray, heard=world.events())


def _run_by_hand(world: World) -> str:
    """Run an instance that nobody approved, with a tag that says that somebody did."""
    tag = {"Key": "gonogo:launch", "Value": "l-nobody"}
    made = client("ec2").run_instances(
        ImageId=world.instances("running")[0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.micro",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [tag]}],
    )
    return str(made["Instances"][0]["InstanceId"])


def _rest_unheard(world: World, instance: str, minutes: int) -> None:
    """Let an instance be stopped for so long, by somebody else, and all that tells of it be lost."""
    client("ec2").stop_instances(InstanceIds=[instance])
    world.clock.go(minutes=minutes)
    client("ec2").start_instances(InstanceIds=[instance])


def _hear(world: World, instance: str, *told: tuple[str, str]) -> None:
    """Hear late what an instance did on the 27th."""
    events = [
        {"account": "123456789012", **state_change(instance, state, f"2026-11-27T{at}:00Z")}
        for state, at in told
    ]
    assert world.invoke("observe", messages(*events)) == {"batchItemFailures": []}
    world.settle()
