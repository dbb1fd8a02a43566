"""What every stored thing has: events in a row, and an alarm that gives the cue again."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from gonogo.core import event
from gonogo.core.item import (
    CUE_FIRST,
    CUE_LONGEST,
    EPOCH,
    EPOCHS,
    Item,
    Listed,
    begun_in,
    epoch_of,
    in_epoch,
)
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


def test_who_changes_what_was_told_last_is_found_out_by_what_is_told_next():
    """The hash that the next event carries is that of the event as it was told, not as it stands there by then."""
    this = thing().happened(AT, published("a"))
    forged = msgspec.structs.replace(this.history[0], data={"bundle": "b", "previous": None})
    after = this.changed(history=(forged,)).happened(AT, published("c"))
    assert after.history[1].prev == this.head == event.hash_of("t", this.history[0])
    assert after.history[1].prev != event.hash_of("t", forged)


def test_what_was_kept_without_a_hash_goes_on_with_that_of_its_last_event():
    """An item of before there were hashes joins the chain with what is told of it next."""
    this = thing().happened(AT, published("a"), published("b"), published("c")).changed(head=None)
    assert this.happened(AT, published("d")).history[3].prev == event.hash_of("t", this.history[2])
    assert thing().happened(AT, published("a")).history[0].prev is None


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
        assert (this.cue, this.updated_at) == ((1,), at)
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


def test_in_the_first_epoch_nothing_is_numbered_otherwise():
    """A table that was never restored must be as it always was."""
    this = thing().happened(AT, published("a"))
    for one in (this, thing()):
        assert in_epoch(one, 1) is one
        assert begun_in(one, 1) is one
    assert {epoch_of(seq) for seq in (1, 2, EPOCH)} == {1}


@pytest.mark.parametrize("epoch", [2, 3, EPOCHS])
def test_what_happens_in_a_new_epoch_has_an_id_that_none_ever_had(epoch: int):
    """Subscribers know the ids of the time that a restore lost, and would pass over what comes under them again."""
    before = thing().happened(AT, published("a"), published("b"))
    lost = before.happened(AT, published("lost"), published("lost too"))
    this = in_epoch(before, epoch).happened(AT, published("c"))
    assert this.history[-1].seq == (epoch - 1) * EPOCH + 1 == this.seq
    assert this.history[-1].prev == before.head
    assert not {one.seq for one in this.history[2:]} & {one.seq for one in lost.history}
    assert epoch_of(this.seq) == epoch
    assert in_epoch(this, epoch) is this
    assert in_epoch(this, 1) is this


def test_seqs_are_numbers_that_json_has_exactly_and_histories_sort_by():
    """JavaScript has no integer above 2**53, and what is put aside is sorted by twelve digits."""
    assert EPOCH * EPOCHS <= 10**12 < 2**53


def test_what_is_new_in_an_epoch_begins_in_it():
    """The same id may have been there in the time that is lost: its events must not be taken for these."""
    this = thing().happened(AT, published("a"), published("b")).cued(AT, 2)
    made = begun_in(this, 3)
    assert [one.seq for one in made.history] == [2 * EPOCH + 1, 2 * EPOCH + 2]
    assert (made.seq, made.cue) == (2 * EPOCH + 2, (2 * EPOCH + 2,))
    assert made.history[0].prev is None
    assert made.history[1].prev == event.hash_of("t", made.history[0])
    assert made.head == event.hash_of("t", made.history[1])
    assert begun_in(made, 3) is made
    assert begun_in(thing(), 3).seq == 2 * EPOCH
