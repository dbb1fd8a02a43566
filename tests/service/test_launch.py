"""Launching what is cleared, once, as approved; changing what runs; and noting what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from gonogo.core import life
from gonogo.core.errors import (
    LaterError,
    NotFoundError,
    NotPermittedError,
    RefusedError,
    StalePriceError,
    TransitionNotAllowedError,
)
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan
from gonogo.core.states import State
from gonogo.service import launch as launcher
from gonogo.service import observe
from tests.core.builders import policy_files, replaced
from tests.memory import Machine
from tests.service import lives
from tests.service.faults import Crash
from tests.service.road import Road


@pytest.fixture
def cleared(road: Road) -> Launch:
    """Give a launch that every gate has let go, and no launcher has seen."""
    launch = road.submit()
    return road.decide("lead", launch, "lead")


def launch(road: Road, this: Launch) -> Launch:
    """Give the launcher its cue, and return the launch as it is then."""
    launcher.launch(road.outside, this.id)
    return road.now(this)


def seen(road: Road, machine: str, said: observe.Said, minutes: int = 0) -> None:
    """Tell what EC2 tells of an instance."""
    observe.observe(
        road.outside,
        machine,
        region="us-east-1",
        said=said,
        said_at=road.clock() + timedelta(minutes=minutes),
    )


# Launching


def test_what_is_cleared_is_launched_just_as_it_was_approved(road: Road, cleared: Launch) -> None:
    """Image, type, number and region of the plan, under the launch's own tags and token."""
    after = launch(road, cleared)
    assert after.state is State.RUNNING
    (machine,) = road.cloud.machines.values()
    plan = cleared.question.plan
    assert (machine.image, machine.kind, machine.region) == (
        plan.spec["image_id"],
        plan.spec["instance_type"],
        plan.region,
    )
    assert machine.tags["gonogo:launch"] == cleared.id
    assert machine.tags["gonogo:digest"] == cleared.digest
    assert machine.token == cleared.client_token()


def test_a_cue_that_comes_again_launches_nothing_more(road: Road, cleared: Launch) -> None:
    """Queues deliver at least once."""
    for _ in range(3):
        launch(road, cleared)
    assert len(road.cloud.machines) == 1


def test_a_cue_for_what_is_not_cleared_or_not_there_does_nothing(road: Road) -> None:
    """Anybody could put an event on a queue; the launch itself is asked."""
    waiting = road.submit()
    assert launch(road, waiting).state is State.PENDING_APPROVAL
    launcher.launch(road.outside, "l-none")
    assert road.cloud.machines == {}


