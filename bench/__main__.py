"""Prints what a launch costs, counted: floor and gonogo in one run."""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import capacity, lifecycle, many, page, prices, rows
from bench.lifecycle import FUNCTIONS, Invocation, Life, alone, calls_of, cpu, floor, ours
from bench.recording import WRITES, Call, recorded
from bench.rows import AGES, CLIENTS, FEW, MANY, POLICIES, ROWS, Row
from local.aws import client
from tests.functions import world as worlds


class Part:
    """What one function does in a whole life: how often it is called, what it asks, and what that costs."""

    def __init__(self, function: str, life: Life, seconds: float, raw: float) -> None:
        """Take a life, and the CPU seconds of the function in it and of its AWS calls alone."""
        mine = life.of(function)
        self.function, self.cpu, self.raw = function, seconds, raw
        self.invocations, self.calls, self.units = len(mine), len(calls_of(mine)), lifecycle.units(mine)
        self.told = lifecycle.told(calls_of(mine))


def asked(life: Life, raw: float, whole: float) -> Iterator[Row]:
    """Yield what a launch waits for: its writes, its calls, and its CPU against the calls alone."""
    calls = calls_of(life.asked)
    counted = Counter(call.operation for call in calls)
    writes = sum(counted[name] for name in WRITES)
    transactions = counted["TransactWriteItems"]
    conditional = sum("ConditionExpression" in one.arguments for one in calls if one.operation in WRITES)
    yield Row(
        rows.WRITES,
        f"{writes}, {conditional} of them conditional, {transactions} transactions",
        writes == conditional == 4 and not transactions,  # noqa: PLR2004 - the bound
    )
    yield Row(rows.ASKED, lifecycle.told(calls))
    yield Row(
        rows.CPU,
        f"{whole / raw:.2f}x ({whole * 1000:.2f} ms against {raw * 1000:.2f} ms)",
        whole / raw <= 1.5,  # noqa: PLR2004 - the bound
    )


def parts_of(world: worlds.World, life: Life) -> tuple[list[Part], float, float]:
    """Measure each function's part of a life, and of what a launch waits for the floor and ours."""
    works: list[Callable[[], Any]] = []
    for one in (*(life.of(function) for function in FUNCTIONS), life.asked):
        works += [floor(one), ours(world, one)]
    with alone():
        found = [*cpu(*works[:-2], turns=20, rounds=2), *cpu(*works[-2:])]
    pairs = list(zip(found[::2], found[1::2], strict=True))
    parts = [Part(function, life, *pair[::-1]) for function, pair in zip(FUNCTIONS, pairs, strict=False)]
    return parts, *pairs[-1]


def throughput(world: worlds.World, life: Life) -> Iterator[Row]:
    """Yield how much of the floor's throughput is ours, by how many clients."""
    with alone():
        for clients in CLIENTS:
            part = many.ratio(clients, floor(life.asked), ours(world, life.asked))
            yield Row(rows.throughput_of(clients), f"{part:.2f}x")


_TABLE = "from gonogo.aws.table import Table; Table('t', 'us-east-1', 1)._table.connection.client"
_FLOOR = "import chalice, boto3; boto3.client('dynamodb', region_name='us-east-1')"
_EVENTS = "from gonogo.aws.clients import client; client('events', 'us-east-1')"
RUNS = 7


def imports(rooms: Sequence[str]) -> Iterator[Row]:
    """Yield the import CPU of the API and of these rooms, the first client made, against chalice and a boto3 client."""
    codes = [_FLOOR, f"import app; app._api(); {_TABLE}"]
    codes += [
        f"import app; from functions import {room}; {_EVENTS if room == 'publish' else _TABLE}"
        for room in rooms
    ]
    best = [math.inf] * len(codes)
    for _ in range(RUNS):
        best = [min(least, _import_cpu(code)) for least, code in zip(best, codes, strict=True)]
    names = [rows.IMPORT, *map(rows.import_of, rooms)]
    for name, found in zip(names, best[1:], strict=True):
        yield Row(
            name,
            f"{found / best[0]:.2f}x ({found * 1000:.0f} ms against {best[0] * 1000:.0f} ms)",
            name != rows.IMPORT or found / best[0] <= 1.5,  # noqa: PLR2004 - the bound
        )


def _import_cpu(code: str) -> float:
    measure = f"import time; s = time.process_time()\n{code}\nprint(time.process_time() - s)"
    run = subprocess.run([sys.executable, "-c", measure], check=True, capture_output=True, text=True)  # noqa: S603
    return float(run.stdout)


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
    return Row(rows.DECISION, f"{least * 1e6:.0f} us", least <= 200e-6)  # noqa: PLR2004 - the bound


_FILLERS = (
    ("launch", "Template", "web-small"),
    ("launch", "Template", "gpu-large"),
    ("approve", "Gate", "lead"),
    ("approve", "Gate", "finance"),
)
"""What the other policies permit: a team's own rules, for each of its templates and gates."""

