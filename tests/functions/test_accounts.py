"""A launch in another account and region: by the roles of its template, and noted by what that account tells."""

from __future__ import annotations

from collections import Counter
from typing import Any

import boto3
from moto.sts.models import sts_backends

from gonogo.core.instance import Instance
from tests.core.builders import policy_files
from tests.functions.quick import image
from tests.functions.world import World

OTHER, REGION = "210987654321", "eu-west-1"
ROLE, OBSERVER = (f"arn:aws:iam::{OTHER}:role/gonogo/{name}" for name in ("launcher", "observer"))
ACCOUNT = f"""
[account]
role = "{ROLE}"
observer = "{OBSERVER}"
external_id = "gonogo-1"
"""


def template(text: str) -> str:
    """Return web-small, in the other account, by the newest version of a launch template there."""
    head, spec = text.split("[spec]")
    kept = [line for line in spec.splitlines() if not line.startswith(("image_id", "instance_type"))]
    named = f'launch_template = {{ id = "{made_there()}", version = "$Latest" }}'
    return "\n".join((head.replace('"us-east-1"', f'"{REGION}"'), ACCOUNT, "[spec]", named, *kept))


def there(service: str) -> Any:
    """Return a client of the other account."""
    given = boto3.client("sts", region_name="us-east-1").assume_role(
        RoleArn=f"arn:aws:iam::{OTHER}:role/owner", RoleSessionName="owner"
    )["Credentials"]
    make: Any = boto3.client
    return make(
        service,
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def made_there() -> str:
    """Make a launch template in the other account, and return its id."""
    made = there("ec2").create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": image(REGION), "InstanceType": "t3.small"}
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def instances() -> dict[str, str]:
    """Return the instances of the other account, and their states."""
    found = there("ec2").describe_instances()["Reservations"]
    return {one["InstanceId"]: one["State"]["Name"] for each in found for one in each["Instances"]}


def assumed() -> set[tuple[str, str, str]]:
    """Return the roles that gonogo has assumed there: role, external id, and as whom."""
    every = [one for one in sts_backends[OTHER]["aws"].assumed_roles if one.session_name != "owner"]
    return {(one.role_arn, one.external_id, one.session_name) for one in every}


def test_it_is_launched_seen_and_ended_there(world: World) -> None:
    """One set of instances in that account and region, none in gonogo's own; each start and end is told."""
    prices = '[hourly.ec2.eu-west-1]\n"t3.small" = "0.0228"\n'
    world.publish(policy_files(web_small=template, prices=lambda text: f"{text}\n{prices}"))
    launched = world.ask("ops", parameters={"count": 2})
    assert assumed() == {(OBSERVER, "gonogo-1", "gonogo-observer")}
    world.settle()
    running = world.read(launched["id"], "ops")
    assert running["state"] == "RUNNING"
    assert instances() == {one["id"]: "running" for one in running["resources"]}
    assert {one["state"] for one in running["resources"]} == {"running"}
    assert (len(instances()), world.instances()) == (2, [])
    world.clock.go(hours=1)
    world.call("POST", f"/v1/launches/{launched['id']}/terminate", who="ops")
    world.settle()
    assert world.read(launched["id"], "ops")["state"] == "TERMINATED"
    assert set(instances().values()) == {"terminated"}
    told = [one for one in world.events() if one["type"].startswith("instance.")]
    assert Counter(one["type"] for one in told) == {"instance.started": 2, "instance.terminated": 2}
    assert {(one["data"]["account"], one["data"]["region"]) for one in told} == {(OTHER, REGION)}
    assert {(one["data"]["instance_type"], one["data"]["hourly"]) for one in told} == {("t3.small", "0.0228")}
    known = world.gonogo.items.get_many(Instance, list(instances()))
    assert {name: one.place.account and one.place.account.number for name, one in known.items()} == (
        dict.fromkeys(instances(), OTHER)
    )
    assert assumed() == {(ROLE, "gonogo-1", "gonogo-role"), (OBSERVER, "gonogo-1", "gonogo-observer")}
