"""Launched first and reviewed after: nobody breaks the glass twice without a review between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gonogo.core import attempts, clock, commands, glass, life
from gonogo.core.actor import Actor
from gonogo.core.errors import SelfApprovalError, UnreviewedError
from gonogo.core.gates import Gate, GateState
from gonogo.core.glass import Glass
from gonogo.core.launch import InstanceState, Launch
from gonogo.core.states import State
from tests.core.builders import (
    AT,
    DAY,
    DEV,
    HOUR,
    LEAD,
    LEAD2,
    SCANNER,
    approve,
    assert_well_told,
    gate,
    hook,
    launch,
    question,
    reject,
    review,
    told,
)


def broken(*gates: Gate, id: str = "l-1") -> Launch:  # noqa: A002 - the field's name
    """Return a launch for which the glass is broken."""
    return launch(*(gates or (review(),)), asks=question(break_glass=True), id=id, tells=("security",))


def seen(this: Launch, state: InstanceState) -> Launch:
    """Return it after its one instance was seen."""
    return life.observe(this, resource="i-1", state=state, changed_at=AT, at=AT)


def running(*gates: Gate) -> Launch:
    """Return it running."""
    this = attempts.record_started(attempts.claim(broken(*gates), at=AT), resources=("i-1",), at=AT)
    return seen(this, "running")


def gone(*gates: Gate) -> Launch:
    """Return it terminated, with nobody having looked at it."""
    return seen(running(*gates), "terminated")


def test_it_launches_at_once_and_is_told_at_once():
    """Nobody is waited for; the launcher and whoever must know are cued by the same write."""
    this = broken()
    assert (this.state, told(this)) == (State.PENDING, ["launch.requested", "glass.broken", "launch.cleared"])
    assert this.cue == (2, 3)
    assert this.history[1].data["groups"] == ["security"]
    assert this.history[1].data["gates"] == ["review"]
    assert attempts.claim(this, at=AT).state is State.LAUNCHING


def test_the_review_opens_with_the_start():
    """There is something to look at now; whoever broke the glass does not review it."""
    this = running()
    assert this.gate("review").state is GateState.OPEN
    with pytest.raises(SelfApprovalError):
        approve(this, DEV, "review")
    assert approve(this, LEAD, "review").gate("review").state is GateState.GO
    assert_well_told(this)


@pytest.mark.parametrize(("on_reject", "wanted"), [("warn", None), ("terminate", "terminate")])
def test_a_review_that_says_no(on_reject: str, wanted: str | None):
    """It warns, or ends what runs, as policy says; the launch itself is not undone."""
    this = reject(running(review(on_reject=on_reject)), LEAD, "review")
    assert (this.state, this.wanted, this.gate("review").state) == (State.RUNNING, wanted, GateState.NO_GO)
    assert ("launch.change_requested" in told(this)) == (wanted is not None)


def test_a_review_outlives_what_it_reviews():
    """Terminating fast must not be a way round the review; systems have nothing left to look at."""
    this = gone(review(), hook("watch", place="after_launch"))
    assert [one.state for one in this.gates] == ["OPEN", "CANCELLED"]
    assert this.state is State.TERMINATED
    assert this.due_at is not None
    after = reject(this, LEAD, "review")
    assert (after.state, after.wanted, after.due_at) == (State.TERMINATED, None, None)


def test_a_review_that_had_no_turn_yet_opens_though_it_is_gone():
    """It stood behind a system that is not asked any more."""
    this = gone(hook("watch", place="after_launch"), review(stage=2))
    assert [one.state for one in this.gates] == ["CANCELLED", "OPEN"]


def test_what_is_made_of_nothing_is_reviewed_too():
    """A launch that ends with its start is no way round the review either."""
    this = attempts.record_started(attempts.claim(broken(), at=AT), resources=(), at=AT)
    assert (this.state, this.gate("review").state) == (State.TERMINATED, GateState.OPEN)


@pytest.mark.parametrize("life", [running, gone])
def test_a_review_that_nobody_made_comes_again(life: Callable[..., Launch]):
    """Waiting until it expires is no way round it: it opens anew, for everybody to be told again."""
    this = clock.tick(life(review(expires_after="1d")), at=AT + DAY)
    now = this.gate("review")
    assert (now.state, now.round, now.why) == (GateState.OPEN, 2, "it was not decided in time")
    assert told(this)[-2:] == ["gate.closed", "gate.opened"]
    assert this.cue == (this.seq,)
    assert now.expires_at == AT + 2 * DAY
    assert_well_told(this)


def test_a_system_after_the_launch_may_end_it():
    """A scanner that finds something, or never answers, ends what runs where policy says so."""
    watch = hook("watch", place="after_launch", expires_after="1h", on_reject="terminate")
    assert reject(running(watch), SCANNER, "watch").wanted == "terminate"
    assert clock.tick(running(watch), at=AT + HOUR).wanted == "terminate"
    assert approve(running(watch), SCANNER, "watch").wanted is None


def test_a_refused_termination_does_not_put_a_review_off():
    """The lease is over and the engine refuses: the review's own clock rings all the same."""
    this = running(review(remind_every="1h")).changed(lease_ends_at=AT)
    this = life.change(this, wanted="terminate", actor=LEAD, at=AT)
    this = life.change_failed(this, code="No", message="No.", at=AT)
    assert this.due_at == AT + HOUR


