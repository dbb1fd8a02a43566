"""What every stored thing has: events in a row, and an alarm that gives the cue again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import event
from gonogo.core.item import CUE_FIRST, CUE_LONGEST, Item, Listed
from tests.core.builders import AT, DAY, HOUR, MINUTE, assert_well_told


class Thing(Item, frozen=True, kw_only=True):
    """Any item."""

    kind = "thing"


def thing() -> Thing:
    """Return a thing to which nothing has happened."""
    return Thing(id="t", at=AT, updated_at=AT)


def published(bundle: str) -> event.BundlePublished:
    """Return any event."""
    return event.BundlePublished(bundle=bundle, previous=None)


def test_events_count_from_one_without_gaps():
    """A subscriber sorts an item's events by `seq` and knows by a gap that one is yet to come."""
    this = thing().happened(AT, published("a"), published("b")).happened(AT + MINUTE, published("c"))
    assert [one.seq for one in this.history] == [1, 2, 3]
    assert [one.data["bundle"] for one in this.history] == ["a", "b", "c"]
    assert this.updated_at == AT + MINUTE
    assert_well_told(this)


def test_only_a_save_is_a_version():
    """One command may tell several events, and is still one write."""
    this = thing().happened(AT, published("a")).cued(AT, 1).changed(updated_at=AT)
    assert this.version == 1
    assert this.next_version().version == 2


def test_a_value_never_changes():
    """Whoever holds the item as it was must be able to compare it with what became of it."""
    before = thing()
    before.happened(AT, published("a")).cued(AT, 1)
    assert before == thing()


def test_a_cue_waits_longer_each_time_but_never_longer_than_the_longest():
    """A launcher that is down for a minute is cued soon, one that is down for days is not flooded."""
    this = thing().happened(AT, published("a"))
    at, waits = AT, []
    this = this.cued(at, 1)
    for _ in range(40):
        assert this.due_at is not None
        waits.append(this.due_at - at)
        at = this.due_at
        this = this.cued_again(at)
        assert this.cue == (1,)
        assert this.seq == 1
    assert waits[:7] == [CUE_FIRST * 2**n for n in range(7)]
    assert set(waits[7:]) == {CUE_LONGEST}
    assert this.cue_times == 40


def test_another_cue_starts_from_the_shortest_wait():
    """What is asked for now must not wait as long as what nobody answered before."""
    this = thing().cued(AT, 1).cued_again(AT + MINUTE).cued_again(AT + HOUR).cued(AT + DAY, 2)
    assert (this.cue, this.cue_times, this.due_at) == ((2,), 0, AT + DAY + CUE_FIRST)


def test_settled_waits_for_nobody():
    """A thing that is done must not ring."""
    this = thing().cued(AT, 1).settled()
    assert (this.cue, this.cue_times, this.due_at) == ((), 0, None)


@pytest.mark.parametrize(("told", "kept"), [(0, 0), (1, 1), (64, 64), (65, 33), (66, 34)])
def test_a_full_history_loses_its_oldest_half(told: int, kept: int):
    """An item never grows with age: what is kept is the newest, and reaches to the end."""
    this = thing().happened(AT, *(published(str(n)) for n in range(told)))
    assert [one.seq for one in this.kept] == list(range(told - kept + 1, told + 1))


def test_nothing_is_listed_unless_its_kind_says_so():
    """An index costs a write each time, so a thing is in none by default."""
    assert thing().listed() == Listed()


def test_the_first_cue_is_soon():
    """A lost event must not hold up a launch for longer than a person waits."""
    assert timedelta(minutes=1) <= CUE_FIRST <= timedelta(minutes=10)