def test_a_launcher_that_died_is_followed_by_one_that_adopts(
    road: Road, cleared: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first made the instance and could not record it."""
    save = road.table.save

    def dies(before: Launch, after: Launch) -> None:
        if after.state is State.RUNNING:
            raise LaterError("no answer")
        save(before, after)

    monkeypatch.setattr(road.table, "save", dies)
    with pytest.raises(LaterError):
        launcher.launch(road.outside, cleared.id)
    assert road.state(cleared) is State.LAUNCHING
    monkeypatch.undo()
    assert launch(road, cleared).state is State.RUNNING
    assert len(road.cloud.machines) == 1


def test_what_the_engine_refuses_has_failed_in_its_words(road: Road, cleared: Launch) -> None:
    """The requester reads why, and may try again."""
    road.cloud.refusal = RefusedError("VcpuLimitExceeded", "You have requested more vCPU capacity.")
    after = launch(road, cleared)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert (after.failure.code, after.failure.message) == (
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity.",
    )


def test_what_the_engine_leaves_open_has_not_failed(
    road: Road, cleared: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time-out is never read as failure; the cue comes again."""

    def later(*_: object, **__: object) -> None:
        raise LaterError("no answer")

    monkeypatch.setattr(road.cloud, "launch", later)
    with pytest.raises(LaterError):
        launcher.launch(road.outside, cleared.id)
    assert road.state(cleared) is State.LAUNCHING
    monkeypatch.undo()
    assert launch(road, cleared).state is State.RUNNING


def test_a_plan_that_was_changed_behind_our_back_is_not_launched(road: Road, cleared: Launch) -> None:
    """Whoever can write the table still cannot launch what nobody approved."""
    plan = cleared.question.plan
    other = msgspec.structs.replace(plan, spec={**plan.spec, "instance_type": "p4d.24xlarge"})
    forged = cleared.changed(question=msgspec.structs.replace(cleared.question, plan=other)).next_version()
    road.table.save(cleared, forged)
    after = launch(road, cleared)
    assert after.failure is not None
    assert (after.state, after.failure.code) == (State.FAILED, "DigestMismatch")
    assert road.cloud.machines == {}


def test_who_may_ask_no_longer_gets_nothing_launched(road: Road, cleared: Launch) -> None:
    """The requester has left the developers since."""
    road.outside.publish_policy(policy_files(people=replaced('groups = ["developers"]', "groups = []")))
    after = launch(road, cleared)
    assert after.failure is not None
    assert (after.state, after.failure.code) == (State.FAILED, "NotPermitted")
    assert road.cloud.machines == {}


def test_an_operator_whose_rights_were_taken_does_not_launch_past_the_gates(road: Road) -> None:
    """It was direct when it was asked for, and would need a gate now."""
    direct = road.submit("ops")
    road.outside.publish_policy(policy_files(people=replaced('subject = "ops"', 'subject = "another"')))
    after = launch(road, direct)
    assert after.state is State.FAILED
    assert road.cloud.machines == {}


def test_who_may_approve_no_longer_counts_no_longer(road: Road, cleared: Launch) -> None:
    """The gate opens again, and says so."""
    road.outside.publish_policy(lives.policy_without_lead())
    after = launch(road, cleared)
    assert (after.state, after.gate("lead").round) == (State.PENDING_APPROVAL, 2)
    assert road.cloud.machines == {}
    road.decide("lead2", after, "lead")
    assert launch(road, cleared).state is State.RUNNING


def test_of_two_launchers_one_records(road: Road, cleared: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other made the same call, got the same instance, and finds that all is done."""
    make = road.cloud.launch
    inside: list[bool] = []

    def slow(plan: Plan, **options: object) -> tuple[str, ...]:
        if not inside:
            inside.append(True)
            launcher.launch(road.outside, cleared.id)
        return make(plan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(road.cloud, "launch", slow)
    after = launch(road, cleared)
    assert (after.state, len(road.cloud.machines)) == (State.RUNNING, 1)
    assert road.history(cleared).count("launch.started") == 1


def test_what_is_made_after_another_launcher_was_refused_is_taken_back(
    road: Road, cleared: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is on record, so nobody would ever end or pay for what the slower call has made."""
    make = road.cloud.launch
    inside: list[bool] = []

    def slow(plan: Plan, **options: object) -> tuple[str, ...]:
        if not inside:
            inside.append(True)
            road.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "There is none left.")
            launcher.launch(road.outside, cleared.id)
            road.cloud.refusal = None
        return make(plan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(road.cloud, "launch", slow)
    after = launch(road, cleared)
    assert after.state is State.FAILED
    assert {one.state for one in road.cloud.machines.values()} == {"terminated"}
    assert set(after.rolled_back) == road.cloud.machines.keys()


# Choices and parts

CHOICES = """
[[choices]]
instance_type = "t3.small"
[[choices]]
subnet_ids = ["subnet-3", "subnet-4"]
"""
MICRO, SMALL = ((("subnet-1", kind), ("subnet-2", kind)) for kind in ("t3.micro", "t3.small"))
ELSEWHERE = (("subnet-3", "t3.micro"), ("subnet-4", "t3.micro"))


def spread(road: Road, *full: tuple[str, str], partial: bool = False) -> Launch:
    """Give a launch of three in two subnets, or of another type, or in two other subnets, which is cleared."""
    road.cloud.full = set(full)
    road.outside.publish_policy(
        policy_files(
            web_small=lambda text: (
                replaced("[spec]", '[spec]\nsubnet_ids = ["subnet-1", "subnet-2"]')(
                    text.replace("region =", f"partial = {str(partial).lower()}\nregion =", 1)
                )
                + CHOICES
            )
        )
    )
    return road.submit("ops", parameters={"count": 3})


def live(road: Road) -> list[tuple[str, str]]:
    """Return id and type of all that runs."""
    return [(one.id, one.kind) for one in road.cloud.machines.values() if one.state != "terminated"]


def attempts(this: Launch) -> list[tuple[int, str, int]]:
    """Return choice, code, and how many were made, of each attempt that failed and was followed by another."""
    return [
        (one.data["choice"], one.data["code"], len(one.data["made"]))
        for one in this.history
        if one.type == "launch.attempt_failed"
    ]


NONE_LEFT = "InsufficientInstanceCapacity"


@pytest.mark.parametrize(
    ("full", "choice", "kind", "failed"),
    [
        ((), 1, "t3.micro", []),
        (MICRO[:1], 2, "t3.small", [(1, NONE_LEFT, 0)]),
        (MICRO[1:], 2, "t3.small", [(1, NONE_LEFT, 2)]),
        ((*MICRO, SMALL[1]), 3, "t3.micro", [(1, NONE_LEFT, 0), (2, NONE_LEFT, 2)]),
    ],
)
def test_where_there_is_no_room_the_next_choice_is_made(
    road: Road, full: Sequence[tuple[str, str]], choice: int, kind: str, failed: list[tuple[int, str, int]]
) -> None:
    """All or none of each: what was made of one is taken back before the next is tried, and all is on record."""
    after = launch(road, spread(road, *full))
    assert (after.state, after.choice, attempts(after)) == (State.RUNNING, choice, failed)
    assert live(road) == [(one.id, kind) for one in after.resources]
    assert len(after.resources) == 3
    assert set(after.rolled_back) == road.cloud.machines.keys() - {one.id for one in after.resources}


def test_what_every_choice_would_cost_is_what_is_approved(road: Road) -> None:
    """Whoever says go says so to the dearest of them; each of them runs under a token of its own."""
    this = spread(road, *MICRO)
    assert str(this.question.price.hourly) == "0.0624"
    after = launch(road, this)
    assert after.digest == this.digest
    assert {one.token for one in road.cloud.machines.values()} == {
        after.client_token(),
        f"{after.client_token()}-2",
    }
    assert after.client_token() != this.client_token()


def test_without_any_room_it_has_failed_and_nothing_stays(road: Road) -> None:
    """A retry begins again with the first choice."""
    this = spread(road, MICRO[1], SMALL[0], ELSEWHERE[1])
    after = launch(road, this)
    assert after.failure is not None
    assert (after.state, after.failure.code, live(road)) == (State.FAILED, NONE_LEFT, [])
    assert attempts(after) == [(1, NONE_LEFT, 2), (2, NONE_LEFT, 0), (3, NONE_LEFT, 2)]
    assert set(after.rolled_back) == road.cloud.machines.keys()
    road.cloud.full = set()
    again = launch(road, road.change("ops", after, "retry"))
    assert (again.state, again.choice, again.attempt, len(live(road))) == (State.RUNNING, 1, 2, 3)


def test_what_could_be_made_is_kept_where_the_template_says_so(road: Road) -> None:
    """And the history says what is missing; of a choice of which nothing can be made, the next is tried."""
    after = launch(road, spread(road, MICRO[0], SMALL[1], partial=True))
    assert (after.state, after.choice, after.rolled_back) == (State.RUNNING, 2, ())
    assert attempts(after) == [(1, NONE_LEFT, 0), (2, NONE_LEFT, 2)]
    assert live(road) == [(one.id, "t3.small") for one in after.resources]
    assert len(after.resources) == 2
    road.until(lambda: lives.runs(road, after))


def test_a_launcher_that_dies_while_it_takes_back_is_followed_by_one_that_goes_on(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it terminates what was made, or after, and before it could record that."""
    this = spread(road, MICRO[1])
    terminate, save = road.cloud.terminate, road.table.save

    def dies(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(road.cloud, "terminate", dies)
    with pytest.raises(Crash):
        launcher.launch(road.outside, this.id)
    assert [kind for _, kind in live(road)] == ["t3.micro"] * 2
    assert road.now(this).undo is not None
    monkeypatch.setattr(road.cloud, "terminate", terminate)
    monkeypatch.setattr(road.table, "save", dies)
    with pytest.raises(Crash):
        launcher.launch(road.outside, this.id)
    assert live(road) == []
    monkeypatch.setattr(road.table, "save", save)
    after = launch(road, this)
    assert (after.state, after.choice, attempts(after)) == (State.RUNNING, 2, [(1, NONE_LEFT, 2)])
    assert [kind for _, kind in live(road)] == ["t3.small"] * 3


def test_what_is_to_be_taken_back_and_is_not_there_may_be_too_new(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is tried before it is terminated; after an hour it is not there because it has ended."""
    this = spread(road, MICRO[1])
    machines: dict[str, Machine] = {}

    def hidden(plan: Plan, resources: Sequence[str]) -> None:
        machines.update(road.cloud.machines)
        road.cloud.machines.clear()
        terminate(plan, resources)

    terminate = road.cloud.terminate
    monkeypatch.setattr(road.cloud, "terminate", hidden)
    for _ in range(2):
        with pytest.raises(LaterError):
            launcher.launch(road.outside, this.id)
        road.clock.go(minutes=29)
    assert (road.state(this), len(machines)) == (State.LAUNCHING, 2)
    road.clock.go(minutes=2)
    assert launch(road, this).state is State.RUNNING
    assert [kind for _, kind in live(road)] == ["t3.small"] * 3


def test_what_is_taken_back_is_noted_and_billed_all_the_same(road: Road) -> None:
    """It ran, if only for a minute."""
    this = spread(road, MICRO[1])
    road.until(lambda: lives.runs(road, this))
    found = {one.id: one.state for one in road.table.all(Instance)}
    assert found == {one.id: one.state for one in road.cloud.machines.values()}
    assert list(found.values()).count("terminated") == 2


# Changing


@pytest.fixture
def running(road: Road) -> Launch:
    """Give a launch whose instance runs."""
    made = road.submit("ops")
    road.until(lambda: lives.runs(road, made))
    return road.now(made)


def test_whoever_asked_stops_and_starts_it(road: Road, running: Launch) -> None:
    """And each is done once, however often it is asked."""
    for wanted, state in (("stop", State.STOPPED), ("stop", State.STOPPED), ("start", State.RUNNING)):
        road.change("ops", running, wanted)
        road.settle()
        assert road.state(running) is state
    assert road.history(running).count("launch.change_requested") == 2


def test_who_could_launch_it_directly_may_end_it(road: Road) -> None:
    """Somebody must be able to, when whoever asked is on holiday."""
    launched = road.submit()
    road.decide("lead", launched, "lead")
    road.until(lambda: lives.runs(road, launched))
    with pytest.raises(NotPermittedError):
        road.change("lead", launched, "terminate")
    road.change("ops", launched, "terminate")
    road.settle()
    assert road.state(launched) is State.TERMINATED


def test_only_whoever_asked_cancels_or_retries(road: Road) -> None:
    """It is their wish."""
    launched = road.submit()
    for who in ("ops", "lead"):
        for wanted in ("cancel", "retry"):
            with pytest.raises(NotPermittedError):
                road.change(who, launched, wanted)
    assert road.change("dev", launched, "cancel").state is State.CANCELLED
    assert road.change("dev", launched, "cancel").state is State.CANCELLED


def test_a_change_of_what_is_not_there_is_not_found(road: Road, running: Launch) -> None:
    """As for reading."""
    for wanted in ("cancel", "retry", "stop", "start", "terminate"):
        with pytest.raises(NotFoundError):
            road.change("ops", running.changed(id="l-none"), wanted)


@pytest.mark.parametrize("wanted", ["start", "terminate", "stop"])
def test_what_does_not_run_cannot_be_changed(road: Road, wanted: str) -> None:
    """It waits for approval."""
    launched = road.submit()
    with pytest.raises(TransitionNotAllowedError):
        road.change("dev", launched, wanted)


def test_a_change_that_the_engine_refuses_leaves_it_as_it_is(road: Road, running: Launch) -> None:
    """And whoever wanted it is told."""
    road.cloud.refusal = RefusedError("UnsupportedOperation", "Not this one.")
    road.change("ops", running, "stop")
    road.settle()
    after = road.now(running)
    assert (after.state, after.wanted) == (State.RUNNING, None)
    assert [one.topic for one in road.letters("ops")][-1] == "change_failed"


def test_terminating_is_the_last_word(road: Road, running: Launch) -> None:
    """A start that was asked for meanwhile does not raise the dead."""
    road.queues["launch"].held = True
    road.change("ops", running, "terminate")
    with pytest.raises(TransitionNotAllowedError):
        road.change("ops", running, "stop")
    road.queues["launch"].held = False
    road.settle()
    assert road.state(running) is State.TERMINATED


def test_a_retry_is_another_attempt_of_the_same(road: Road, cleared: Launch) -> None:
    """Nobody is asked again; the engine gets another token."""
    road.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "None left.")
    failed = launch(road, cleared)
    road.cloud.refusal = None
    again = road.change("dev", failed, "retry")
    assert (again.state, again.attempt, again.digest) == (State.PENDING, 2, failed.digest)
    after = launch(road, again)
    (machine,) = road.cloud.machines.values()
    assert machine.token == after.client_token() != failed.client_token()


def test_a_retry_that_is_asked_twice_is_one(road: Road, cleared: Launch) -> None:
    """The client got no answer to the first, and must not read a conflict as failure."""
    road.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "None left.")
    failed = launch(road, cleared)
    road.cloud.refusal = None
    first = road.change("dev", failed, "retry")
    assert road.change("dev", failed, "retry") == first
    launched = launch(road, first)
    assert road.change("dev", failed, "retry") == launched
    assert launched.attempt == 2


def test_a_retry_at_another_price_is_refused(road: Road, cleared: Launch) -> None:
    """What was approved was approved at a price."""
    road.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "None left.")
    failed = launch(road, cleared)
    road.outside.publish_policy({**lives.policy(), **_dearer()})
    with pytest.raises(StalePriceError):
        road.change("dev", failed, "retry")
    assert road.now(failed) == failed


