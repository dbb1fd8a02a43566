"""One whole life of a launch, from asking for it to the usage record of its end: each call of a function."""

from __future__ import annotations

import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

from bench import capacity
from bench.capacity import Units
from bench.recording import Call, played, recorded
from gonogo.core.watch import Watch
from tests.functions import world as worlds

FUNCTIONS = ("api", "publish", "notify", "deliver", "launch", "observe")
"""The functions that take part; `wake` looks every minute, whether there are launches or not."""
RUNS = {"hours": 3}
"""How long the instance runs."""
ROUNDS, TURNS = 4, 75


class Invocation(NamedTuple):
    """One call of a function as Lambda makes it, when it was, how many records it brought, and what it asked of AWS.

    `watched` is what its process knew of watches before.
    """

    function: str
    work: Callable[[], Any]
    at: datetime
    watched: dict[str, Watch]
    records: int
    calls: Sequence[Call]


class Life(NamedTuple):
    """A whole life: the functions that it called, in order."""

    invocations: tuple[Invocation, ...]

    def of(self, *functions: str) -> list[Invocation]:
        """Return the calls of these functions."""
        return [one for one in self.invocations if one.function in functions]

    @property
    def asked(self) -> list[Invocation]:
        """The three that a launch waits for: submit, decide, and claim with record."""
        return self.of("api", "launch")[:3]

    @property
    def entries(self) -> int:
        """How many events were put on the bus."""
        puts = (call for one in self.of("publish") for call in one.calls if call.operation == "PutEvents")
        return sum(len(call.arguments["Entries"]) for call in puts)


def calls_of(invocations: Sequence[Invocation]) -> list[Call]:
    """Return all AWS calls of these."""
    return [call for one in invocations for call in one.calls]


def told(calls: Sequence[Call]) -> str:
    """Return how many there are of each."""
    counted = Counter(call.operation for call in calls)
    return ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))


def units(invocations: Sequence[Invocation]) -> Units:
    """Return the capacity units of these."""
    return capacity.of(calls_of(invocations))


def walk(world: worlds.World) -> Life:
    """Let a launch be asked for, approved, launched, run, and terminated, and return all that this called."""
    made: list[Invocation] = []
    gateway, invoke = worlds.switchboard.app.__class__.__call__, worlds.World.invoke

    def note(function: str, work: Callable[[], Any], records: int) -> Any:
        world.clock.go(seconds=1)  # alarms move as they do where time goes on
        start, watched = len(calls), dict(world.gonogo.watched)
        answer = work()
        made.append(Invocation(function, work, world.clock(), watched, records, tuple(calls[start:])))
        return answer

    def request(self: Any, event: Any, context: Any) -> Any:
        return note("api", partial(gateway, self, event, context), 1)

    def message(self: worlds.World, function: str, event: Any) -> Any:
        return note(function, partial(invoke, self, function, event), len(event["Records"]))

    with (
        mock.patch.object(worlds.switchboard.app.__class__, "__call__", request),
        mock.patch.object(worlds.World, "invoke", message),
        recorded() as calls,
    ):
        launch = world.ask()
        world.settle()
        world.decide(launch, "lead", "lead")
        world.settle()
        world.clock.go(**RUNS)
        world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="dev")
        world.settle()
    if world.read(launch["id"])["state"] != "TERMINATED":
        raise RuntimeError("the launch did not come to its end")
    usage = [event for event in world.events() if event["type"] == "usage.recorded"]
    if not usage:
        raise RuntimeError("nothing was billed")
    return Life(tuple(made))


def warm(world: worlds.World) -> None:
    """Let a life go by, and another begin: what is made once a process is made now. Draw the same numbers from now on."""
    walk(world)
    world.ask("ops")
    world.settle()
    world.events()
    world.gonogo.random = lambda size: (b"\x07" * 32)[:size]  # type: ignore[method-assign]


@contextmanager
def alone() -> Iterator[None]:
    """Let calls go past moto, to whatever plays the answers, and its memory not be walked in our turn."""
    from moto.core import botocore_stubber

    gc.collect()
    gc.freeze()
    with mock.patch.object(botocore_stubber.BotocoreStubber, "__call__", lambda *_, **__: None):  # noqa: PT008 - a mock costs CPU itself
        yield
    gc.unfreeze()


def ours(world: worlds.World, invocations: Sequence[Invocation]) -> Callable[[], None]:
    """Return what plays these again, each at its time, AWS answering at once what it answered then."""
    calls = calls_of(invocations)

    def work() -> None:
        vars(world.gonogo).pop("limits", None)  # the same people ask a thousand times in the same minute
        with played(calls):
            for one in invocations:
                world.clock.time, world.gonogo.watched = one.at, dict(one.watched)
                answer = one.work()
                if answer and answer.get("batchItemFailures"):
                    raise RuntimeError(f"{one.function} did not do again what it did")

    return work


def floor(invocations: Sequence[Invocation]) -> Callable[[], None]:
    """Return what makes just the AWS calls of these, raw, by the clients that boto3 makes."""
    import boto3
    from botocore.exceptions import ClientError

    calls = calls_of(invocations)
    make: Any = boto3.client
    clients = {name: make(name, region_name=worlds.REGION) for name in {call.service for call in calls}}

    def work() -> None:
        with played(calls):
            for call in calls:
                try:
                    clients[call.service]._make_api_call(call.operation, call.arguments)  # noqa: SLF001
                except ClientError:
                    continue  # it was refused then, too

    return work


def cpu(*works: Callable[[], Any], turns: int = TURNS, rounds: int = ROUNDS) -> list[float]:
    """Return the least CPU seconds of each, per run; they take turns, so that noise hits all alike."""
    best = [math.inf] * len(works)
    for _ in range(turns):
        for index, work in enumerate(works):
            start = time.process_time()
            for _ in range(rounds):
                work()
            best[index] = min(best[index], (time.process_time() - start) / rounds)
    return best
