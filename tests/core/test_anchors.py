"""Anchors: what left the table when it happened finds a history that was written anew."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gonogo.core import anchors, chain, event
from gonogo.core.anchors import Anchor, Held, Span
from gonogo.core.chain import Restored
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.launch import Launch
from tests.core.builders import AT, running
from tests.core.test_chain import CHANGES, _changed, ended, exported, head, restored


def anchored(*items: Launch, but: int = 0) -> list[Anchor]:
    """Return what is anchored of launches, all but the newest few events."""
    found = [anchors.of(one) for one in exported(*items)]
    return found[: len(found) - but]


def named(launch: Launch, name: str) -> Launch:
    """Return the same life under another id."""
    made = msgspec.structs.replace(launch, id=name, history=(), seq=0, head=None)
    for one in launch.history:
        made = made.changed(
            seq=one.seq,
            history=(*made.history, msgspec.structs.replace(one, prev=made.head)),
            head=None,
        )
        made = made.changed(head=event.hash_of(name, made.history[-1]))
    return made


def held(events: list[dict[str, Any]], kept: Iterable[Anchor], span: Span = Span()) -> Held:  # noqa: B008
    """Return what these anchors say of an export that is whole in itself."""
    verified = chain.verify(events)
    assert verified.bad == (), "the chain alone finds nothing"
    return anchors.hold(verified, [*kept], span)


def test_a_history_as_it_was_anchored_is_held():
    """An auditor who is told of a fault where there is none will not listen again."""
    this = ended("i-1", "i-2")
    found = held(exported(this), anchored(this))
    assert found.bad == ()
    assert (found.anchors, found.covered, found.uncovered) == (this.seq, this.seq, 0)
    assert found.last == this.history[-1].at


def test_an_anchor_covers_what_is_before_it():
    """A file that never was written, of some events in between, leaves no gap: the next hash covers them."""
    this = ended("i-1")
    (only,) = [one for one in anchored(this) if one.seq == this.seq - 1]
    found = held(exported(this), [only])
    assert (found.bad, found.anchors, found.covered, found.uncovered) == ((), 1, this.seq - 1, 1)


def test_a_history_that_was_written_anew_whole_is_found():
    """Who may write the table can chain other events from the first on, the item's own head included."""
    true, false = ended("i-1"), ended("i-9")
    assert chain.verify(exported(false), [head(false)]).bad == ()
    first = next(
        one.seq for one, other in zip(true.history, false.history, strict=True) if one.data != other.data
    )
    (bad,) = held(exported(false), anchored(true)).bad
    assert (bad.subject, bad.seq, bad.why) == (true.id, first, "is not the one that was anchored")


def test_a_history_that_goes_on_otherwise_is_found():
    """A fork that shares its beginning with the truth parts from it at one event, and that one is named."""
    true, false = ended("i-1"), running("i-1")
    false = false.happened(AT, event.LaunchStopped(launch=false.facts))
    (bad,) = held(exported(false), anchored(true)).bad
    assert bad.seq == true.seq


def test_a_history_that_was_cut_off_is_found():
    """Nothing follows the last event, so no chain misses it, and its item says what it was told to say."""
    true = ended("i-1")
    short = running("i-1")
    assert chain.verify(exported(short), [head(short)]).bad == ()
    found = held(exported(short), anchored(true))
    assert [(one.seq, one.why) for one in found.bad] == [(true.seq, "is anchored, and is missing")]


def test_an_item_that_is_gone_is_found():
    """Whoever deletes a launch with all its history leaves nothing that could be wrong."""
    this = ended("i-1")
    other = named(this, "l-other")
    (bad,) = held(exported(this), anchored(this, other)).bad
    assert (bad.subject, bad.seq) == ("l-other", 1)


def test_an_event_that_was_anchored_twice_otherwise_is_found():
    """Whoever deletes an item and writes another in its place has both of them anchored, not one."""
    true, false = ended("i-1"), ended("i-9")
    for events in (exported(true), exported(false)):
        (bad,) = held(events, anchored(true, false)).bad
        assert bad.why == "was anchored twice, and not the same"


def test_an_export_of_some_time_is_held_for_that_time():
    """A month's file is not whole for want of what happened before it and after."""
    this = ended("i-1")
    late = this.changed(
        history=(*this.history[:-1], msgspec.structs.replace(this.history[-1], at=AT + timedelta(days=40)))
    )
    kept, events = anchored(late), exported(late)
    assert held(events[:-1], kept).bad
    assert held(events[:-1], kept, Span(until=AT + timedelta(days=30))).bad == ()
    assert held(events[-1:], kept).bad == (), "what came before it is not asked for"
    assert held([], kept, Span(since=AT + timedelta(days=30))).bad
    assert held([], kept, Span(since=AT + timedelta(days=50))).bad == ()