def _dearer() -> dict[str, str]:
    return {"prices.toml": replaced('"0.0104"', '"0.0105"')(lives.policy()["prices.toml"])}


# Noting


def test_an_instance_is_recorded_with_what_a_biller_needs(road: Road, running: Launch) -> None:
    """Who pays, since when, and at the price that was approved."""
    (found,) = road.table.all(Instance)
    assert (found.launch, found.state, str(found.hourly)) == (running.id, "running", "0.0104")
    (event,) = found.history
    assert event.type == "instance.started"
    assert event.data["cost_center"] == "4711"


def test_the_engine_is_asked_and_the_message_is_not_believed(road: Road, running: Launch) -> None:
    """A forged message that says terminated finds an instance that runs, and is asked for again."""
    for said in ("terminated", "stopped"):
        with pytest.raises(LaterError):
            seen(road, running.resources[0].id, said, 1)  # type: ignore[arg-type]
    assert road.state(running) is State.RUNNING
    assert road.table.all(Instance)[0].state == "running"


def test_a_strangers_instance_is_not_ours(road: Road, running: Launch) -> None:
    """Whoever sets our tag on theirs does not have our token."""
    machine = road.cloud.machines[running.resources[0].id]
    theirs = msgspec.structs.replace(machine, id="i-theirs", token="theirs")
    road.cloud.machines["i-theirs"] = theirs
    seen(road, "i-theirs", "running")
    seen(road, "i-none", "running")
    assert {one.id for one in road.table.all(Instance)} == {machine.id}


