"""Prints what a launch costs, counted: floor and gonogo in one run."""

from __future__ import annotations

import argparse
import gc
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table

from bench.recording import Call, played, recorded
from local.aws import client
from tests.functions import world as worlds

WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
FEW, MANY = 100, 100_000
ROUNDS, TURNS = 20, 15


class Row:
    """One line of the table."""

    def __init__(self, what: str, bound: str, found: str, holds: bool) -> None:  # noqa: FBT001 - a fact, not a switch
        self.what, self.bound, self.found, self.holds = what, bound, found, holds


Invocation = Callable[[], Any]
"""One call of a handler as Lambda makes it."""


def lifecycle(world: worlds.World) -> list[Invocation]:
    """Walk a launch from submit to record, and return the calls of handlers that this took."""
    made: list[Invocation] = []
    handle = worlds.switchboard.app.__class__.__call__

    def keep(self: Any, event: Any, context: Any) -> Any:
        made.append(partial(handle, self, event, context))
        return handle(self, event, context)

    with mock.patch.object(worlds.switchboard.app.__class__, "__call__", keep):
        launch = world.ask()
        decided = world.decide(launch, "lead", "lead").json
    detail = {"type": "launch.cleared", "subject": decided["id"], "seq": 6}
    message = {"Records": [{"messageId": "1", "body": json.dumps({"detail": detail})}]}
    made.append(partial(world.invoke, "launch", message))
    made[-1]()
    if world.read(decided["id"])["state"] != "RUNNING":
        raise RuntimeError("the launch was not launched")
    return made


def cpu(*works: Callable[[], Any]) -> list[float]:
    """Return the least CPU seconds of each, per run; they take turns, so that noise hits all alike."""
    best = [math.inf] * len(works)
    for _ in range(TURNS):
        for index, work in enumerate(works):
            start = time.process_time()
            for _ in range(ROUNDS):
                work()
            best[index] = min(best[index], (time.process_time() - start) / ROUNDS)
    return best


def writes_and_cpu() -> list[Row]:
    """Count the writes of a lifecycle, and hold its CPU against the same AWS calls made raw with botocore."""
    with worlds.world() as world:
        lifecycle(world)  # what is made once a process is made now
        world.gonogo.random = lambda size: (b"\x07" * 32)[:size]  # type: ignore[method-assign]
        with recorded() as calls:
            invocations = lifecycle(world)
        calls.pop()  # the reading at the end of the walk: two
        calls.pop()
        counted = Counter(call.operation for call in calls)
        writes = sum(counted[name] for name in WRITES)
        transactions = counted["TransactWriteItems"]
        conditional = sum(
            "ConditionExpression" in call.arguments for call in calls if call.operation in WRITES
        )
        clients = {service: _raw(service) for service in {call.service for call in calls}}

        def floor() -> None:
            with played(calls):
                for call in calls:
                    clients[call.service]._make_api_call(call.operation, call.arguments)  # noqa: SLF001

        def ours() -> None:
            with played(calls):
                for invocation in invocations:
                    invocation()

        gc.collect()
        gc.freeze()  # what moto holds in memory is not there on Lambda, and is not to be walked in our turn
        with _without_moto():
            raw, whole = cpu(floor, ours)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    return [
        Row(
            "writes per lifecycle (submit, decide, claim, record)",
            "4 conditional, 0 transactions",
            f"{writes}, {conditional} of them conditional, {transactions} transactions",
            writes == conditional == 4 and not transactions,  # noqa: PLR2004 - the bound
        ),
        Row("AWS calls per lifecycle", "-", told, True),
        Row(
            "handler CPU per lifecycle against the same AWS calls raw",
            "<= 1.5x",
            f"{whole / raw:.2f}x ({whole * 1000:.2f} ms against {raw * 1000:.2f} ms)",
            whole / raw <= 1.5,  # noqa: PLR2004 - the bound
        ),
    ]


def _raw(service: str) -> Any:
    from gonogo.aws.clients import client

    return client(service, worlds.REGION)


def _without_moto() -> Any:
    """Let calls go past moto, to whatever plays the answers."""
    from moto.core import botocore_stubber

    return mock.patch.object(botocore_stubber.BotocoreStubber, "__call__", return_value=None)


FLOOR = "import chalice, boto3; boto3.client('dynamodb', region_name='us-east-1')"
OURS = (
    "import app; app._api()\n"
    "from gonogo.aws.table import Table; Table('t', 'us-east-1')._table.connection.client"
)


