"""What is kept of events where nobody can change it, and whether a history is still the one that was kept."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gonogo.core import chain
from gonogo.core.chain import Bad, Restored, Verified
from gonogo.core.errors import Fault, InvalidError


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That an event went out: its item, its number there, when it happened and its hash; nothing of what it says."""

    subject: str
    seq: int
    time: datetime
    hash: str


class Span(msgspec.Struct, frozen=True):
    """The time that an export is of: of what is anchored before and after it, nothing need be there."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, time: datetime) -> bool:
        """Tell whether a time is in it; `until` itself is not."""
        return (self.since is None or self.since <= time) and (self.until is None or time < self.until)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the anchors say of an export.

    Args:
        anchors: how many there are, of the items that were asked about.
        covered: the events that an anchor says are as they were: its own, and by the chain all before it.
        uncovered: the events after the last anchor of their item, or of items that have none.
        last: when the last event that is anchored happened; None without anchors.
        bad: the first bad entry of each item.
        restored: the restores of the table, with what is anchored of the time that they lost.
    """

    anchors: int
    covered: int
    uncovered: int
    last: datetime | None
    bad: tuple[Bad, ...]
    restored: tuple[Restored, ...] = ()


def of(exported: Mapping[str, Any]) -> Anchor:
    """Return what is kept of an event; its hash is worked out, and not taken from what the event says of itself.

    Raises:
        InvalidError: it is not an event, or not the one whose hash it carries.
    """
    found = chain.hashed(exported)
    if found is None:
        raise InvalidError(
            Fault("/detail", "event", "is no event of gonogo's, or not the one whose hash it has")
        )
    head, at = found
    return Anchor(head.subject, head.seq, at, head.hash)


def written(anchors: Iterable[Anchor]) -> tuple[str, bytes]:
    """Return the name of a file of anchors and its lines of JSON.

    The same anchors, in any order and however often, have the same name: `YYYY/MM/DD/SHA-256.jsonl`, the day
    (UTC) that of the newest event, the digest that of the lines.

    Raises:
        ValueError: there are none.
    """
    kept = sorted({*anchors}, key=lambda one: (one.subject, one.seq, one.hash, one.time))
    if not kept:
        raise ValueError("nothing is anchored")
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in kept)
    day = max(one.time for one in kept).astimezone(UTC)
    return f"{day:%Y/%m/%d}/{hashlib.sha256(lines).hexdigest()}.jsonl", lines


def read(name: str, lines: bytes) -> list[Anchor]:
    """Return the anchors of a file, whatever folder it is in now.

    Raises:
        InvalidError: it does not hold what it is named after, or something else than anchors.
    """
    if name.rpartition("/")[2] != f"{hashlib.sha256(lines).hexdigest()}.jsonl":
        raise InvalidError(Fault(name, "digest", "does not hold what it is named after"))
    try:
        return msgspec.json.Decoder(Anchor).decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(Fault(name, "anchors", f"holds something else than anchors: {error}")) from error


def hold(verified: Verified, anchors: Collection[Anchor], span: Span = Span()) -> Held:  # noqa: B008 - frozen
    """Hold what was exported against what was anchored.

    An item's export may begin later than its anchors, and must then go on to the last that is in `span`.
    """
    there: dict[str, dict[int, str]] = {}
    for head in verified.heads:
        there.setdefault(head.subject, {})[head.seq] = head.hash
    restored = {(one.subject, one.epoch): one for one in verified.restored}
    of_items: dict[str, dict[int, list[Anchor]]] = {}
    for one in anchors:
        missing = one.seq not in there.get(one.subject, {})
        gone = chain.lost_by(one.subject, one.seq, restored.values()) if missing else None
        if gone is None:
            of_items.setdefault(one.subject, {}).setdefault(one.seq, []).append(one)
        else:
            restored[gone.subject, gone.epoch] = gone.and_lost(one.seq)
    bad = {one.subject: one for one in verified.bad}
    covered = 0
    for subject in sorted({*of_items, *there}):
        found = _first(subject, there.get(subject, {}), of_items.get(subject, {}), span)
        if found is not None and (subject not in bad or found.seq < bad[subject].seq):
            bad[subject] = found
        last = max(of_items.get(subject, {}), default=0)
        end = min(last, bad[subject].seq - 1) if subject in bad else last
        covered += sum(seq <= end for seq in there.get(subject, {}))
    return Held(
        anchors=sum(
            len({one.hash for one in found}) for seqs in of_items.values() for found in seqs.values()
        ),
        covered=covered,
        uncovered=verified.events - covered,
        last=max((one.time for one in anchors), default=None),
        bad=tuple(bad[subject] for subject in sorted(bad)),
        restored=tuple(restored[key] for key in sorted(restored)),
    )


def _first(
    subject: str, there: Mapping[int, str], anchored: Mapping[int, list[Anchor]], span: Span
) -> Bad | None:
    """Return the first event of an item that is not as it was anchored."""
    begins = min(there, default=0)
    for seq in sorted(anchored):
        hashes = {one.hash for one in anchored[seq]}
        if len(hashes) > 1:
            return Bad(subject, seq, "was anchored twice, and not the same")
        if seq in there and there[seq] not in hashes:
            return Bad(subject, seq, "is not the one that was anchored")
        if seq not in there and seq >= begins and any(span.holds(one.time) for one in anchored[seq]):
            return Bad(subject, seq, "is anchored, and is missing")
    return None
