"""What each use case asks of AWS, counted: nobody wants a fifth write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from gonogo.bootstrap import Gonogo, install
from tests.functions.world import World, world

from botocore.client import BaseClient  # isort: skip - after the environment that it reads

WRITES = {"PutItem", "UpdateItem"}
NEVER = {"Scan", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "TransactGetItems"}


class Asked:
    """The AWS calls of one use case."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    @property
    def counts(self) -> dict[str, int]:
        """Return how often each operation was called."""
        return dict(sorted(Counter(name for name, _ in self.calls).items()))

    @property
    def writes(self) -> list[dict[str, Any]]:
        """Return what the writes to the table asked."""
        return [arguments for name, arguments in self.calls if name in WRITES]


@contextmanager
def listening() -> Iterator[Asked]:
    """Hear every AWS call while it lasts."""
    asked = Asked()
    make = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        asked.calls.append((operation, arguments))
        return make(self, operation, arguments)

    with mock.patch.object(BaseClient, "_make_api_call", call):
        yield asked


@pytest.fixture(scope="module", name="world")
def warm_world() -> Iterator[World]:
    """Give a world whose functions are warm: the policy is read and checked, each client made."""
    with world() as made:
        launch = made.ask()
        made.settle()
        made.decide(launch, "lead", "lead")
        made.settle()
        yield made


def asked_by(call: Callable[[], Any]) -> Asked:
    """Return what a call asks of AWS."""
    with listening() as asked:
        call()
    return asked


def cued(world: World, launch_id: str, what: str, function: str = "notify") -> Callable[[], Any]:
    """Return a message to a function, as the bus brings it."""
    events = world.call("GET", f"/v1/launches/{launch_id}/events", who="dev").json["items"]
    (event,) = [one for one in events if one["type"] == what]
    detail = {"type": what, "subject": launch_id, "seq": event["seq"]}
    message = {"Records": [{"messageId": "1", "body": json.dumps({"detail": detail})}]}
    return lambda: _well(world.invoke(function, message))


def _well(answer: Any) -> None:
    assert answer == {"batchItemFailures": []}


def drained(world: World) -> None:
    """Let what is under way arrive, and be over."""
    world.settle()


def test_a_function_that_was_just_started_reads_the_policy_once(world: World) -> None:
    """Making the container asks nothing of AWS; the first request pays for one reading of the bundle."""
    warm, made = world.gonogo, []
    asked = asked_by(
        lambda: made.append(
            Gonogo(
                warm.settings,
                now=warm.now,
                trusts=warm.trusts,
                identity=warm._identity,
                caller=warm._caller,
            )
        )
    )
    assert asked.counts == {}
    install(made[0])
    try:
        assert asked_by(world.ask).counts == {"GetItem": 2, "GetParameter": 1, "PutItem": 1}
    finally:
        install(warm)


def test_submitting(world: World) -> None:
    """Policy, the image's alias, and one conditional put."""
    asked = asked_by(world.ask)
    assert asked.counts == {"GetItem": 1, "GetParameter": 1, "PutItem": 1}
    assert all("ConditionExpression" in one for one in asked.writes)


def test_submitting_under_a_key(world: World) -> None:
    """One look more, whether it was asked before; asked again there is nothing to write."""
    headers = {"Idempotency-Key": "calls"}
    body = {"template": "web-small", "reason": "again", "cost_center": "marketing"}

    def submit() -> None:
        assert world.call("POST", "/v1/launches", body, who="dev", headers=headers).code == 201

    assert asked_by(submit).counts == {"GetItem": 2, "GetParameter": 1, "PutItem": 1}
    assert asked_by(submit).counts == {"GetItem": 2}


def test_asking_what_would_happen(world: World) -> None:
    """Nothing is stored."""
    body = {"template": "web-small", "reason": "try", "cost_center": "marketing"}
    asked = asked_by(lambda: world.call("POST", "/v1/launches?dry_run=true", body, who="dev"))
    assert asked.writes == []


def test_deciding_signed_in(world: World) -> None:
    """Policy, the launch, and one conditional update."""
    launch = world.ask()
    asked = asked_by(lambda: world.decide(launch, "lead", "lead"))
    assert asked.counts == {"GetItem": 2, "UpdateItem": 1}
    assert all("ConditionExpression" in one for one in asked.writes)
    assert asked_by(lambda: world.decide(launch, "lead", "lead")).counts == {"GetItem": 2}


def test_deciding_by_token(world: World) -> None:
    """The MAC besides; no bearer token is verified, and no client made for it."""
    world.ask()
    world.settle()
    code = world.token("lead")
    body = {"token": code, "verdict": "approve"}
    asked = asked_by(lambda: world.call("POST", "/v1/decisions", body))
    assert asked.counts == {"GetItem": 2, "UpdateItem": 1, "VerifyMac": 1}
    assert all("ConditionExpression" in one for one in asked.writes)


