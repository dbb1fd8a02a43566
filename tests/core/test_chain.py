"""The chain of a history: whatever is changed in it is found, and the first bad entry is named."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gonogo.core import chain, event, life
from gonogo.core.actor import SYSTEM
from gonogo.core.chain import Head, Restored
from gonogo.core.event import Event, cloud_event
from gonogo.core.item import EPOCH, begun_in, in_epoch
from gonogo.core.launch import Launch
from tests.core.builders import AT, running

CHANGES = 10_000


def exported(*items: Launch) -> list[dict[str, Any]]:
    """Return the histories of these launches as an auditor gets them: JSON, decoded."""
    whole = [cloud_event(item.id, one) for item in items for one in item.history]
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(whole))
    return found


def ended(*resources: str) -> Launch:
    """Return a launch that somebody wants terminated."""
    return life.change(running(*resources), wanted="terminate", actor=SYSTEM, at=AT)


def head(item: Launch) -> Head:
    """Return what the item kept of its last event."""
    assert item.head is not None
    return Head(item.id, item.seq, item.head)


def test_a_history_as_it_was_written_is_whole():
    """An auditor who is told of a fault where there is none will not listen again."""
    this = ended("i-1", "i-2")
    found = chain.verify(exported(this), [head(this)])
    assert (found.bad, found.items, found.events, found.unchained) == ((), 1, this.seq, 0)
    assert found.heads[-1] == head(this)


def test_the_order_and_number_of_copies_do_not_matter():
    """Files of a bus hold events at least once, and in no order."""
    other = msgspec.structs.replace(running("i-2"), id="l-other", history=(), seq=0, head=None)
    other = other.happened(AT, event.LaunchStopped(launch=other.facts))
    events = exported(running("i-1"), other)
    again = [*events, *events]
    random.Random(7).shuffle(again)  # noqa: S311 - a seed, so that it fails again
    found, expected = chain.verify(again), chain.verify(events)
    assert found.bad == expected.bad == ()
    assert set(found.heads) == set(expected.heads)


def _changed(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw))
    byte = source.choice([one for one in range(256) if one != raw[at]])
    return raw[:at] + bytes([byte]) + raw[at + 1 :]


def _finds(raw: bytes, kept: Sequence[Head]) -> bool:
    """Tell whether an auditor finds a fault: JSON that cannot be read, or an entry that is named."""
    try:
        found: Any = [msgspec.json.decode(line) for line in raw.split(b"\n")]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    if not all(isinstance(one, Mapping) for one in found):
        return True
    return bool(chain.verify(found, kept).bad)


def test_every_change_of_a_byte_is_found():
    """10,000 of them, anywhere in the export: keys, values, hashes, the first event and the last."""
    this = ended("i-1", "i-2")
    raw = b"\n".join(msgspec.json.encode(one) for one in exported(this))
    source = random.Random(20261127)  # noqa: S311 - a seed, so that it fails again
    missed = [
        changed
        for changed in (_changed(raw, source) for _ in range(CHANGES))
        if not _finds(changed, [head(this)])
    ]
    assert missed == []


@pytest.mark.parametrize("seq", range(1, 6))
def test_the_first_bad_entry_is_named(seq: int):
    """Who looks into it begins there."""
    this = ended("i-1")
    events = exported(this)
    data = events[seq - 1]["data"]
    events[seq - 1] = cloud_event(
        this.id,
        Event(seq, events[seq - 1]["type"], AT, {**data, "launch": None}, events[seq - 1].get("prevhash")),
    )
    events = msgspec.json.decode(msgspec.json.encode(events))
    (bad,) = chain.verify(events, [head(this)]).bad
    assert (bad.subject, bad.seq) == (this.id, seq)


def test_what_is_taken_away_is_missed():
    """In the middle by its number, at the end by what the item kept; from the beginning, an export may start later."""
    this = ended("i-1")
    events = exported(this)
    assert chain.verify([*events[:2], *events[3:]]).bad[0].seq == 3
    assert chain.verify(events[:-1], [head(this)]).bad[0].why == "is missing"
    assert chain.verify(events[2:], [head(this)]).bad == ()


def test_a_history_written_anew_is_held_against_an_anchor():
    """Who may write the table can chain other events as well; what was kept elsewhere says so."""
    true, false = ended("i-1"), ended("i-9")
    kept = chain.verify(exported(true)).heads
    assert chain.verify(exported(false), [head(false)]).bad == ()
    assert chain.verify(exported(false), kept).bad[0].why == "is not the one whose hash was kept"


def test_events_from_before_the_chain_are_covered_by_what_follows():
    """A table that is older than the chain goes on, and is counted as what it is."""
    this = running("i-1")
    old = this.changed(
        history=tuple(msgspec.structs.replace(one, prev=None) for one in this.history), head=None
    )
    after = life.change(old, wanted="terminate", actor=SYSTEM, at=AT)
    found = chain.verify(exported(after), [head(after)])
    assert found.bad == ()
    assert found.unchained == old.seq - 1
    events = exported(after)
    events[old.seq - 1]["data"]["launch"]["reason"] = "Another."
    assert chain.verify(events, [head(after)]).bad


def test_the_hash_is_over_rfc_8785():
    """An auditor with another language must come to the same hash."""
    for one in ended("i-1").history:
        chained = {
            "data": one.data,
            "prevhash": one.prev,
            "seq": one.seq,
            "subject": "l-1",
            "time": msgspec.to_builtins(one.at),
            "type": one.type,
        }
        assert event._canonical.encode(chained) == rfc8785.dumps(chained)


@given(st.text())
def test_any_text_is_written_as_rfc_8785_writes_it(text: str):
    """A reason may hold any character; sorted JSON must be the canonical one whatever it is."""
    try:
        expected = rfc8785.dumps({"reason": text})
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return
    assert event._canonical.encode({"reason": text}) == expected


def restored(*lost: str) -> tuple[Launch, Launch, Launch]:
    """Return a launch when its table was kept, with what was lost then, and as it went on in the next epoch."""
    kept = running("i-1")
    before = kept.happened(AT, *(event.LaunchStopped(launch=kept.facts) for _ in lost))
    after = in_epoch(kept, 2).happened(AT, event.LaunchTerminated(launch=kept.facts))
    return kept, before, after


def test_a_restore_is_named_and_is_no_fault():
    """The history goes on from an event before its last, in an epoch of its own: an auditor must see why."""
    kept, before, after = restored("a", "b")
    found = chain.verify(exported(before, after), [head(after)])
    assert found.bad == ()
    assert found.restored == (Restored(kept.id, 2, kept.seq, (kept.seq + 1, kept.seq + 2)),)
    assert chain.verify(exported(after)).restored == (Restored(kept.id, 2, kept.seq),)


def test_what_was_kept_of_the_lost_time_is_said_to_be_of_it():
    """An anchor that the restored table does not have any more is no sign that somebody took an event away."""
    kept, before, after = restored("a")
    found = chain.verify(exported(after), [head(before)])
    assert found.bad == ()
    assert found.restored == (Restored(kept.id, 2, kept.seq, (kept.seq + 1,)),)


def test_an_item_that_the_restored_table_did_not_have_begins_anew():
    """Whoever repeats what they asked for in the lost time gets the same id, and another history."""
    lost = running("i-1")
    again = begun_in(lost, 2)
    found = chain.verify(exported(lost, again), [head(again)])
    assert found.bad == ()
    assert found.restored == (Restored(lost.id, 2, 0, tuple(range(1, lost.seq + 1))),)


@pytest.mark.parametrize("wrong", ["first", "link", "anchor"])
def test_a_restore_hides_nothing(wrong: str):
    """Who takes events away must not get away with it by calling it a restore."""
    kept, before, after = restored("a")
    events, kept_heads = exported(after), [head(before)]
    if wrong == "first":
        again = in_epoch(kept, 2)
        again = again.happened(AT, *(event.LaunchStopped(launch=kept.facts) for _ in range(2)))
        events = [one for one in exported(again) if one["seq"] != EPOCH + 1]
    elif wrong == "link":
        events = [one for one in events if one["seq"] != kept.seq]
    else:
        kept_heads = [Head(kept.id, kept.seq, "0" * 64)]
    assert chain.verify(events, kept_heads).bad


def test_each_fault_is_named_for_what_it_is():
    """Whoever looks into a fault must know whether something is gone, was changed, or was put in."""
    this = ended("i-1")
    whole = exported(this)

    def why(*events: Mapping[str, Any]) -> list[tuple[str, int, str]]:
        return [(one.subject, one.seq, one.why) for one in chain.verify(events).bad]

    stranger = {**whole[0], "subject": "l-0", "seq": True}
    assert why(stranger, *whole) == [("l-0", 0, "has no seq")]
    twice = {**whole[1], "time": "2030-01-01T00:00:00Z"}
    assert why(*whole, twice) == [(this.id, 2, "stands there twice, and not the same")]
    assert why(whole[0], whole[2]) == [(this.id, 2, "is missing")]
    assert why({**whole[0], "type": "launch.approved"}) == [(this.id, 1, "is not as it was written")]
    plain = [event.cloud_event(this.id, msgspec.structs.replace(one, prev=None)) for one in this.history]
    bare = msgspec.json.decode(msgspec.json.encode(plain))
    assert why(*whole[:2], bare[2]) == [(this.id, 3, "does not carry the hash of the one before")]
    assert why(bare[1], whole[2]) == [(this.id, 2, "is not the one that the next was written after")]
    assert why(stranger, *whole, {**stranger, "seq": None}, twice) == [
        ("l-0", 0, "has no seq"),
        (this.id, 2, "stands there twice, and not the same"),
    ]


def renamed(item: Launch, name: str) -> Launch:
    """Return the same history under another id, chained anew."""
    made = msgspec.structs.replace(item, id=name, history=(), seq=item.history[0].seq - 1, head=None)
    for one in item.history:
        link = msgspec.structs.replace(one, prev=made.head)
        made = made.changed(seq=one.seq, history=(*made.history, link), head=event.hash_of(name, link))
    return made


def test_items_are_told_apart():
    """An export holds many: what is said of one is said of each, by its own id and number."""
    one, other = restored("a"), [renamed(each, "l-2") for each in restored("a")]
    found = chain.verify([*exported(one[1], one[2]), *exported(other[1], other[2])])
    lost = one[0].seq + 1
    assert found.bad == ()
    assert found.restored == (Restored("l-1", 2, lost - 1, (lost,)), Restored("l-2", 2, lost - 1, (lost,)))
    assert {(head.subject, head.seq) for head in found.heads} == {
        (each.id, event.seq) for each in (*one[1:], *other[1:]) for event in each.history
    }
    assert (found.items, found.unchained) == (2, 0)
    gone = [Head("l-1", lost, "0" * 64), Head("l-1", 99, "0" * 64), Head("l-3", 4, "0" * 64)]
    missed = chain.verify(exported(one[2]), gone)
    assert missed.restored == (Restored("l-1", 2, lost - 1, (lost, 99)),)
    assert missed.bad == (chain.Bad("l-3", 4, "is missing"),)


def test_what_is_not_chained_is_counted_over_all_items():
    """The first of an item has nothing before it, in whatever epoch it begins, and is no gap."""
    plain = [
        msgspec.structs.replace(
            this, history=tuple(msgspec.structs.replace(e, prev=None) for e in this.history)
        )
        for this in (running("i-1"), renamed(running("i-1"), "l-2"), begun_in(renamed(running(), "l-3"), 2))
    ]
    assert chain.verify(exported(*plain)).unchained == sum(len(this.history) - 1 for this in plain)


@pytest.mark.parametrize(
    ("subject", "seq", "lost"),
    [
        ("l-1", 6, True),
        ("l-1", 5, False),
        ("l-2", 6, False),
        ("l-1", EPOCH, True),
        ("l-1", EPOCH + 1, False),
        ("l-1", 2 * EPOCH + 1, False),
    ],
)
def test_what_a_restore_loses(subject: str, seq: int, lost: bool):  # noqa: FBT001 - a table
    """Of that item, after the event at which the table was kept, and of an earlier epoch: nothing else."""
    restore = Restored("l-1", 2, 5)
    assert chain.lost_by(subject, seq, [restore]) == (restore if lost else None)


def test_an_epoch_begins_with_its_first_event():
    """A later one that goes on from before the restore would hide those that are between them."""
    kept, _, _ = restored("a")
    second = event.Event(EPOCH + 2, "launch.stopped", AT, kept.history[-1].data, kept.head)
    events = msgspec.json.decode(msgspec.json.encode([*exported(kept), event.cloud_event(kept.id, second)]))
    assert [(one.seq, one.why) for one in chain.verify(events).bad] == [(kept.seq + 1, "is missing")]


def test_a_history_of_one_event_goes_on_after_a_restore():
    """A restore to just after somebody asked is a restore like any other."""
    this = running("i-1")
    short = this.changed(seq=1, history=this.history[:1], head=event.hash_of(this.id, this.history[0]))
    after = in_epoch(short, 2).happened(AT, event.LaunchTerminated(launch=short.facts))
    found = chain.verify(exported(after))
    assert (found.bad, found.restored) == ((), (Restored(this.id, 2, 1),))


def schema_of(version: object, kind: str = "launch.requested") -> list[dict[str, Any]]:
    """Return one event that names this version of its schema, or whatever else it names."""
    (first, *_) = running("i-1").history
    told = event.cloud_event("l-1", msgspec.structs.replace(first, type=kind))
    told["dataschema"] = f"urn:gonogo:event:{kind}:{version}" if isinstance(version, int) else version
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode([told]))
    return found


def test_an_event_names_a_schema_that_it_has_or_had():
    """What was written by older code is whole, and what names a schema that never was, was written by nobody."""
    for kind, data in event.ALL.items():
        for version in range(1, data.schema_version + 1):
            assert chain.verify(schema_of(version, kind)).bad == ()
        others: tuple[object, ...] = (0, data.schema_version + 1, None, 7.5, f"urn:gonogo:event:{kind}")
        for other in others:
            assert chain.verify(schema_of(other, kind)).bad, (kind, other)


@pytest.mark.parametrize("version", [1, 9])
def test_an_event_of_newer_code_may_name_any_version(version: int):
    """Its kind is not known here, but its schema is of that kind."""
    assert chain.verify(schema_of(version, "launch.levitated")).bad == ()
    for other in (None, 7, "urn:gonogo:event:launch.approved:1", "http://example.com/schema"):
        told = schema_of(version, "launch.levitated")
        told[0]["dataschema"] = other
        assert chain.verify(told).bad


def test_events_without_hashes_are_read():
    """What was exported before events were chained has neither hash; what says a wrong one is found."""
    (first, *_) = exported(running("i-1"))
    bare = {name: one for name, one in first.items() if name not in ("hash", "prevhash")}
    assert chain.verify([bare]).bad == ()
    assert chain.verify([{**bare, "hash": None}]).bad


def test_what_is_there_of_a_lost_time_must_be_as_it_was_kept():
    """That a restore lost an event excuses that it is missing, not that it is another one."""
    kept, before, after = restored("a")
    found = chain.verify(exported(before, after), [Head(kept.id, kept.seq + 1, "0" * 64)])
    assert found.bad == (chain.Bad(kept.id, kept.seq + 1, "is not the one whose hash was kept"),)


def test_an_older_version_of_a_schema_is_one_it_had(monkeypatch: pytest.MonkeyPatch):
    """Histories outlive the code that wrote them."""
    monkeypatch.setattr(event.LaunchRequested, "schema_version", 3)
    assert [bool(chain.verify(schema_of(version)).bad) for version in range(5)] == [
        True,
        False,
        False,
        False,
        True,
    ]
