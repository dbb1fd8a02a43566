"""The road through every function: all that gonogo ever asks AWS for, in one world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gonogo.aws.clients import assumed
from gonogo.aws.engines import cloudformation, stepfunctions
from gonogo.core.budget import Ledger, hold, ledger_id
from gonogo.core.errors import LaterError
from gonogo.core.launch import Launch
from gonogo.core.watch import Stray
from gonogo.service import launch as service
from infra.package import PROJECT
from local import template as templates
from local.aws import ACCOUNT, REGION, client
from local.stack import Stack
from tests.functions.world import FUNCTIONS, ISSUER, PARAMETERS, World, example

ELSEWHERE = "210987654321"
LAUNCHES, LOOKS = (f"arn:aws:iam::{ELSEWHERE}:role/gonogo-{part}" for part in ("launch", "observer"))
SECRET = "said-by-nobody-else"
MACHINE = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:batch"
STACK = PARAMETERS | {
    "Anchors": "on",
    "InstanceRoleArns": f"arn:aws:iam::{ACCOUNT}:role/web",
    "LaunchRoleArns": LAUNCHES,
    "ObserverRoleArns": LOOKS,
    "StackRoleArns": f"arn:aws:iam::{ACCOUNT}:role/stacks",
    "StateMachineArns": MACHINE,
}
ABROAD = {"LaunchRegions": "us-east-1,eu-west-1"}
ACCOUNT_STACK = {
    "GonogoLaunchRoleArn": f"arn:aws:iam::{ACCOUNT}:role/launch",
    "GonogoObserverRoleArns": f"arn:aws:iam::{ACCOUNT}:role/observe",
    "ExternalId": SECRET,
}


def files() -> dict[str, str]:
    """Return the example policy, with a lead who is reached by webhook too, and a template with a role."""
    found = example()
    found["people.toml"] = found["people.toml"].replace(
        'mail = "lead@example.com"',
        'mail = "lead@example.com"\n'
        'webhook = { url = "https://hooks.example.com/lead", secret = "lead", private = true }',
    )
    found["templates/web-role.toml"] = (
        found["templates/web-small.toml"]
        + 'instance_profile_arn = "arn:aws:iam::123456789012:instance-profile/web"\n'
        + 'key_name = "operators"\n'
    )
    small = found["templates/web-small.toml"]
    found["templates/web-abroad.toml"] = small.replace("us-east-1", "eu-west-1")
    account = f'account = {{ role = "{LAUNCHES}", observer = "{LOOKS}", external_id = "{SECRET}" }}'
    found["templates/web-elsewhere.toml"] = small.replace("region =", f"{account}\nregion =")
    found["templates/queue.toml"] = QUEUE
    found["stacks/queue.yaml"] = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n"
    found["templates/batch.toml"] = BATCH
    found["templates/batch-by-alias.toml"] = BATCH.replace(":batch", ":batch:live")
    found["prices.toml"] += PRICES
    return found


QUEUE = f"""
title = "A queue"
engine = "cloudformation"
region = "us-east-1"
lease = {{ default = "1d", max = "2d" }}
parameters = {{}}
[spec]
template = "stacks/queue.yaml"
units = [{{ kind = "queue" }}]
role_arn = "arn:aws:iam::{ACCOUNT}:role/stacks"
"""
BATCH = f"""
title = "A batch"
engine = "stepfunctions"
region = "us-east-1"
lease = {{ default = "1d", max = "2d" }}
parameters = {{}}
[spec]
state_machine_arn = "{MACHINE}"
units = [{{ kind = "batch" }}]
"""
PRICES = """
[hourly.ec2.eu-west-1]
"t3.micro" = "0.0114"
[hourly.cloudformation.us-east-1]
queue = "0.01"
[hourly.stepfunctions.us-east-1]
batch = "0.02"
"""


@contextmanager
def starting(made: World, name: str, bundles: dict[str, Any]) -> Iterator[None]:
    """Let a function begin as a process of its own does: with nothing that another has taken, made or read."""
    for kept in ("_engines", "_observers", "_resolvers"):
        vars(made.gonogo).get(kept, {}).clear()
    vars(made.gonogo.policies)["_ready"] = bundles.setdefault(name, {})
    with made.guard.acting(FUNCTIONS[name]):
        yield


def walk(made: World) -> None:
    """Go every road that asks AWS for something, each function as a process of its own."""
    bundles: dict[str, Any] = {}
    made.around = lambda name: starting(made, name, bundles)
    _walk(made)


def _walk(made: World) -> None:
    client("ssm").put_parameter(Name="/gonogo/webhooks/lead", Value="whsec_c2VjcmV0", Type="SecureString")
    client("iam").create_instance_profile(InstanceProfileName="web")
    launch = made.ask(template="web-role")
    made.settle()
    made.call("GET", "/v1/inbox", who="lead")
    made.call("POST", "/v1/decisions", {"token": made.token("lead"), "verdict": "approve"})
    made.settle()
    for command in ("stop", "start"):
        made.call("POST", f"/v1/launches/{launch['id']}/{command}", {}, who="dev")
        made.settle()
    made.call("GET", f"/v1/launches/{launch['id']}/events", who="dev")
    made.call("GET", "/v1/launches", who="dev")
    made.call("GET", "/v1/launches?state=RUNNING", who="dev")
    made.call("GET", f"/v1/usage?month={made.clock():%Y-%m}", who="ops")
    made.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="dev")
    made.settle()

    by_hook = made.ask()
    made.settle()
    token = made.posted.posts[-1]["body"]["data"]["token"]
    made.call("POST", "/v1/decisions", {"token": token, "verdict": "approve"})
    made.settle()

    forgotten = made.ask()
    made.posted.fail = LaterError("nobody listens")
    made.settle()
    made.call("GET", f"/v1/launches/{forgotten['id']}/deliveries", who="dev")
    (waits, *_) = made.call("GET", "/v1/deliveries?trouble=waiting", who="dev").json["items"]
    for _ in range(4):
        assert made.call("POST", f"/v1/deliveries/{waits['id']}/redeliver", {}, who="dev").code == 202
        made.settle()
    for minutes in (2, 6, 16, 61, *[5 * 24 * 60] * 2):
        made.clock.go(minutes=minutes)
        made.wake()
        made.settle()
    assert made.read(forgotten["id"])["state"] == "EXPIRED"
    assert made.read(by_hook["id"])["state"] == "RUNNING"
    assert made.read(launch["id"])["state"] == "TERMINATED"

    through_gates(made)
    to_other_places(made)
    by_launch_template(made)
    by_other_engines(made)
    extended(made)
    looking_over(made)

    adopted = made.ask("ops")
    pretend_launched(made, adopted["id"])
    made.settle()
    assert made.read(adopted["id"])["state"] == "RUNNING"

    made.invoke("publish", {"Records": [{"dynamodb": POISON}]})
    _in_another_epoch(made)


def _in_another_epoch(made: World) -> None:
    """Find what a restore lost: launches of each engine wait, and a place is looked over that nobody watched."""
    for name in ("web-small", "queue", "batch"):
        made.ask("ops", name)
    table = made.gonogo.settings.table
    for raw in client("dynamodb").scan(TableName=table)["Items"]:
        if raw["sk"]["S"] == "watch":
            client("dynamodb").delete_item(TableName=table, Key={"pk": raw["pk"], "sk": raw["sk"]})
    made.gonogo.settings = msgspec.structs.replace(made.gonogo.settings, epoch=2)
    for kept in ("items", "passed", "policies"):
        vars(made.gonogo).pop(kept, None)
    for _ in range(3):
        made.wake()
        made.clock.go(minutes=6)
    assert made.gonogo.passed.lost() is not None


def through_gates(made: World) -> None:
    """Go the roads of budgets, of a broken glass, of somebody who stands in, and of another policy."""
    made.posted.fail = None
    waiting = made.ask()
    made.settle()
    later: dict[str, Any] = {"to": {"issuer": ISSUER, "subject": "finance"}, "until": "2026-12-10T00:00:00Z"}
    later["since"] = (made.clock() + timedelta(hours=1)).isoformat()
    assert made.call("PUT", "/v1/delegation", later, who="lead").code == 200
    made.clock.go(hours=2)
    made.wake()
    for until in ("2026-12-08T00:00:00Z", "2026-12-09T00:00:00Z"):
        body = {"to": {"issuer": ISSUER, "subject": "finance"}, "until": until}
        assert made.call("PUT", "/v1/delegation", body, who="lead").code == 200
    made.settle()
    assert made.decide(waiting, "finance", "lead").code == 200
    made.settle()

    held = [made.ask(cost_center="training") for _ in range(2)]
    for one in held:
        made.decide(one, "lead", "lead")
    made.settle()
    made.call("POST", f"/v1/launches/{held[0]['id']}/terminate", {}, who="dev")
    made.settle()
    month = f"{made.clock():%Y-%m}"
    ledger = made.gonogo.items.get(Ledger, ledger_id("training", month))
    assert ledger is not None
    made.gonogo.items.save(ledger, hold(ledger, "l-gone", Decimal(1), made.clock()))
    made.clock.go(days=1, minutes=1)
    made.wake()
    after = made.gonogo.items.get(Ledger, ledger.id)
    assert after is not None
    assert "l-gone" not in after.held, "what nobody let go of is found"

    for _ in range(2):
        broken = made.ask(break_glass=True)
        made.settle()
        made.decide(broken, "lead", "review")
        made.settle()

    for text in ("# another\n", "# and another\n"):
        another = {**files(), "tests.toml": text}
        asked = made.call("PUT", "/v1/policy", {"files": another, "reason": "it is time"}, who="ops")
        assert asked.code == 202, asked.text
        made.decide(asked.json, "lead", "policy")
        made.settle()
        assert made.read(asked.json["id"])["state"] == "TERMINATED"


def to_other_places(made: World) -> None:
    """Launch, change and watch in another region, and in another account."""
    own_bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    forward = templates.read(PROJECT / "infra" / "forward.yaml")
    Stack(forward, {"BusArn": own_bus}, "eu-west-1").make()
    for template in ("web-abroad", "web-elsewhere", "web-abroad"):
        launch = made.ask("ops", template)
        made.settle()
        (resource,) = made.read(launch["id"])["resources"]
        assert resource["state"] == "running", "what AWS tells elsewhere arrives, and is looked at there"
        for command in ("stop", "start", "terminate"):
            made.call("POST", f"/v1/launches/{launch['id']}/{command}", {}, who="ops")
            made.settle()
        assert made.read(launch["id"])["state"] == "TERMINATED", template
        made.clock.go(minutes=6)
        made.wake()


def by_launch_template(made: World) -> None:
    """Launch what launch templates say, at home and elsewhere, by the version that each is resolved to."""
    found = files()
    taken = client("sts").assume_role(RoleArn=LOOKS, RoleSessionName="its-owner", ExternalId=SECRET)
    for name, ec2 in (("small", client("ec2")), ("elsewhere", assumed("ec2", REGION, taken["Credentials"]))):
        data = {"InstanceType": "t3.micro"}
        made_there = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        plain = found[f"templates/web-{name}.toml"].replace('instance_type = "t3.micro"\n', "")
        id_ = made_there["LaunchTemplate"]["LaunchTemplateId"]
        plain += f'[spec.launch_template]\nid = "{id_}"\nversion = "$Latest"\n'
        found[f"templates/by-launch-template-{name}.toml"] = plain
    made.publish(found)
    for name in ("small", "elsewhere"):
        launch = made.ask("ops", f"by-launch-template-{name}")
        made.settle()
        assert made.read(launch["id"])["state"] == "RUNNING", name


def by_other_engines(made: World) -> None:
    """Launch stacks and executions, adopt some of each, and end them."""
    states = client("stepfunctions")
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Pass", "End": True}}})
    role = f"arn:aws:iam::{ACCOUNT}:role/batch"
    machine = states.create_state_machine(name="batch", definition=definition, roleArn=role, publish=True)
    routes = [{"stateMachineVersionArn": machine["stateMachineVersionArn"], "weight": 100}]
    states.create_state_machine_alias(name="live", routingConfiguration=routes)
    for template in ("queue", "batch", "batch-by-alias"):
        adopted, launch = (made.ask("ops", template) for _ in range(2))
        pretend_made(made, adopted["id"])
        made.settle()
        assert made.read(launch["id"])["state"] == "RUNNING", made.read(launch["id"])
        made.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="ops")
        made.settle()
        made.clock.go(minutes=6)
        made.wake()
        made.settle()
        assert made.read(launch["id"])["state"] == "TERMINATED", template


def pretend_made(made: World, launch_id: str) -> None:
    """Make under the launch's token what it is to make, as if somebody had guessed the token."""
    launch = made.gonogo.items.get(Launch, launch_id)
    assert launch is not None
    token, plan = launch.client_token(), launch.plan
    if plan.engine == "stepfunctions":
        spec = msgspec.convert(plan.spec, stepfunctions.Spec)
        arn = spec.state_machine_arn
        client("stepfunctions").start_execution(stateMachineArn=arn, name=token, input='{"another": 1}')
        return
    asked = cloudformation.create_stack(plan, token, service.tags(launch), files()["stacks/queue.yaml"])
    client("cloudformation").create_stack(**{**asked, "ClientRequestToken": "another"})


