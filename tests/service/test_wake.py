"""Waking: time does what it must, even where every message was lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.gates import GateState
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.service import wake
from tests.service import lives
from tests.service.road import Road


def lose_everything(road: Road) -> None:
    """Let the stream be lost, with all that is in it, and every message that is under way."""
    road._read = len(road.table.changes)
    for queue in road.queues.values():
        queue.messages.clear()


def test_nothing_is_due_and_nothing_happens(road: Road) -> None:
    """A launch that was just asked for needs no reminder."""
    road.submit()
    assert wake.wake(road.outside) == 0


def test_approvers_are_asked_though_the_first_cue_was_lost(road: Road) -> None:
    """The alarm gives it again, under the same id."""
    road.submit()
    lose_everything(road)
    road.settle()
    assert road.letters() == []
    road.sleep(minutes=6)
    assert {one.to for one in road.letters(topic="decide")} == {"lead", "lead2", "lead3"}


def test_what_is_cleared_is_launched_though_the_cue_was_lost(road: Road) -> None:
    """Twice, if need be."""
    launch = road.submit()
    road.decide("lead", launch, "lead")
    for _ in range(2):
        lose_everything(road)
        road.clock.go(minutes=11)
        wake.wake(road.outside)
    road.until(lambda: road.state(launch) is State.RUNNING)
    assert len(road.cloud.machines) == 1


def test_a_change_is_made_though_the_cue_was_lost(road: Road) -> None:
    """A stop that was asked for costs money until it is done."""
    launch = road.submit("ops")
    road.until(lambda: lives.runs(road, launch))
    road.change("ops", launch, "stop")
    lose_everything(road)
    road.until(lambda: road.state(launch) is State.STOPPED)


def test_a_stream_that_was_down_for_two_days_strands_nothing(road: Road) -> None:
    """It keeps 24 hours only."""
    launch = road.submit()
    for _ in range(48):
        road.clock.go(hours=1)
        wake.wake(road.outside)
        lose_everything(road)
    assert road.letters() == []
    road.until(lambda: road.code("lead2"), within=timedelta(hours=12))
    road.follow(road.wait_for_code("lead2"))
    road.until(lambda: road.state(launch) is State.RUNNING)


def test_a_gate_expires_at_its_time(road: Road) -> None:
    """Whether anybody was told or not."""
    launch = road.submit()
    lose_everything(road)
    expires_at = launch.gate("lead").expires_at
    assert expires_at is not None
    road.clock.time = expires_at - timedelta(microseconds=1)
    wake.wake(road.outside)
    assert road.state(launch) is State.PENDING_APPROVAL
    road.clock.time = expires_at
    wake.wake(road.outside)
    assert road.state(launch) is State.EXPIRED
    assert road.now(launch).gate("lead").state is GateState.EXPIRED


def test_waking_again_changes_nothing(road: Road) -> None:
    """The schedule fires at least once."""
    launch = road.submit()
    road.clock.go(minutes=6)
    assert wake.wake(road.outside) == 1
    before = road.now(launch)
    assert wake.wake(road.outside) == 0
    assert road.now(launch) == before


def test_a_cue_is_given_again_less_and_less_often(road: Road) -> None:
    """Three days of waiting are not a thousand messages."""
    launch = road.submit()
    times = 0
    for _ in range(3 * 24 * 60 - 1):
        road.clock.go(minutes=1)
        times += wake.wake(road.outside)
    assert road.state(launch) is State.PENDING_APPROVAL
    assert 5 < times < 30


def test_one_item_that_cannot_be_ticked_holds_up_no_other(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the first in line each minute, and everything behind it would wait for ever."""
    first, second = road.submit(key="1"), road.submit(key="2")
    road.clock.go(days=3)
    get = road.table.get

    def broken(kind: type[Launch], id: str) -> Launch | None:  # noqa: A002
        if id == first.id:
            raise ValueError("cannot be read")
        return get(kind, id)

    monkeypatch.setattr(road.table, "get", broken)
    with pytest.raises(ExceptionGroup) as caught:
        wake.wake(road.outside)
    monkeypatch.undo()
    assert [str(one) for one in caught.value.exceptions] == ["cannot be read"]
    assert (road.state(first), road.state(second)) == (State.PENDING_APPROVAL, State.EXPIRED)
    wake.wake(road.outside)
    assert road.state(first) is State.EXPIRED


def test_a_table_that_is_out_is_asked_a_minute_later(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost by that."""

    def out(*_: object) -> None:
        raise LaterError("DynamoDB is out")

    launch = road.submit()
    road.clock.go(days=3)
    monkeypatch.setattr(road.table, "due", out)
    with pytest.raises(LaterError):
        wake.wake(road.outside)
    monkeypatch.undo()
    wake.wake(road.outside)
    assert road.state(launch) is State.EXPIRED


def test_a_lease_ends_what_runs(road: Road) -> None:
    """Whether or not anybody remembers it."""
    launch = road.submit("ops", lease="2h")
    road.until(lambda: lives.runs(road, launch))
    road.sleep(hours=1, minutes=50)
    assert road.state(launch) is State.RUNNING
    road.until(lambda: road.state(launch) is State.TERMINATED)


def test_a_lease_that_the_engine_will_not_end_is_ended_later(road: Road) -> None:
    """It goes on costing, so it goes on being tried."""
    launch = road.submit("ops", lease="2h")
    road.until(lambda: lives.runs(road, launch))
    road.cloud.refusal = RefusedError("OperationNotPermitted", "It is protected against termination.")
    road.sleep(hours=3)
    assert road.state(launch) is State.RUNNING
    road.cloud.refusal = None
    road.until(lambda: road.state(launch) is State.TERMINATED, within=timedelta(hours=24))
