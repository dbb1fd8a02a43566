"""Two things at once, in every order of their calls to the outside: one outcome, and never a launch too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from gonogo.core.errors import GonogoError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.service import launch as launcher
from gonogo.service import observe, wake
from tests.service import lives
from tests.service.road import Road

ORDERS = "orders of two"
ENDS = {
    "launch.rejected": State.REJECTED,
    "launch.expired": State.EXPIRED,
    "launch.cancelled": State.CANCELLED,
    "launch.failed": State.FAILED,
    "launch.terminated": State.TERMINATED,
}
Act = Callable[[Road, Launch], object]


def waiting(road: Road) -> Launch:
    """Ask for a launch, and let its approvers be asked."""
    launch = road.submit()
    road.settle()
    return launch


def cleared(road: Road) -> Launch:
    """Let it be cleared, and its launcher wait."""
    launch = waiting(road)
    road.queues["launch"].held = True
    road.decide("lead", launch, "lead")
    road.settle()
    return launch


def running(road: Road) -> Launch:
    """Let it run, and its launcher wait."""
    launch = cleared(road)
    road.queues["launch"].held = False
    road.until(lambda: lives.runs(road, launch))
    road.queues["launch"].held = True
    return launch


def expire(road: Road, _launch: Launch) -> None:
    """Let the time be over, and the alarm ring."""
    road.clock.go(days=3)
    wake.wake(road.outside)


def late(road: Road, _launch: Launch) -> None:
    """Let the alarm of a cue ring."""
    road.clock.go(minutes=6)
    wake.wake(road.outside)


def code(road: Road, launch: Launch) -> object:
    """Say go with the link that one was sent."""
    found = [one.code for one in road.letters("lead2", "decide") if one.launch == launch.id]
    return road.follow(str(found[-1]))


def dies(road: Road, launch: Launch) -> None:
    """Let the instance end by itself, and be seen."""
    (machine,) = road.now(launch).resources
    road.cloud.turn(machine.id, "terminated")
    observe.observe(
        road.outside,
        machine.id,
        region="us-east-1",
        said="terminated",
        said_at=road.clock() + timedelta(seconds=1),
    )


def launches(road: Road, launch: Launch) -> None:
    """Give the launcher its cue."""
    launcher.launch(road.outside, launch.id)


def stop(road: Road, launch: Launch) -> None:
    """Want it stopped, and give the launcher its cue."""
    road.change("dev", launch, "stop")
    launches(road, launch)


def terminate(road: Road, launch: Launch) -> None:
    """Want it terminated, and give the launcher its cue."""
    road.change("ops", launch, "terminate")
    launches(road, launch)


SITUATIONS: dict[str, tuple[Callable[[Road], Launch], dict[str, Act]]] = {
    "waiting": (
        waiting,
        {
            "approve": lambda road, launch: road.decide("lead", launch, "lead"),
            "approve by link": code,
            "reject": lambda road, launch: road.decide("lead3", launch, "lead", "reject"),
            "cancel": lambda road, launch: road.change("dev", launch, "cancel"),
            "expire": expire,
        },
    ),
    "cleared": (
        cleared,
        {
            "launch": launches,
            "launch again": launches,
            "cancel": lambda road, launch: road.change("dev", launch, "cancel"),
            "lose the approver": lambda road, _launch: road.outside.publish_policy(
                lives.policy_without_lead()
            ),
            "ring": late,
        },
    ),
    "running": (
        running,
        {
            "stop": stop,
            "terminate": terminate,
            "end by itself": dies,
            "launch again": launches,
            "ring": late,
        },
    ),
}
PAIRS = [(name, *pair) for name, (_, acts) in SITUATIONS.items() for pair in permutations(acts, 2)]


def played(situation: str, first: str, second: str, at: int) -> tuple[Road, Launch, int]:
    """Play two acts: the second before the nth call of the first; return how many calls the first makes."""
    begin, acts = SITUATIONS[situation]
    road = lives.road(lives.policy())
    launch = begin(road)
    left = at
    call = road.faults.call
    calls = 0

    def between(name: str, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        nonlocal left, calls
        if left == 0:
            left = -1
            road.faults.call = call  # type: ignore[method-assign]
            act(second)
            road.faults.call = between  # type: ignore[method-assign]
        left -= left > 0
        calls += 1
        return call(name, operation, *arguments, **options)

    def act(name: str) -> None:
        try:
            acts[name](road, launch)
        except GonogoError:
            pass
        except ExceptionGroup as several:
            if several.split(GonogoError)[1] is not None:
                raise

    road.faults.call = between  # type: ignore[method-assign]
    act(first)
    road.faults.call = call  # type: ignore[method-assign]
    if left >= 0:
        act(second)
    road.queues["launch"].held = False
    road.settle()
    return road, launch, calls


def wrongs(road: Road, launch: Launch) -> Iterator[str]:
    """Say what is not as it must be, whatever the order."""
    now, history = road.now(launch), road.happened(launch)
    told = Counter(one.type for one in history)
    yield from (f"surprised by {error!r}" for error in road.surprises)
    if [one.seq for one in history] != list(range(1, now.seq + 1)):
        yield "its history has a gap"
    ended = [name for name in ENDS if told[name]]
    if len(ended) > 1 or any(told[name] > 1 for name in ended):
        yield f"it ended as {ended}"
    if [ENDS[name] for name in ended] != ([now.state] if now.state in ENDS.values() else []):
        yield f"it ended as {ended}, and is {now.state}"
    machines = road.cloud.machines
    if len(machines) > 1:
        yield f"{len(machines)} instances of one"
    if machines and (
        not told["launch.started"] or now.state not in (State.RUNNING, State.STOPPED, State.TERMINATED)
    ):
        yield f"launched, and {now.state}"
    if now.state is State.TERMINATED and {one.state for one in machines.values()} != {"terminated"}:
        yield "terminated, and running"
    if told["launch.started"] and not told["launch.cleared"]:
        yield "launched without a word of any gate"
    published = {one["id"] for one in road.outside.sent_on.published}
    if {f"{launch.id}-{one.seq}" for one in history} - published:
        yield "an event was never published"


@pytest.mark.parametrize(("situation", "first", "second"), PAIRS)
def test_in_whatever_order_there_is_one_outcome(
    situation: str, first: str, second: str, record_property: Callable[[str, object], None]
) -> None:
    """People, clocks and launchers do not wait for each other."""
    _, _, calls = played(situation, first, second, -1)
    found = {}
    for at in range(calls + 1):
        road, launch, _ = played(situation, first, second, at)
        what = list(wrongs(road, launch))
        if what:
            found[f"{second} before call {at} of {first}"] = what
    record_property(ORDERS, calls + 1)
    assert found == {}


@pytest.mark.parametrize(("situation", "first", "second"), [one for one in PAIRS if one[1] < one[2]])
def test_nothing_that_was_agreed_is_undone(situation: str, first: str, second: str) -> None:
    """Whatever the order, it goes on: in a few hours it is over, or it runs as somebody wants it."""
    road, launch, _ = played(situation, first, second, 1)
    road.sleep(hours=6)
    now = road.now(launch)
    assert list(wrongs(road, launch)) == []
    assert now.state is not State.PENDING
    assert now.state is not State.LAUNCHING
    assert now.wanted is None or now.state is State.TERMINATED