def imports() -> Row:
    """Hold the import CPU of the API function, its table client made, against chalice and a boto3 client."""
    floor, ours = (_import_cpu(code) for code in (FLOOR, OURS))
    return Row(
        "import CPU of the API function against chalice + one boto3 client",
        "<= 1.5x",
        f"{ours / floor:.2f}x ({ours * 1000:.0f} ms against {floor * 1000:.0f} ms)",
        ours / floor <= 1.5,  # noqa: PLR2004 - the bound
    )


def _import_cpu(code: str) -> float:
    measure = f"import time; s = time.process_time()\n{code}\nprint(time.process_time() - s)"
    runs = [
        subprocess.run([sys.executable, "-c", measure], check=True, capture_output=True, text=True)  # noqa: S603
        for _ in range(7)
    ]
    return min(float(run.stdout) for run in runs)


POLICIES = 100


def decision() -> Row:
    """Time a decision on a developer's request with a hundred policies, the bundle loaded; the least of many."""
    from gonogo.core import policy
    from tests.core.builders import DEV, also, asked, bundle, principal

    more = "\n".join(
        f'permit (principal in Group::"leads", action == Action::"{action}", resource == {kind}::"{name}")'
        f' when {{ context.monthly_cost.greaterThan(decimal("{number}.0")) }};'
        for number in range(POLICIES)
        for action, kind, name in [_FILLERS[number % len(_FILLERS)]]
    )
    most = POLICIES - len(bundle().policies)
    made = bundle(policies=also("\n".join(more.splitlines()[:most])))
    if len(made.policies) != POLICIES:
        raise RuntimeError(f"there are {len(made.policies)} policies")
    question, asker = asked(made), principal(DEV)
    (least,) = cpu(lambda: policy.judge(made, asker, question))
    return Row(
        f"policy decision at {POLICIES} policies, bundle loaded",
        "<= 200 us",
        f"{least * 1e6:.0f} us",
        least <= 200e-6,  # noqa: PLR2004 - the bound
    )


_FILLERS = (
    ("launch", "Template", "web-small"),
    ("launch", "Template", "gpu-large"),
    ("approve", "Gate", "lead"),
    ("approve", "Gate", "finance"),
)
"""What the other policies permit: a team's own rules, for each of its templates and gates."""


def growth() -> list[Row]:
    """Hold calls and capacity of the common requests at many launches against those at few."""
    at = {count: _costs(count) for count in (FEW, MANY)}
    rows = []
    for name, (calls, capacity) in at[MANY].items():
        few_calls, few_capacity = at[FEW][name]
        worst = max(calls / few_calls, capacity / few_capacity)
        rows.append(
            Row(
                f"{name} at {MANY:,} launches against {FEW}",
                "<= 1.1x",
                f"{worst:.2f}x ({calls} calls, {capacity:.1f} units)",
                worst <= 1.1,  # noqa: PLR2004 - the bound
            )
        )
    return rows


def _costs(count: int) -> dict[str, tuple[int, float]]:
    """Return the AWS calls and capacity units of each common request, with so many launches in the table."""
    found: dict[str, tuple[int, float]] = {}
    with worlds.world() as world:
        first = world.ask()
        world.settle()
        _fill(world, count)

        def measure(name: str, work: Callable[[], Any]) -> None:
            with recorded() as calls:
                work()
            found[name] = (len(calls), sum(map(units, calls)))

        launch: dict[str, Any] = {}
        measure("submit", lambda: launch.update(world.ask()))
        world.settle()
        measure("decide", lambda: world.decide(launch, "lead", "lead"))
        measure("get", lambda: world.read(first["id"]))
        measure("inbox page", lambda: world.call("GET", "/v1/inbox", who="lead"))
        measure("list page", lambda: world.call("GET", "/v1/launches?state=PENDING_APPROVAL", who="lead"))
    return found


AGES = (1, 100, 1000)


def usage() -> Row:
    """Hold calls and capacity of recording a stop and a start on an instance's thousandth day against its first."""
    found = _usage_costs()
    (calls, capacity), (last_calls, last_capacity) = found[AGES[0]], found[AGES[-1]]
    told = ", ".join(
        f"day {age:,}: {calls} calls, {units:.0f} units" for age, (calls, units) in found.items()
    )
    return Row(
        f"recording a stop and a start on day {AGES[-1]:,} of an instance against day {AGES[0]}",
        "<= 1.0x",
        f"{max(last_calls / calls, last_capacity / capacity):.2f}x ({told})",
        last_calls <= calls and last_capacity <= capacity,
    )


