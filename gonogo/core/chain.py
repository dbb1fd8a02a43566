"""Whether a history is whole: each event carries the hash of the one before, so the first bad one can be named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from gonogo.core import event as events
from gonogo.core.event import Event
from gonogo.core.item import EPOCH, epoch_of


class Bad(msgspec.Struct, frozen=True):
    """The first entry of an item's history that is not as it was written: its `seq`, and what is wrong."""

    subject: str
    seq: int
    why: str


class Head(msgspec.Struct, frozen=True):
    """The hash that an item's event must have: as its item kept it, or as it was put where nobody can change it."""

    subject: str
    seq: int
    hash: str


class Restored(msgspec.Struct, frozen=True):
    """An item's history goes on in `epoch` after its event `last`: its table was restored to when that was the last.

    `lost` are the seqs of those events, told before that, which are not of its history any more.
    """

    subject: str
    epoch: int
    last: int
    lost: tuple[int, ...] = ()

    def and_lost(self, seq: int) -> Restored:
        """Return it with one more event that was lost."""
        return msgspec.structs.replace(self, lost=tuple(sorted({*self.lost, seq})))


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at: how many items and events, the hash of each, the first bad entry of each item, restores.

    `unchained` counts events that were written before events were chained; what follows them covers them.
    """

    items: int
    events: int
    unchained: int
    heads: tuple[Head, ...]
    bad: tuple[Bad, ...]
    restored: tuple[Restored, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    """As much of a CloudEvent as is chained."""

    subject: str
    seq: int
    type: str
    time: str
    data: dict[str, Any]
    prevhash: str | None = None


def verify(exported: Iterable[Mapping[str, Any]], kept: Iterable[Head] = ()) -> Verified:
    """Verify events as they stand on the bus, of one item or of many, in any order; the same one twice is one.

    Args:
        exported: CloudEvents, as decoded from JSON.
        kept: what must be found among them.
    """
    by_subject: dict[str, dict[int, Mapping[str, Any]]] = {}
    bad: dict[str, Bad] = {}
    for one in exported:
        subject, seq = str(one.get("subject")), one.get("seq")
        if not isinstance(seq, int) or isinstance(seq, bool):
            bad.setdefault(subject, Bad(subject, 0, "has no seq"))
            continue
        known = by_subject.setdefault(subject, {})
        if seq in known and known[seq] != one:
            bad.setdefault(subject, Bad(subject, seq, "stands there twice, and not the same"))
        known[seq] = one
    found: dict[tuple[str, int], str] = {}
    restored: dict[tuple[str, int], Restored] = {}
    unchained = 0
    for subject, entries in by_subject.items():
        heads, wrong, plain, forks = _verified(subject, [entries[seq] for seq in sorted(entries)])
        unchained += plain
        restored |= {(subject, one.epoch): one for one in forks}
        found |= {(subject, one.seq): one.hash for one in heads}
        if wrong is not None and (subject not in bad or wrong.seq < bad[subject].seq):
            bad[subject] = wrong
    for head in sorted(kept, key=lambda one: (one.subject, one.seq)):
        hash_ = found.get((head.subject, head.seq))
        gone = lost_by(head.subject, head.seq, restored.values()) if hash_ is None else None
        if gone is not None:
            restored[gone.subject, gone.epoch] = gone.and_lost(head.seq)
            continue
        if head.subject not in bad and hash_ != head.hash:
            why = "is missing" if hash_ is None else "is not the one whose hash was kept"
            bad[head.subject] = Bad(head.subject, head.seq, why)
    return Verified(
        items=len(by_subject),
        events=sum(map(len, by_subject.values())),
        unchained=unchained,
        heads=tuple(Head(subject, seq, hash_) for (subject, seq), hash_ in found.items()),
        bad=tuple(bad[subject] for subject in sorted(bad)),
        restored=tuple(restored[key] for key in sorted(restored)),
    )


def lost_by(subject: str, seq: int, restored: Iterable[Restored]) -> Restored | None:
    """Return the restore by which an event was lost that was kept; None where there is none."""
    return next(
        (one for one in restored if one.subject == subject and one.last < seq and epoch_of(seq) < one.epoch),
        None,
    )


def hashed(exported: Mapping[str, Any]) -> tuple[Head, datetime] | None:
    """Return the hash that an event of the bus has by what it says, and when it happened; None if it has another.

    What newer code says besides is passed over, as a subscriber does.
    """
    try:
        entry = msgspec.convert(dict(exported), _Entry)
        at = msgspec.convert(entry.time, datetime)
        hash_ = events.hash_of(entry.subject, Event(entry.seq, entry.type, at, entry.data, entry.prevhash))
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    return (Head(entry.subject, entry.seq, hash_), at) if exported.get("hash") == hash_ else None


def _verified(
    subject: str, entries: Sequence[Mapping[str, Any]]
) -> tuple[list[Head], Bad | None, int, list[Restored]]:
    """Return the hashes of the events until the first bad one, that one, how many are not chained, and restores."""
    heads: list[Head] = []
    forks: list[Restored] = []
    chained, plain = False, 0
    for one in entries:
        event, seq = _read(subject, one), int(one["seq"])
        if event is None:
            return heads, Bad(subject, seq, "is not as it was written"), plain, forks
        fork = _fork(event, heads)
        wrong = _link(event, heads[-1] if heads else None, chained=chained) if fork is None else None
        if wrong is not None:
            return heads, wrong, plain, forks
        if fork is not None:
            forks.append(fork)
        plain += event.prev is None and (seq - 1) % EPOCH != 0
        chained = chained or event.prev is not None
        heads.append(Head(subject, seq, events.hash_of(subject, event)))
    return heads, None, plain, forks


def _fork(event: Event, heads: Sequence[Head]) -> Restored | None:
    """Return the restore that an event shows which is the first of its epoch; None where it shows none.

    It carries the hash of the last event that the restored table had, or none if the item was not in it.
    """
    epoch = epoch_of(event.seq)
    if not heads or epoch == epoch_of(heads[-1].seq) or (event.seq - 1) % EPOCH != 0:
        return None
    last = 0 if event.prev is None else next((one.seq for one in heads if one.hash == event.prev), None)
    if last is None:
        return None
    return Restored(heads[0].subject, epoch, last, tuple(one.seq for one in heads if one.seq > last))


def _link(event: Event, last: Head | None, *, chained: bool) -> Bad | None:
    """Return what is wrong between an event and the one before it, if anything is."""
    if last is None:
        return None
    if event.seq != last.seq + 1:
        return Bad(last.subject, last.seq + 1, "is missing")
    if event.prev is None:
        return Bad(last.subject, event.seq, "does not carry the hash of the one before") if chained else None
    if event.prev != last.hash:
        return Bad(last.subject, last.seq, "is not the one that the next was written after")
    return None


def _read(subject: str, one: Mapping[str, Any]) -> Event | None:
    """Return the event of a CloudEvent; None where the CloudEvent is not the one that this event makes."""
    try:
        entry = msgspec.convert(dict(one), _Entry)
        at = msgspec.convert(entry.time, datetime)
    except msgspec.ValidationError:
        return None
    event = Event(entry.seq, entry.type, at, entry.data, entry.prevhash)
    whole = events.cloud_event(subject, event)
    told = dict(one)
    told.setdefault("hash", whole["hash"])  # what was told before events were chained has none
    if _is_schema(entry.type, told.get("dataschema")):
        told["dataschema"] = whole["dataschema"]
    return event if told == whole else None


def _is_schema(name: str, schema: object) -> bool:
    """Tell whether this names a schema that the event has or had; of an event of newer code, none is known."""
    if name not in events.ALL:
        return isinstance(schema, str) and schema.startswith(f"urn:gonogo:event:{name}")
    versions = range(1, events.ALL[name].schema_version + 1)
    return schema in {f"urn:gonogo:event:{name}:{version}" for version in versions}