# The glass

REVIEWED: dict[str, tuple[Launch | None, bool]] = {
    "cleared": (broken(), False),
    "runs": (running(), False),
    "gone": (gone(), False),
    "found good": (approve(running(), LEAD, "review"), True),
    "found bad": (reject(running(), LEAD, "review"), True),
    "found good when gone": (approve(gone(), LEAD, "review"), True),
    "one of two reviews": (approve(running(review(), review("audit")), LEAD, "review"), False),
    "one of two reviewers": (approve(running(review(quorum=2)), LEAD, "review"), False),
    "both reviewers": (approve(approve(running(review(quorum=2)), LEAD, "review"), LEAD2, "review"), True),
    "expired": (clock.tick(running(review(expires_after="1d")), at=AT + DAY), False),
    "cancelled": (commands.cancel(broken(), actor=DEV, at=AT), True),
    "too late": (attempts.expire(broken(), why="It is too late.", at=AT), True),
    "failed": (attempts.record_failed(broken(), code="No", message="No.", at=AT), True),
    "rejected": (reject(attempts.ask_more(broken(), gates=(gate(),), at=AT), LEAD), True),
    "without a review": (running(hook("watch", place="after_launch")), False),
}


@pytest.mark.parametrize("case", REVIEWED)
def test_when_the_glass_may_be_broken_again(case: str):
    """Only when the last time is decided, or came to nothing."""
    before = glass.take(None, broken(), None, AT)
    last, reviewed = REVIEWED[case]
    again = broken(id="l-2")
    assert glass.is_reviewed(last) == reviewed
    if reviewed:
        after = glass.take(before, again, last, AT + DAY)
        assert (after.id, after.launch, after.version) == (before.id, "l-2", 2)
    else:
        with pytest.raises(UnreviewedError):
            glass.take(before, again, last, AT + DAY)


def test_taking_it_twice_for_one_launch_is_once():
    """A launcher that died and one that goes on take the same glass, though the last one is not reviewed."""
    before = glass.take(None, broken(), None, AT)
    assert isinstance(before, Glass)
    assert (before.actor, before.launch) == (DEV, "l-1")
    again = glass.take(before, broken(), running(), AT + HOUR)
    assert (again.id, again.launch) == (before.id, "l-1")


def test_a_launch_that_is_retried_is_not_passed_by():
    """It had failed when another launch read it: the glass has a new version, so that one must read again."""
    before = glass.take(None, broken(), None, AT)
    assert glass.take(before, broken(), None, AT).version == before.version + 1


def test_one_glass_a_person():
    """Two who share a subject, or an issuer, must not be reviewed for each other; each break tells when it was."""
    names = {glass.glass_id(Actor(issuer, subject)) for issuer in "ab" for subject in "ab"}
    assert len(names) == 4
    assert {name[:2] for name in names} == {"g-"}
    first = glass.take(None, broken(), None, AT)
    assert (first.at, first.updated_at) == (AT, AT)
    assert glass.take(first, broken(), None, AT + HOUR).updated_at == AT + HOUR
    again = glass.take(first, broken(id="l-2"), None, AT + HOUR)
    assert (again.at, again.updated_at) == (AT, AT + HOUR)
    with pytest.raises(UnreviewedError, match="l-1") as raised:
        glass.take(first, broken(id="l-2"), running(), AT)
    assert raised.value.launch == "l-1"