Costs = dict[str, tuple[int, float, int]]
"""AWS calls, read units and write units, by what they are for."""


def growth(few: Costs) -> Iterator[Row]:
    """Hold calls and capacity at many launches against those at few."""
    found = costs(MANY)
    for name, now in found.items():
        then = few[name]
        if name in FUNCTIONS:
            yield Row(
                rows.whole_of(name), _cost(then) if now == then else f"{_cost(then)}; then {_cost(now)}"
            )
            continue
        worst = max(one / other for one, other in zip(now, then, strict=True) if other)
        what = rows.WHOLE if name == rows.WHOLE else rows.growth_of(name)
        yield Row(what, f"{worst:.2f}x ({_cost(now)})", worst <= 1.1)  # noqa: PLR2004 - the bound


def _cost(cost: tuple[int, float, int]) -> str:
    calls, read, written = cost
    return f"{calls} calls, {read:g} read and {written} write units"


def costs(count: int) -> Costs:
    """Return what each common request costs with so many launches in the table, and a whole life, by function."""
    found: Costs = {}
    with worlds.world() as world:
        first = world.ask()
        world.settle()
        _fill(world, count)

        def measure(name: str, work: Callable[[], Any]) -> None:
            with recorded() as calls:
                work()
            found[name] = (len(calls), *capacity.of(calls))

        launch: dict[str, Any] = {}
        measure("submit", lambda: launch.update(world.ask()))
        world.settle()
        measure("decide", lambda: world.decide(launch, "lead", "lead"))
        measure("get", lambda: world.read(first["id"]))
        measure("inbox page", lambda: world.call("GET", "/v1/inbox", who="lead"))
        measure("list page", lambda: world.call("GET", "/v1/launches?state=PENDING_APPROVAL", who="lead"))
        world.settle()
        world.events()
        life = lifecycle.walk(world)
        for function in FUNCTIONS:
            mine = life.of(function)
            found[function] = (len(calls_of(mine)), *lifecycle.units(mine))
        found[rows.WHOLE] = (len(calls_of(life.invocations)), *lifecycle.units(life.invocations))
    return found


def usage() -> Row:
    """Hold calls and capacity of recording a stop and a start on an instance's thousandth day against its first."""
    found = _usage_costs()
    (calls, units), (last_calls, last_units) = found[AGES[0]], found[AGES[-1]]
    told = ", ".join(
        f"day {age:,}: {calls} calls, {units:.0f} units" for age, (calls, units) in found.items()
    )
    return Row(
        rows.USAGE,
        f"{max(last_calls / calls, last_units / units):.2f}x ({told})",
        last_calls <= calls and last_units <= units,
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
        costs = costs[0] + len(calls), costs[1] + sum(capacity.of(calls))
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


def waking(world: worlds.World) -> tuple[list[Call], float]:
    """Return the calls of one waking to which nothing is due, and its CPU seconds."""
    with recorded() as calls:
        world.wake()
    if any(call.operation != "Query" for call in calls):
        raise RuntimeError("something was due")
    one = Invocation("wake", world.wake, world.clock(), {}, 1, calls)
    with alone():
        (least,) = cpu(ours(world, [one]))
    return calls, least


def measured(*, quick: bool) -> page.Results:
    """Measure all, or what is quick."""
    begun = os.getloadavg()[0]
    few = costs(FEW)
    with worlds.world() as world:
        idle = prices.idle(*waking(world))
        lifecycle.warm(world)
        life = lifecycle.walk(world)
        parts, raw, whole = parts_of(world, life)
        bought = prices.of_life(life, {one.function: one.cpu for one in parts})
        found = [*asked(life, raw, whole), *(() if quick else throughput(world, life))]
    found += [*imports(() if quick else rows.ROOMS), decision()]
    if quick:
        found += [Row(rows.whole_of(name), _cost(few[name])) for name in FUNCTIONS]
    else:
        found += [usage(), *growth(few)]
    found += [
        Row(rows.PRICE, f"{prices.total(bought) * prices.MILLION:.0f} USD"),
        Row(rows.IDLE, f"{prices.total(idle):.2f} USD"),
    ]
    order = list(ROWS)
    found.sort(key=lambda row: order.index(row.what))
    return page.Results(found, parts, bought, idle, (begun, os.getloadavg()[0]))


def main() -> int:
    """Measure, print, write if asked to, and fail if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"leave out {MANY:,} launches, {AGES[-1]:,} days, many clients and most imports",
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and its chart too")
    chosen = parser.parse_args()
    if chosen.quick and chosen.write:
        parser.error("what is quick is not whole: --write goes without --quick")
    results = measured(quick=chosen.quick)
    table = Table("what", "bound", "found", "", title="gonogo: the numbers to hold", title_justify="left")
    for row in results.rows:
        verdict = "holds" if row.holds else "[bold red]DOES NOT HOLD"
        table.add_row(row.what, ROWS[row.what].bound, row.found, verdict)
    Console(width=140).print(table)
    if chosen.write:
        page.write(results)
    return 0 if all(row.holds for row in results.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
