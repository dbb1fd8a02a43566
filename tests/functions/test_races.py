"""Many at once: one outcome, a history that tells it as it was, and never an error of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from gonogo.core import clock
from gonogo.core.launch import Launch
from tests.functions.arriving import again
from tests.functions.faults import on_each_call, silent
from tests.functions.policy import TWO_MORE_LEADS, TWO_OF_THREE, gate, policy
from tests.functions.world import Answer, World

Deed = Callable[[], Answer]


def at_once(*deeds: Deed) -> list[Answer]:
    """Do all at once, and return what each was answered."""
    start = Barrier(len(deeds))

    def do(deed: Deed) -> Answer:
        start.wait()
        return deed()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(do, deeds))


def in_between(first: Deed, second: Callable[[], object], write: str = "dynamodb.UpdateItem") -> Answer:
    """Let `second` happen whole after `first` has read and decided, just before it writes."""
    waiting = [second]

    def act(operation: str, _parameters: Mapping[str, Any]) -> None:
        if operation == write and waiting:
            waiting.pop()()

    with on_each_call(before=act):
        answer = first()
    assert not waiting
    return answer


def says(world: World, launch: Any, who: str, verdict: str = "approve") -> Deed:
    """Return somebody's decision, yet to be made."""
    return lambda: world.decide(launch, who, "lead", verdict)


def cancels(world: World, launch: Any) -> Deed:
    """Return the requester's cancelling, yet to be done."""
    return lambda: world.call("POST", f"/v1/launches/{launch['id']}/cancel", {}, who="dev")


def told(world: World, launch: Any) -> list[dict[str, Any]]:
    """Return the history of a launch, after asserting that it counts without a gap and ends once at most."""
    items: list[dict[str, Any]] = world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev").json[
        "items"
    ]
    assert [one["seq"] for one in items] == list(range(1, len(items) + 1))
    ends = ("launch.rejected", "launch.cancelled", "launch.expired")
    assert sum(one["type"] in ends for one in items) <= 1
    return items


def test_two_approvers_at_once_open_a_gate_of_two(world: World) -> None:
    """Neither overwrites the other: both count, and the launch is cleared once."""
    world.publish(TWO_OF_THREE)
    for _ in range(2):
        launch = world.ask()
        answers = at_once(says(world, launch, "lead"), says(world, launch, "lead2"))
        assert [one.code for one in answers] == [200, 200]
        after = world.read(launch["id"])
        assert (after["state"], after["gates"][0]["approvals"]) == ("PENDING", 2)
        kinds = Counter(one["type"] for one in told(world, launch))
        assert (kinds["gate.decided"], kinds["gate.closed"], kinds["launch.cleared"]) == (2, 1, 1)
    world.settle()
    assert len(world.instances()) == 2


def test_the_same_approver_sixteen_times_at_once_is_one(world: World) -> None:
    """A doubled click, or a script, fills one seat."""
    world.publish(TWO_OF_THREE)
    launch = world.ask()
    world.settle()
    code = world.token("lead")

    def by_code() -> Answer:
        return world.call("POST", "/v1/decisions", {"token": code, "verdict": "approve"})

    answers = at_once(*[by_code, says(world, launch, "lead")] * 8)
    assert [one.code for one in answers] == [200] * 16
    after = world.read(launch["id"])
    assert (after["state"], after["gates"][0]["approvals"], after["version"]) == ("PENDING_APPROVAL", 1, 2)
    assert Counter(one["type"] for one in told(world, launch))["gate.decided"] == 1


def test_approve_against_reject_against_cancel(world: World) -> None:
    """Exactly one of them ends it; the others are told so, and a rejected launch is never launched."""
    for _ in range(4):
        launch = world.ask()
        yes, no, never = at_once(
            says(world, launch, "lead"), says(world, launch, "lead", "reject"), cancels(world, launch)
        )
        assert {one.code for one in (yes, no, never)} <= {200, 409}
        after = world.read(launch["id"])
        kinds = Counter(one["type"] for one in told(world, launch))
        assert kinds["gate.decided"] <= 1
        assert kinds["gate.closed"] == 1
        if after["state"] == "CANCELLED":  # what is cleared may still be cancelled, until it is launched
            assert (never.code, no.code) == (200, 409)
        elif after["state"] == "REJECTED":
            assert (yes.code, no.code, never.code) == (409, 200, 409)
        else:
            assert (after["state"], yes.code, no.code) == ("PENDING", 200, 409)
    world.settle()
    going = [
        one for one in world.call("GET", "/v1/launches", who="dev").json["items"] if one["state"] == "RUNNING"
    ]
    assert len(world.instances()) == len(going)


def test_approve_against_the_clock(world: World) -> None:
    """Waking and deciding in the same second end in one of both, whatever comes first."""
    for _ in range(4):
        launch = world.ask()
        world.clock.go(days=3, seconds=-1)
        gate_closes = world.clock()

        def expire() -> Answer:
            world.clock.go(seconds=1)
            world.wake()
            return world.call("GET", "/healthz")

        yes, _ = at_once(says(world, launch, "lead"), expire)
        after = world.read(launch["id"])
        assert (yes.code, after["state"]) in ((200, "PENDING"), (409, "EXPIRED"), (409, "PENDING_APPROVAL"))
        assert world.clock() > gate_closes
        told(world, launch)