def test_an_instance_that_the_launcher_has_not_recorded_yet_is_noted_later(
    road: Road, cleared: Launch
) -> None:
    """EC2 may be faster than we are."""
    with pytest.MonkeyPatch.context() as patch:
        save = road.table.save

        def dies(before: Launch, after: Launch) -> None:
            if after.state is State.RUNNING:
                raise LaterError("no answer")
            save(before, after)

        patch.setattr(road.table, "save", dies)
        with pytest.raises(LaterError):
            launcher.launch(road.outside, cleared.id)
    (machine,) = road.cloud.machines
    with pytest.raises(LaterError):
        seen(road, machine, "running")
    launch(road, cleared)
    seen(road, machine, "running")
    assert lives.runs(road, cleared)


def test_saying_it_twice_is_noting_it_once(road: Road, running: Launch) -> None:
    """Or a stop would be billed as two."""
    machine = running.resources[0].id
    road.cloud.turn(machine, "stopped")
    for _ in range(3):
        seen(road, machine, "stopped")
    (found,) = road.table.all(Instance)
    assert [one.type for one in found.history] == ["instance.started", "instance.stopped"]
    assert road.history(running).count("launch.stopped") == 1


def test_what_comes_late_is_noted_as_it_is_now(road: Road, running: Launch) -> None:
    """Arrival order is never promised: that it ran is old news when it is stopped."""
    machine = running.resources[0].id
    road.cloud.turn(machine, "stopped")
    seen(road, machine, "running")
    assert road.state(running) is State.STOPPED
    seen(road, machine, "running")
    seen(road, machine, "stopped")
    assert road.state(running) is State.STOPPED