def test_a_code_of_no_form_costs_nothing(world: World) -> None:
    """Whoever guesses does not even make KMS work."""
    asked = asked_by(lambda: world.call("POST", "/v1/decisions", {"token": "gng_x", "verdict": "approve"}))
    assert asked.counts == {}


def test_reading_a_launch(world: World) -> None:
    """Policy, to know who reads; and the launch."""
    launch = world.ask()
    assert asked_by(lambda: world.read(launch["id"])).counts == {"GetItem": 2}


def test_reading_the_inbox(world: World) -> None:
    """Policy, one query, one batch: however many wait."""
    for _ in range(3):
        world.ask()
    world.settle()
    asked = asked_by(lambda: world.call("GET", "/v1/inbox", who="lead"))
    assert asked.counts == {"BatchGetItem": 1, "GetItem": 1, "Query": 1}


def test_lists(world: World) -> None:
    """Of a requester one query, of a state one for each of four shards."""
    assert asked_by(lambda: world.call("GET", "/v1/launches", who="dev")).counts == {"GetItem": 1, "Query": 1}
    asked = asked_by(lambda: world.call("GET", "/v1/launches?state=RUNNING", who="dev"))
    assert asked.counts == {"GetItem": 1, "Query": 4}


def test_launching(world: World) -> None:
    """Launch and policy, the place's watch once a while; two updates around the call that counts."""
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    cleared = cued(world, launch["id"], "launch.cleared", "launch")
    asked = asked_by(cleared)
    assert asked.counts == {"GetItem": 2, "RunInstances": 1, "UpdateItem": 2}
    done = [name for name, _ in asked.calls if name != "GetItem"]
    assert done == ["UpdateItem", "RunInstances", "UpdateItem"]
    assert all("ConditionExpression" in one for one in asked.writes)
    assert asked_by(cleared).counts == {"GetItem": 1}


def test_telling_an_approver(world: World) -> None:
    """Who stands in is looked up once; made and claimed in one write, sent, and recorded; told again nothing is sent."""
    launch = world.ask()
    opened = cued(world, launch["id"], "gate.opened")
    asked = asked_by(opened)
    assert asked.counts == {
        "BatchGetItem": 1,
        "GenerateMac": 1,
        "GetItem": 2,
        "PutItem": 1,
        "SendEmail": 1,
        "UpdateItem": 1,
    }
    assert all("ConditionExpression" in one for one in asked.writes)
    assert "SendEmail" not in asked_by(opened).counts


def test_a_waking_with_nothing_to_do(world: World) -> None:
    """Once a minute, for ever: one query for each shard."""
    assert asked_by(world.wake).counts == {"Query": 4}


@pytest.mark.parametrize("what", ["gate.opened", "gate.closed", "launch.cleared"])
def test_where_nobody_has_a_webhook_nobody_is_looked_up_for_one(world: World, what: str) -> None:
    """Every notice is offered to both senders: the one with nothing to send writes nothing, and reads no more."""
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    assert asked_by(cued(world, launch["id"], what, "deliver")).counts == {"GetItem": 2}
    decided = cued(world, launch["id"], "gate.decided", "deliver")
    assert asked_by(decided).counts == {"GetItem": 1}


def test_a_life_is_four_conditional_writes(world: World) -> None:
    """Submit, decide, claim, record: design section 9; no transaction, no scan, nothing deleted."""
    with listening() as asked:
        launch = world.ask()
        world.decide(launch, "lead", "lead")
        cued(world, launch["id"], "launch.cleared", "launch")()
    assert world.read(launch["id"])["state"] == "RUNNING"
    assert len(asked.writes) == 4
    assert all("ConditionExpression" in one for one in asked.writes)
    key = {"S": f"launch#{launch['id']}"}
    assert [(one.get("Key") or one["Item"])["pk"] for one in asked.writes] == [key] * 4


def test_nothing_that_gonogo_does_scans_deletes_or_needs_a_transaction(world: World) -> None:
    """From the request to the end, every function taking its part."""
    with listening() as asked:
        launch = world.ask()
        world.settle()
        world.decide(launch, "lead", "lead")
        world.settle()
        world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="dev")
        world.settle()
        world.wake()
    assert world.read(launch["id"])["state"] == "TERMINATED"
    of_the_pumps = {"DeleteMessage", "ReceiveMessage", "ChangeMessageVisibility"}
    assert not (asked.counts.keys() - of_the_pumps) & NEVER
    writes = [one for one in asked.writes if one["TableName"] == world.gonogo.settings.table]
    assert all("ConditionExpression" in one for one in writes)