def extended(made: World) -> None:
    """Extend a launch whose cost center has a budget, into months of which nothing is held yet."""
    launch = made.ask("ops", cost_center="training")
    made.settle()
    until = (made.clock() + timedelta(days=80)).isoformat()
    answer = made.call("POST", f"/v1/launches/{launch['id']}/extend", {"until": until}, who="ops")
    assert answer.code == 200, answer.text
    made.settle()


def looking_over(made: World) -> None:
    """Let time pass, and wake find what nobody told of: a new instance, its stop, a day's end, a stranger."""
    told, made.pumps = made.pumps, [pump for pump in made.pumps if pump.source]
    launch = made.ask("ops")
    made.settle()
    made.clock.go(minutes=6)
    made.wake()
    (resource,) = made.read(launch["id"])["resources"]
    assert resource["state"] == "running", "that it runs nobody told"
    made.clock.go(days=1, hours=1)
    made.wake()
    client("ec2").stop_instances(InstanceIds=[resource["id"]])
    stranger = client("ec2").run_instances(
        ImageId=launch["plan"]["spec"]["image_id"],
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "gonogo:launch", "Value": "l-nobodys"}]}
        ],
    )["Instances"][0]["InstanceId"]
    made.clock.go(minutes=6)
    made.wake()
    assert made.read(launch["id"])["state"] == "STOPPED", "that it stopped nobody told either"
    assert made.gonogo.items.get(Stray, stranger) is not None
    made.pumps = told
    made.settle()


def pretend_launched(made: World, launch_id: str) -> None:
    """Use up the launch's client token, as if it had run the same instance with other tags before."""
    launch = made.gonogo.items.get(Launch, launch_id)
    assert launch is not None
    spec = launch.question.plan.spec
    client("ec2").run_instances(
        ImageId=spec["image_id"],
        InstanceType=spec["instance_type"],
        MinCount=1,
        MaxCount=1,
        ClientToken=launch.client_token(),
    )


POISON = {
    "Keys": {"pk": {"S": "launch#poison"}, "sk": {"S": "launch"}},
    "NewImage": {"id": {"S": "poison"}},
    "SequenceNumber": "1",
}
"""A stream record that no version of gonogo wrote."""