def test_cancel_against_the_launcher(world: World) -> None:
    """What is cancelled in time is never launched, and what is launched is not called cancelled."""
    for _ in range(4):
        launch = world.ask("ops")
        cue = {"type": "launch.cleared", "subject": launch["id"], "seq": 2}

        def start(cue: dict[str, Any] = cue) -> Answer:
            assert again(world, "launch", cue) == []
            return world.call("GET", "/healthz")

        def cancel(launch: Any = launch) -> Answer:
            return world.call("POST", f"/v1/launches/{launch['id']}/cancel", {}, who="ops")

        _, cancelled = at_once(start, cancel)
        state = world.read(launch["id"])["state"]
        made = [
            one for one in world.instances() if {"Key": "gonogo:launch", "Value": launch["id"]} in one["Tags"]
        ]
        assert (cancelled.code, state, len(made)) in ((200, "CANCELLED", 0), (409, "RUNNING", 1))


def test_two_launchers_at_once_make_one(world: World) -> None:
    """A message that Lambda hands to two of us is one launch."""
    for _ in range(3):
        launch = world.ask("ops")
        cue = {"type": "launch.cleared", "subject": launch["id"], "seq": 2}

        def start(cue: dict[str, Any] = cue) -> Answer:
            again(world, "launch", cue)
            return world.call("GET", "/healthz")

        at_once(start, start, start)
        again(world, "launch", cue)
        assert world.read(launch["id"])["state"] == "RUNNING"
        assert Counter(one["type"] for one in told(world, launch))["launch.started"] == 1
    assert len(world.instances()) == 3


def test_one_key_sixteen_times_at_once_is_one_launch(world: World) -> None:
    """A client that sends again before the first answer came has asked once."""
    body = {"template": "web-small", "reason": "fair", "cost_center": "marketing"}

    def ask() -> Answer:
        return world.call("POST", "/v1/launches", body, who="dev", headers={"idempotency-key": "k"})

    answers = at_once(*[ask] * 16)
    assert {one.code for one in answers} == {201}
    assert len({one.text for one in answers}) == 1
    assert len(world.call("GET", "/v1/launches", who="dev").json["items"]) == 1


def test_a_cancel_just_before_the_decision_is_written(world: World) -> None:
    """Who decides what was cancelled meanwhile is told so, and changes nothing."""
    launch = world.ask()
    answer = in_between(says(world, launch, "lead"), cancels(world, launch))
    assert (answer.code, answer.json["type"]) == (409, "urn:gonogo:problem:gate-not-open")
    assert world.read(launch["id"])["state"] == "CANCELLED"


def test_the_second_to_last_approval_just_before_the_last(world: World) -> None:
    """The one who reads a gate with no approvals, and writes after another's, completes the quorum."""
    world.publish(TWO_OF_THREE)
    launch = world.ask()
    answer = in_between(says(world, launch, "lead"), says(world, launch, "lead2"))
    assert (answer.code, answer.json["state"], answer.json["gates"][0]["approvals"]) == (200, "PENDING", 2)


def test_a_gate_that_opens_again_just_before_the_decision_is_written(world: World) -> None:
    """A code dies with its round, even while it is being used."""
    world.publish(policy(TWO_MORE_LEADS))
    launch = world.ask(template="gpu-large")
    world.settle()
    code = world.token("lead2")
    world.publish(policy(TWO_MORE_LEADS, lead=gate("lead", quorum=2)))
    world.decide(launch, "lead", "lead")
    world.decide(launch, "lead", "lead", "revoke")
    world.settle()
    newer = world.token("lead2")
    assert newer != code

    def by_code() -> Answer:
        return world.call("POST", "/v1/decisions", {"token": newer, "verdict": "approve"})

    def opens_again() -> None:
        world.decide(launch, "lead", "lead")
        world.decide(launch, "lead", "lead", "revoke")

    answer = in_between(by_code, opens_again)
    assert (answer.code, answer.json["type"]) == (409, "urn:gonogo:problem:gate-not-open")
    assert world.read(launch["id"])["gates"][0]["approvals"] == 0


@pytest.mark.parametrize("lost", ["before", "after"])
def test_an_answer_of_the_table_that_never_came(world: World, lost: str) -> None:
    """Whether the write was done or not, nobody hears that it failed: 503 asks for the same again."""
    launch = world.ask()
    if lost == "before":
        with on_each_call(before=silent("dynamodb.UpdateItem")):
            answer = world.decide(launch, "lead", "lead")
    else:
        with on_each_call(after=silent("dynamodb.UpdateItem")):
            answer = world.decide(launch, "lead", "lead")
    assert (answer.code, answer.headers["retry-after"]) == (503, "5")
    assert world.decide(launch, "lead", "lead").code == 200
    assert Counter(one["type"] for one in told(world, launch))["gate.decided"] == 1


def test_a_table_that_is_never_ours(world: World) -> None:
    """Where others are faster every time, the answer is to try again, and nothing is half done."""
    launch = world.ask()
    items = world.gonogo.items

    def somebody_else(operation: str, _parameters: Mapping[str, Any]) -> None:
        if operation == "dynamodb.UpdateItem":
            item = items.get(Launch, launch["id"])
            assert item is not None
            items.save(item, clock.tick(item.changed(due_at=item.at), at=world.clock()))

    depth: list[int] = []

    def once(operation: str, parameters: Mapping[str, Any]) -> None:
        if not depth:
            depth.append(1)
            somebody_else(operation, parameters)
            depth.pop()

    with on_each_call(before=once):
        answer = world.decide(launch, "lead", "lead")
    assert (answer.code, answer.json["type"]) == (503, "urn:gonogo:problem:busy")
    assert world.read(launch["id"])["gates"][0]["decisions"] == []
