"""The launcher's side of a launch: what is claimed, what it is cued by, and what ends it."""

from __future__ import annotations

import pytest

from gonogo.core import attempts, event
from gonogo.core.errors import TransitionNotAllowedError
from gonogo.core.gates import Gate
from gonogo.core.launch import Launch
from gonogo.core.states import State
from tests.core.builders import (
    AT,
    DAY,
    LEAD,
    NOBODY,
    approve,
    cleared,
    gate,
    last,
    launch,
    launching,
    question,
    reject,
    review,
    told,
)


def seqs(this: Launch, kind: type[event.Data]) -> list[int]:
    """Return the numbers of what happened of a kind."""
    return [one.seq for one in this.history if one.type == kind.type]


def test_no_gate_is_passed_over_when_a_launch_is_claimed():
    """A gate that policy added last stands after a review, which does not hold the launch up."""
    this = cleared()
    more = this.changed(gates=(review(), *this.gates, gate("more").opened(AT)))
    with pytest.raises(TransitionNotAllowedError, match="with gate 'more' OPEN"):
        attempts.claim(more, at=AT)
    assert attempts.claim(this.changed(gates=(review(), *this.gates)), at=AT).state is State.LAUNCHING


def test_a_claim_is_cued_by_what_cleared_it_last():
    """The launcher takes the cue of the clearing that counts: one that was undone since would launch nothing."""
    once = approve(launch(gate(valid_for="1d")), LEAD)
    again = attempts.reopen(once, lost={}, at=AT + DAY)
    twice = approve(again, LEAD, at=AT + DAY)
    cue = attempts.claim(twice, at=AT + DAY).cue
    first, second = seqs(twice, event.LaunchCleared)
    assert cue == (second,)
    assert first not in cue


def test_a_claim_of_a_broken_glass_tells_of_it_with_the_launch():
    """Whoever is to be told of a broken glass is told when it launches, and not never."""
    this = launch(review(), asks=question(break_glass=True), tells=("leads",))
    claimed = attempts.claim(this, at=AT)
    assert claimed.cue == (*seqs(this, event.GlassBroken), *seqs(this, event.LaunchCleared)[-1:])
    assert seqs(this, event.GlassBroken)


def test_a_launch_that_came_too_late_says_so():
    """Whoever asked reads why nothing runs."""
    gone = attempts.expire(cleared(), why="It is late.", at=AT)
    assert gone.state is State.EXPIRED
    assert last(gone, event.LaunchExpired).data["why"] == "It is late."
    assert attempts.expire(gone, why="It is later.", at=AT) is gone


def test_a_refusal_is_for_good_unless_there_was_no_room():
    """The next choice is for want of capacity only: what is refused otherwise is refused for each of them."""
    this = attempts.claim(launch(asks=question(choices=1)), at=AT)
    assert attempts.refused(this, code="No", message="No.", at=AT).state is State.FAILED
    on = attempts.refused(this, code="No", message="No room.", full=True, at=AT)
    assert (on.state, on.choice) == (State.LAUNCHING, this.choice + 1)


def test_what_still_says_go_is_not_asked_anew():
    """A launch that is looked at again before it is launched keeps its very decisions."""
    this = cleared()
    assert attempts.reopen(this, lost={}, at=AT) is this
    assert attempts.reopen(this, lost={"lead": NOBODY}, at=AT) is this


def live(*gates: Gate) -> Launch:
    """Return a launch that runs, with gates after it."""
    return attempts.record_started(
        attempts.claim(launch(*gates, asks=question(break_glass=True)), at=AT), resources=("i-1",), at=AT
    )


def test_a_review_that_says_no_ends_the_launch_once():
    """Where the rule says so, what was launched in haste is terminated, told as the system's wish and only once."""
    this = live(review("one", on_reject="terminate"), review("other", on_reject="terminate"))
    no = reject(this, LEAD, "one")
    asked = last(no, event.LaunchChangeRequested).data
    assert (no.wanted, asked["wanted"], asked["actor"]) == (
        "terminate",
        "terminate",
        {"issuer": "gonogo", "subject": "clock"},
    )
    assert asked["launch"]["id"] == this.id
    both = reject(no, LEAD, "other")
    assert told(both).count("launch.change_requested") == 1
    kept = reject(live(review()), LEAD, "review")
    assert kept.wanted is None
    assert "launch.change_requested" not in told(kept)


def test_a_launch_is_launching_once():
    """Two launchers that take the same cue do not both have it."""
    with pytest.raises(TransitionNotAllowedError):
        attempts.claim(launching(), at=AT)
