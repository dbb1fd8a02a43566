"""A walk through every function, and what each asked of AWS on the way, held against its role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gonogo.core import event as events
from gonogo.core.budget import Ledger, hold, ledger_id
from gonogo.core.errors import LaterError
from gonogo.core.launch import Launch
from local.aws import client
from tests.functions.world import ISSUER, PARAMETERS, World, example, world
from tests.recording import Recorder
from tests.roles import ROLES, Call, Roles

STACK = PARAMETERS | {"InstanceRoleArns": "arn:aws:iam::123456789012:role/web"}
FUNCTIONS = {"api": "APIHandler"} | {name.lower(): name for name in ROLES if name != "APIHandler"}
"""The functions' logical ids by their names in app.py; "api" is the one behind the routes."""


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
    return found


@pytest.fixture(scope="module")
def walked() -> Iterator[tuple[Recorder, Mapping[str, str]]]:
    """Return what was recorded, and the names of the resources in the world that was walked through."""
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch, world(files()) as made, recorder.listening():
        # An item puts old events aside when it has more than 64; here a few are enough.
        patch.setattr(events, "KEEP", 2)
        made.around = lambda name: recorder.playing(FUNCTIONS[name])
        walk(made)
        settings = made.gonogo.settings
        yield (
            recorder,
            {
                "Table": settings.table,
                "Bus": settings.bus,
                "PublishDead": settings.publish_dead.rsplit("/", 1)[-1],
                "PeopleKey": settings.people_keys[0].rsplit("/", 1)[-1],
                "HookKey": settings.hook_keys[0].rsplit("/", 1)[-1],
            },
        )


def walk(made: World) -> None:
    """Go every road that asks AWS for something."""
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
    for minutes in (2, 6, 16, 61, *[5 * 24 * 60] * 2):
        made.clock.go(minutes=minutes)
        made.wake()
        made.settle()
    assert made.read(forgotten["id"])["state"] == "EXPIRED"
    assert made.read(by_hook["id"])["state"] == "RUNNING"
    assert made.read(launch["id"])["state"] == "TERMINATED"

    through_gates(made)

    adopted = made.ask("ops")
    pretend_launched(made, adopted["id"])
    made.settle()
    assert made.read(adopted["id"])["state"] == "RUNNING"

    made.invoke("publish", {"Records": [{"dynamodb": POISON}]})


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


@pytest.mark.parametrize("function", ROLES)
def test_role_allows_all_that_the_function_asks(
    template: dict[str, Any], walked: tuple[Recorder, Mapping[str, str]], function: str
) -> None:
    """An action that is missing in a role is found in production, by whoever waits for it."""
    recorder, names = walked
    statements = Roles(template, STACK, names).statements(function)
    refused = {call for call in recorder.calls[function] if not any(one.allows(call) for one in statements)}
    assert refused == set()


@pytest.mark.parametrize("function", ROLES)
def test_role_allows_nothing_that_the_function_never_asks(
    template: dict[str, Any], walked: tuple[Recorder, Mapping[str, str]], function: str
) -> None:
    """What nobody uses is there for an attacker only: no action, no resource and no kind of item too many."""
    recorder, names = walked
    roles = Roles(template, STACK, names)
    asked: set[Call] = recorder.calls[function] | set(roles.made_by_lambda(function))
    unused = {
        part
        for one in roles.statements(function)
        for part in one.parts()
        if not any(part.allows(call) for call in asked)
    }
    assert {part for part in unused if part.sid not in EITHER} == set()


EITHER = {"Mails"}
"""Statements of which one part is enough: SES has verified either the sender's address or its domain."""