def test_what_the_chain_finds_first_is_named():
    """Who looks into it begins at the first bad event, whoever found it."""
    this = ended("i-1")
    events = exported(this)
    events[2]["data"]["launch"]["reason"] = "Another."
    verified = chain.verify(events, [head(this)])
    found = anchors.hold(verified, anchored(this))
    assert [one.seq for one in found.bad] == [3]
    assert (found.covered, found.uncovered) == (2, this.seq - 2)


def test_the_same_anchors_have_the_same_name():
    """A batch comes again, in any order and with copies; it must be the same file, not another one."""
    kept = anchored(ended("i-1"))
    again = [*kept, *kept]
    random.Random(7).shuffle(again)  # noqa: S311 - a seed, so that it fails again
    assert anchors.written(again) == anchors.written(kept)
    name, lines = anchors.written(kept)
    assert name.startswith(f"{AT:%Y/%m/%d}/")
    assert anchors.read(f"any/folder/{name}", lines) == kept
    assert anchors.written(kept[1:])[0] != name


def test_nothing_of_what_an_event_says_is_kept():
    """What is locked away for years can be erased by nobody, so it must hold nothing about anybody."""
    _, lines = anchors.written(anchored(ended("i-1")))
    assert all(
        msgspec.json.decode(line).keys() == {"subject", "seq", "time", "hash"} for line in lines.splitlines()
    )
    assert not any(
        word in lines for word in (b"dev", b"lead", b"http", b"i-1", b"requester", b"cost", b"reason")
    )


@pytest.mark.parametrize(
    "change",
    [
        {"hash": "0" * 64},
        {"data": {}},
        {"seq": "3"},
        {"subject": None},
        {"time": "yesterday"},
        {"subject": "\ud800"},
    ],
)
def test_what_is_no_event_of_ours_is_not_anchored(change: dict[str, Any]):
    """An anchor that says something else than the event would accuse whoever wrote the truth."""
    (first, *_) = exported(ended("i-1"))
    assert anchors.of(first).seq == 1
    with pytest.raises(InvalidError) as raised:
        anchors.of({**first, **change})
    assert raised.value.faults == (
        Fault("/detail", "event", "is no event of gonogo's, or not the one whose hash it has"),
    )


def test_what_newer_code_says_besides_is_anchored_too():
    """Old and new code run side by side while a deployment lasts."""
    (first, *_) = exported(ended("i-1"))
    assert anchors.of({**first, "traceparent": "00-1-2-01"}) == anchors.of(first)


def test_every_change_of_a_byte_of_the_anchors_is_found():
    """10,000 of them, anywhere in the file or in its name; each would else accuse, or cover up."""
    name, lines = anchors.written(anchored(ended("i-1", "i-2")))
    file = name.rpartition("/")[2]
    source = random.Random(20261127)  # noqa: S311 - a seed, so that it fails again
    missed = []
    for _ in range(CHANGES):
        if source.random() < len(file) / (len(file) + len(lines)):
            at = source.randrange(len(file))
            another = file[:at] + source.choice([c for c in "/0az.~" if c != file[at]]) + file[at + 1 :]
            changed = (another, lines)
        else:
            changed = (file, _changed(lines, source))
        try:
            anchors.read(*changed)
        except InvalidError:
            continue
        missed.append(changed)
    assert missed == []


def test_a_file_of_something_else_is_no_file_of_anchors():
    """Whoever may write to the bucket can name a file after what it holds, whatever that is."""
    for lines in (b"{}\n", b"no JSON\n", b'{"subject":"l-1","seq":1,"time":"x","hash":""}\n', b"\xff\n"):
        name = f"{hashlib.sha256(lines).hexdigest()}.jsonl"
        with pytest.raises(InvalidError) as raised:
            anchors.read(name, lines)
        (fault,) = raised.value.faults
        assert (fault.pointer, fault.rule) == (name, "anchors")
        assert fault.detail.startswith("holds something else than anchors: ")
        with pytest.raises(InvalidError) as raised:
            anchors.read("another.jsonl", lines)
        assert raised.value.faults == (
            Fault("another.jsonl", "digest", "does not hold what it is named after"),
        )
    with pytest.raises(ValueError, match=r"^nothing is anchored$"):
        anchors.written([])