def _usage_costs() -> dict[int, tuple[int, float]]:
    """Return the AWS calls and capacity units that this takes `observe`, by how many days the instance has run."""
    found: dict[int, tuple[int, float]] = {}
    for age in AGES:
        with worlds.world() as world:
            launch = world.ask("ops")
            world.settle()
            (name,) = (one["id"] for one in world.read(launch["id"])["resources"])
            found[age] = _observing(world, name, age)
    return found


def _observing(world: worlds.World, name: str, age: int) -> tuple[int, float]:
    """Let an instance run for so many days, stop and start, and return what it costs to record the last two."""
    from gonogo.core.usage import day_of, usage_id
    from gonogo.service.usage import hand_on
    from tests.functions.arriving import messages, state_change

    first = usage_id(name, day_of(world.clock()))
    world.clock.go(days=age)
    hand_on(world.gonogo, first)
    costs = (0, 0.0)
    for change, state in (("stop_instances", "stopped"), ("start_instances", "running")):
        world.clock.go(hours=1)
        getattr(client("ec2"), change)(InstanceIds=[name])
        said = state_change(name, state, f"{world.clock():%Y-%m-%dT%H:%M:%SZ}")
        with recorded() as calls:
            answer = world.invoke("observe", messages(said))
        if answer["batchItemFailures"]:
            raise RuntimeError(f"{state} was not recorded on day {age}")
        costs = costs[0] + len(calls), costs[1] + sum(map(units, calls))
    return costs


def _fill(world: worlds.World, count: int) -> None:
    """Put so many launches and open notices in the table, past the API: copies of those that are there."""
    from moto.dynamodb.models import dynamodb_backends
    from moto.dynamodb.models.dynamo_type import DynamoType, Item

    items = dynamodb_backends[worlds.ACCOUNT][worlds.REGION].tables[world.gonogo.settings.table].items
    for kind in ("launch", "delivery"):
        (seed,) = (
            one
            for rows in list(items.values())
            for one in rows.values()
            if one.range_key == DynamoType({"S": kind})
        )
        for number in range(count):
            name = f"{kind}-copy-{number:06d}"
            key = DynamoType({"S": f"{kind}#{name}"})
            new = {
                "pk": {"S": f"{kind}#{name}"},
                "id": {"S": name},
                "at": {"S": f"2026-01-01T00:00:00.000000Z#{name}"},
            }
            if kind == "launch":
                new["state_shard"] = {"S": f"PENDING_APPROVAL#{number % 4}"}
            attributes = {**seed.attrs, **{field: DynamoType(value) for field, value in new.items()}}
            copy = Item(key, seed.range_key, {})
            dict.update(copy.attrs, {n: v for n, v in attributes.items() if n not in ("due_shard", "due_at")})
            items[key][seed.range_key] = copy


def units(call: Call) -> float:
    """Return the capacity units of a call, from the bytes that it moved (DynamoDB guide, "capacity")."""
    if call.service != "dynamodb":
        return 0
    if call.operation in ("PutItem", "UpdateItem"):
        sent = call.arguments.get("Item") or call.arguments.get("ExpressionAttributeValues") or {}
        return math.ceil(_bytes(sent) / 1024)
    answer = call.answer
    items = [answer["Item"]] if "Item" in answer else answer.get("Items", [])
    for some in answer.get("Responses", {}).values():
        return sum(math.ceil(_bytes(item) / 4096) for item in some) or 1
    consistent = call.arguments.get("ConsistentRead", False)
    return max(1, math.ceil(sum(map(_bytes, items)) / 4096)) * (1 if consistent else 0.5)


def _bytes(item: Any) -> int:
    return sum(len(name) + len(str(next(iter(value.values())))) for name, value in item.items())


def main() -> int:
    """Measure, print, and fail if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"leave out {MANY:,} launches and {AGES[-1]:,} days"
    )
    chosen = parser.parse_args()
    rows = [*writes_and_cpu(), imports(), decision(), *([] if chosen.quick else [usage(), *growth()])]
    table = Table("what", "bound", "found", "", title="gonogo: the numbers to hold", title_justify="left")
    for row in rows:
        table.add_row(row.what, row.bound, row.found, "holds" if row.holds else "[bold red]DOES NOT HOLD")
    Console(width=140).print(table)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
