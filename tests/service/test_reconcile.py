"""After a restore: what the lost time made is found before anything is launched, and who decides is asked anew."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import jsonschema_rs
import pytest

from gonogo.core import event, reconcile
from gonogo.core.budget import Ledger
from gonogo.core.errors import GateNotOpenError, NotFoundError, RefusedError, TokenInvalidError
from gonogo.core.item import EPOCH, epoch_of
from gonogo.core.launch import Launch
from gonogo.core.reconcile import Pass
from gonogo.core.states import State
from gonogo.core.watch import Stray
from gonogo.service import launch as launcher
from gonogo.service import wake
from tests.memory import Kept
from tests.service import lives
from tests.service.road import Road


def restore(road: Road, kept: Kept) -> None:
    """Restore the table to what was kept, raise the epoch, and let the pass come to its end."""
    road.outside.restore(kept)
    for _ in range(60):
        if road.outside.passed.lost() is not None:
            return road.settle()
        road.sleep(minutes=1)
    raise AssertionError("the pass does not end")


def asked(road: Road, **more: object) -> Launch:
    """Return a launch that people have been asked about."""
    this = road.submit(**more)  # type: ignore[arg-type]
    lives.asked(road, *lives.LEADS)
    return this


def approved(road: Road, this: Launch) -> Launch:
    """Approve it, and return it as it runs."""
    road.decide("lead2", this, "lead")
    road.until(lambda: lives.runs(road, this))
    return road.now(this)


def strays(road: Road) -> dict[str, str]:
    """Return what was told to run without an approval, and why."""
    return {one.id: one.why for one in road.table.all(Stray)}


def published_once(road: Road) -> None:
    """Look whether any id of an event means two things."""
    known: dict[str, object] = {}
    for one in road.outside.sent_on.published:
        assert known.setdefault(one["id"], one) == one


def test_what_was_launched_in_the_lost_time_is_adopted(road: Road) -> None:
    """The table says that people are to be asked; what they had said yes to runs, and costs."""
    this = asked(road)
    kept = road.table.keep()
    approved(road, this)
    restore(road, kept)
    road.until(lambda: lives.runs(road, this))
    found = road.now(this)
    assert len(road.cloud.machines) == 1
    assert [one.id for one in found.resources] == list(road.cloud.machines)
    told = {one["type"]: one for one in road.outside.sent_on.published}
    for name in ("launch.reconciled", "epoch.reconciled"):
        jsonschema_rs.validator_for(event.schema(event.ALL[name])).validate(told[name]["data"])
    assert told["launch.reconciled"]["data"]["made"] == list(road.cloud.machines)
    assert told["epoch.reconciled"]["data"]["adopted"] == 1
    assert strays(road) == {}
    published_once(road)
    lives.ends(road, this)
    assert not any(queue.dead for queue in road.queues.values())


def test_what_has_ended_since_is_not_launched_again(road: Road) -> None:
    """That it was approved once, and ran once, is not undone by its having ended."""
    this = asked(road)
    kept = road.table.keep()
    approved(road, this)
    lives.ends(road, this)
    restore(road, kept)
    road.until(lambda: road.state(this) is State.TERMINATED)
    assert len(road.cloud.machines) == 1
    published_once(road)


@pytest.mark.parametrize("state", [State.PENDING, State.LAUNCHING])
def test_what_was_under_way_is_gone_on_with_once(road: Road, state: State) -> None:
    """A table that is restored to the seconds of the launch must find the machine, not make another."""
    this = asked(road)
    road.queues["launch"].held = True
    road.decide("lead2", this, "lead")
    road.settle()
    if state is State.LAUNCHING:
        with contextlib.suppress(RefusedError):
            launcher._claim(road.outside, road.now(this))
    assert road.state(this) is state
    kept = road.table.keep()
    road.queues["launch"].held = False
    road.until(lambda: lives.runs(road, this))
    restore(road, kept)
    road.until(lambda: lives.runs(road, this))
    assert len(road.cloud.machines) == 1
    published_once(road)


def test_a_retry_of_the_lost_time_is_adopted(road: Road) -> None:
    """The attempt on record is not the last one: what a later one made is looked for too."""
    this = asked(road)
    road.cloud.refusal = RefusedError("No", "No.")
    road.decide("lead2", this, "lead")
    road.until(lambda: road.state(this) is State.FAILED)
    kept = road.table.keep()
    road.cloud.refusal = None
    road.change("dev", this, "retry")
    road.until(lambda: lives.runs(road, this))
    restore(road, kept)
    road.until(lambda: lives.runs(road, this))
    assert road.now(this).attempt == 2
    assert len(road.cloud.machines) == 1


def test_nothing_is_launched_before_it_is_known_what_was(road: Road) -> None:
    """A launcher that is quicker than whoever looks would launch what runs already."""
    kept = road.table.keep()
    road.outside.restore(kept)
    this = road.submit("ops")
    road.settle()
    assert road.state(this) is State.PENDING
    assert not road.cloud.machines
    assert wake.wake(road.outside) == 0
    road.until(lambda: lives.runs(road, this))
    assert len(road.cloud.machines) == 1
    assert road.clock() - this.at >= reconcile.SETTLES
    assert not any(queue.dead for queue in road.queues.values())
    assert epoch_of(road.now(this).seq) == 2


def test_a_process_that_knows_does_not_look_again(road: Road) -> None:
    """A launch costs no call more for a restore of long ago; without one, it never costs any."""

    def reads() -> int:
        return road.faults.calls.count("items.get pass")

    this = road.submit("ops")
    road.until(lambda: lives.runs(road, this))
    assert reads() == 0
    restore(road, road.table.keep())
    before = reads()
    assert before
    again = road.submit("ops", key="again")
    road.until(lambda: lives.runs(road, again))
    assert reads() == before


def test_who_repeats_what_the_table_lost_launches_nothing_more(road: Road) -> None:
    """The same Idempotency-Key is the same launch, and that runs already."""
    kept = road.table.keep()
    lost = road.submit("ops")
    road.until(lambda: lives.runs(road, lost))
    restore(road, kept)
    with pytest.raises(NotFoundError):
        road.change("ops", lost, "terminate")
    again = road.submit("ops")
    assert again.id == lost.id
    road.until(lambda: road.state(again) is State.FAILED)
    failure = road.now(again).failure
    assert failure is not None
    assert failure.code == reconcile.LOST
    road.change("ops", again, "retry")
    road.until(lambda: road.now(again).attempt == 2 and road.state(again) is State.FAILED)
    assert len(road.cloud.machines) == 1
    (machine,) = road.cloud.machines
    road.until(lambda: strays(road))
    assert strays(road) in ({machine: "no_launch"}, {machine: "not_of_launch"})
    published_once(road)


def test_who_repeats_it_before_it_is_known_launches_nothing_more(road: Road) -> None:
    """A client whose answer was lost with the table asks again at once."""
    kept = road.table.keep()
    lost = road.submit("ops")
    road.until(lambda: lives.runs(road, lost))
    road.outside.restore(kept)
    again = road.submit("ops")
    road.until(lambda: road.state(again) is State.FAILED)
    assert len(road.cloud.machines) == 1
    published_once(road)


def test_what_is_lost_stays_so_in_later_epochs(road: Road) -> None:
    """The next restore must not make room for a second launch either."""
    kept = road.table.keep()
    lost = road.submit("ops")
    road.until(lambda: lives.runs(road, lost))
    restore(road, kept)
    road.cloud.turn(next(iter(road.cloud.machines)), "terminated")
    road.sleep(hours=2)
    restore(road, road.table.keep())
    assert road.outside.passed.lost() == frozenset({lost.id})
    again = road.submit("ops")
    road.until(lambda: road.state(again) is State.FAILED)
    found = road.table.get(Pass, reconcile.CURRENT)
    assert found is not None
    assert [one.seq for one in found.history] == [EPOCH + 1, 2 * EPOCH + 1]


def test_what_was_amended_and_launched_in_the_lost_time_is_not_launched_besides(road: Road) -> None:
    """Two are there by its name that nobody can find an approval for: it must not become three."""
    this = asked(road)
    kept = road.table.keep()
    amended = road.amend("dev", this, parameters={"count": 2})
    road.decide("lead2", amended, "lead")
    road.until(lambda: lives.runs(road, this))
    restore(road, kept)
    assert road.state(this) is State.FAILED
    road.until(lambda: len(strays(road)) == 2)
    assert set(strays(road).values()) == {"not_of_launch"}
    with pytest.raises(GateNotOpenError):
        road.decide("lead2", this, "lead")
    assert len(road.cloud.machines) == 2
    published_once(road)


def test_who_decides_is_asked_again_and_the_old_link_says_no(road: Road) -> None:
    """The notice in the table says that it was sent: its link is worth nothing any more."""
    this = asked(road)
    old, hook = road.wait_for_code("lead2"), road.wait_for_code("lead", channel="webhook")
    restore(road, road.table.keep())
    for code in (old, hook):
        with pytest.raises(TokenInvalidError):
            road.follow(code)
    road.until(lambda: road.code("lead2") != old and road.code("lead", channel="webhook") != hook)
    road.follow(road.wait_for_code("lead2"))
    road.until(lambda: lives.runs(road, this))
    published_once(road)


def test_a_decision_that_may_have_been_taken_back_is_asked_for_again(road: Road) -> None:
    """Two had to say go, one did and took it back: the restored table must not give it back."""
    road.publish_policy(lives.policy_of_two())
    this = asked(road)
    road.decide("lead2", this, "lead")
    road.settle()
    kept = road.table.keep()
    road.decide("lead2", this, "lead", "revoke")
    restore(road, kept)
    road.decide("lead3", this, "lead")
    road.settle()
    assert road.state(this) is State.PENDING_APPROVAL
    assert road.now(this).gate("lead").round == 2
    road.decide("lead2", this, "lead")
    road.until(lambda: lives.runs(road, this))


def test_what_is_decided_while_the_pass_goes_on_counts(road: Road) -> None:
    """Nobody should have to say twice what they said after the restore."""
    this = asked(road)
    road.outside.restore(road.table.keep())
    road.decide("lead2", this, "lead")
    road.until(lambda: lives.runs(road, this))
    assert road.now(this).gate("lead").round == 1


def test_what_was_asked_for_after_the_restore_is_not_asked_again(road: Road) -> None:
    """One question is one mail."""
    road.outside.restore(road.table.keep())
    this = asked(road)
    road.until(lambda: road.outside.passed.lost() is not None)
    road.settle()
    assert road.now(this).gate("lead").round == 1


def test_a_lease_that_may_have_been_extended_does_not_end_at_once(road: Road) -> None:
    """That it runs still means that somebody let it; whoever asked hears that it ends, and can say so again."""
    this = road.submit("ops", lease="1h")
    road.until(lambda: lives.runs(road, this))
    kept = road.table.keep()
    ends = road.now(this).lease_ends_at
    assert ends is not None
    road.extend("ops", this, ends + timedelta(days=1))
    road.sleep(hours=5)
    assert road.state(this) is State.RUNNING
    restore(road, kept)
    again = road.now(this).lease_ends_at
    assert again is not None
    assert again >= road.clock() + timedelta(minutes=50)
    assert road.letters("ops", "expiring")
    road.until(lambda: road.state(this) is State.TERMINATED)


def test_what_is_adopted_holds_its_budget(road: Road) -> None:
    """What runs is paid for out of the month, whoever's record of it was lost."""
    road = lives.road({**lives.policy(), "budgets.toml": '[training]\nmonthly = "1000"\n'})
    this = asked(road, cost_center="training")
    kept = road.table.keep()
    approved(road, this)
    restore(road, kept)
    road.until(lambda: lives.runs(road, this))
    assert any(this.id in one.held for one in road.table.all(Ledger))


def test_the_pass_goes_on_where_it_was_cut_off(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than a function may run is done piece by piece, each once."""
    monkeypatch.setattr("gonogo.service.reconcile.PIECES", 1)
    monkeypatch.setattr("gonogo.service.reconcile.PAGE", 1)
    launches = [road.submit("ops", key=f"k{number}") for number in range(3)]
    road.until(lambda: all(lives.runs(road, one) for one in launches))
    waits = asked(road, key="waits")
    restore(road, road.table.keep())
    found = road.table.get(Pass, reconcile.CURRENT)
    assert found is not None
    assert found.counts == reconcile.Counts(looked=4, asked=1)
    assert road.now(waits).gate("lead").round == 2