def test_every_change_of_a_byte_of_an_export_is_found_by_anchors_alone():
    """10,000 of them, held against nothing but what was anchored: no head of the item's own is asked."""
    this = ended("i-1", "i-2")
    kept = anchored(this)
    raw = b"\n".join(msgspec.json.encode(one) for one in exported(this))
    source = random.Random(20261128)  # noqa: S311 - a seed, so that it fails again
    missed = []
    for _ in range(CHANGES):
        changed = _changed(raw, source)
        try:
            events = [msgspec.json.decode(line) for line in changed.split(b"\n")]
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if not all(isinstance(one, dict) for one in events):
            continue
        if not anchors.hold(chain.verify(events), kept).bad:
            missed.append(changed)
    assert missed == []


def test_a_span_has_its_beginning_and_not_its_end():
    """Two months that follow each other hold each event once."""
    second = timedelta(seconds=1)
    month = Span(AT, AT + timedelta(days=30))
    assert [month.holds(AT + by) for by in (-second, 0 * second)] == [False, True]
    assert [month.holds(AT + timedelta(days=30) + by) for by in (-second, 0 * second)] == [True, False]
    assert Span().holds(AT)
    assert Span(since=AT).holds(AT + timedelta(days=9000))
    assert Span(until=AT).holds(AT - timedelta(days=9000))


def test_what_is_anchored_of_a_lost_time_is_said_to_be_of_it():
    """A restored table lacks what left it meanwhile; what it has, and what others have, is held as ever."""
    kept, before, after = restored("a", "b")
    other = named(ended("i-1"), "l-other")
    lost = tuple(range(kept.seq + 1, before.seq + 1))
    found = held(exported(after, other), anchored(before, after, other))
    assert found.bad == ()
    assert found.restored == (Restored(kept.id, 2, kept.seq, lost),)
    assert (found.covered, found.uncovered) == (len(after.history) + other.seq, 0)
    assert found.anchors == len(after.history) + other.seq
    assert held(exported(before, after), anchored(before, after)).restored == (
        Restored(kept.id, 2, kept.seq, lost),
    ), "what is there still is told of by the export itself"


def test_what_is_covered_is_counted_over_all_items():
    """An auditor must know how much of the export no anchor speaks of."""
    one, other = ended("i-1"), named(ended("i-1"), "l-other")
    found = held(exported(one, other), [*anchored(one), anchored(other)[1]])
    assert (found.bad, found.covered, found.uncovered) == ((), one.seq + 2, other.seq - 2)
    found = held(exported(one, other), anchored(other))
    assert (found.bad, found.covered, found.uncovered) == ((), other.seq, one.seq)
    found = held(exported(one), [])
    assert (found.anchors, found.covered, found.uncovered, found.last) == (0, 0, one.seq, None)


def test_nothing_after_the_first_bad_event_is_covered():
    """The chain goes no further than its first broken link."""
    this = ended("i-1")
    wrong = [one if one.seq != 3 else msgspec.structs.replace(one, hash="0" * 64) for one in anchored(this)]
    found = held(exported(this), wrong)
    assert found.bad == (chain.Bad(this.id, 3, "is not the one that was anchored"),)
    assert (found.covered, found.uncovered) == (2, this.seq - 2)


def test_the_fault_of_the_chain_is_named_before_that_of_an_anchor():
    """Both find the same event; what is wrong with it in itself says more than that it is another one."""
    this = ended("i-1")
    events = exported(this)
    events[2]["type"] = "launch.approved"
    (bad,) = anchors.hold(chain.verify(events), anchored(this)).bad
    assert bad == chain.Bad(this.id, 3, "is not as it was written")


def test_an_event_anchored_twice_is_named_by_its_item_and_number():
    """Two truths of one event: where to look is all that can be said."""
    this = ended("i-1")
    twice = [*anchored(this), msgspec.structs.replace(anchored(this)[0], hash="0" * 64)]
    assert held(exported(this), twice).bad == (chain.Bad(this.id, 1, "was anchored twice, and not the same"),)


def test_the_first_event_of_an_export_is_asked_for():
    """It begins at its first event, whichever that is, and everything anchored from there on must be there."""
    this = ended("i-1")
    kept = anchored(this)
    assert held(exported(this)[2:], kept).bad == ()
    assert anchors.hold(chain.verify([]), kept).bad == (chain.Bad(this.id, 1, "is anchored, and is missing"),)


def test_what_is_there_of_a_lost_time_must_be_as_it_was_anchored():
    """That a restore lost an event excuses that it is missing, not that it is another one."""
    kept, before, after = restored("a")
    wrong = msgspec.structs.replace(anchored(before)[kept.seq], hash="0" * 64)
    assert held(exported(before, after), [*anchored(after), wrong]).bad == (
        chain.Bad(kept.id, kept.seq + 1, "is not the one that was anchored"),
    )