def test_old_news_of_an_instance_do_not_undo_new_ones_of_its_launch(road: Road, running: Launch) -> None:
    """Two observe at once, and the slower has read the instance before the faster wrote it."""
    machine = running.resources[0].id
    road.clock.go(minutes=1)
    stopped_at = road.clock()
    road.cloud.turn(machine, "stopped")
    road.settle()
    road.clock.go(minutes=1)
    road.cloud.turn(machine, "running")
    road.settle()
    again = road.now(running)
    old = life.observe(again, resource=machine, state="stopped", changed_at=stopped_at, at=road.clock())
    assert old is again
    assert again.state is State.RUNNING


def test_an_instance_that_is_gone_has_ended(road: Road, running: Launch) -> None:
    """EC2 forgets what is terminated after an hour; a message may take longer."""
    machine = running.resources[0].id
    del road.cloud.machines[machine]
    seen(road, machine, "terminated")
    assert road.state(running) is State.TERMINATED


def test_a_launch_of_two_runs_until_both_are_gone(road: Road) -> None:
    """It is one launch."""
    launched = road.submit("ops", parameters={"count": 2})
    road.until(lambda: lives.runs(road, launched))
    first, second = (one.id for one in road.now(launched).resources)
    road.cloud.turn(first, "terminated")
    road.settle()
    assert road.state(launched) is State.RUNNING
    road.cloud.turn(second, "stopped")
    road.settle()
    assert road.state(launched) is State.STOPPED
    road.cloud.turn(second, "terminated")
    road.settle()
    assert road.state(launched) is State.TERMINATED
