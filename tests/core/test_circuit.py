"""A host that does not answer: left alone for a while, asked once in between, and trusted again when it answers."""

from __future__ import annotations

from datetime import timedelta

from gonogo.core.circuit import FIRST, LONGEST, PATIENCE, WHOLE, Circuit
from tests.core.builders import AT, DAY, HOUR, MINUTE, SECOND


def after(silences: int) -> Circuit:
    """Return what is known of a host that has left so many calls unanswered, all at AT."""
    this = WHOLE
    for _ in range(silences):
        this = this.silent(AT)
    return this


def test_a_silence_or_two_mean_nothing():
    """One lost packet must delay no notice to a host that is well."""
    assert [after(n).wait(AT) for n in range(PATIENCE)] == [timedelta()] * PATIENCE
    assert after(PATIENCE).wait(AT) == FIRST


def test_it_is_left_alone_for_longer_each_time_up_to_five_minutes():
    """A host that is dead for a day takes some fifty minutes of it, and is found alive within five."""
    waits = [after(PATIENCE + n).wait(AT) / MINUTE for n in range(8)]
    assert waits == [1, 2, 4, 5, 5, 5, 5, 5]
    assert after(10_000).wait(AT) == LONGEST


def test_one_call_in_between_finds_out():
    """While that is under way nobody else calls; if it is lost without a word, somebody may soon."""
    this = after(PATIENCE)
    assert this.wait(AT + FIRST - SECOND) == SECOND
    assert not this.wait(AT + FIRST)
    probing = this.called(AT + FIRST)
    assert probing.wait(AT + FIRST) == FIRST
    assert not probing.wait(AT + FIRST + FIRST)
    assert probing.silent(AT + FIRST).wait(AT + FIRST) == 2 * FIRST


def test_a_call_of_a_host_that_is_well_holds_up_no_other():
    """Notices go out side by side."""
    assert after(2).called(AT) == after(2)


def test_a_clock_that_is_set_back_leaves_no_host_alone_for_ever():
    """An hour's leap must not become an hour's silence."""
    assert after(PATIENCE).wait(AT - HOUR) == LONGEST


def test_a_day_of_silence_costs_less_than_an_hour():
    """Each takes ten seconds of a function that others wait for."""
    this, at, calls = WHOLE, AT, 0
    while at < AT + DAY:
        if not this.wait(at):
            calls += 1
            this = this.called(at).silent(at)
        at += SECOND * 10
    assert calls == 292
