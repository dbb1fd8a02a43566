"""A gate: what decisions add up to, and who counts."""

from __future__ import annotations

import re

import pytest

from gonogo.core import commands
from gonogo.core.actor import Actor
from gonogo.core.errors import AlreadyDecidedError, GateNotOpenError, NotPermittedError, TooManyNotesError
from gonogo.core.gates import MOST_NOTES, Decision, Gate, GateState, Note, Verdict, stage_to_open
from tests.core.builders import AT, DAY, DEV, LEAD, LEAD2, LEAD3, SCANNER, SECOND, gate, hook, launch


def say(verdict: Verdict, by: Actor, *, after: float = 0, round_: int = 1) -> Decision:
    """Return a decision, so many seconds after the gate opened."""
    return Decision(
        actor=by, verdict=verdict, digest="d", round=round_, at=AT + after * SECOND, channel="api"
    )


@pytest.mark.parametrize(
    ("quorum", "reject_quorum", "said", "state"),
    [
        (1, 2, "-1", "OPEN"),
        (1, 2, "-1 -2", "NO_GO"),
        (1, 2, "-1 -1", "OPEN"),
        (1, 2, "-1 +2", "GO"),
        (2, 2, "-1 +2", "OPEN"),
        (2, 2, "-1 +2 +3", "GO"),
        (2, 2, "-1 +2 -3", "NO_GO"),
        (2, 2, "-1 ~1 -2", "OPEN"),
        (2, 2, "-1 ~1 +1 +2", "GO"),
        (3, 3, "-1 -2 -3", "NO_GO"),
        (3, 2, "+1 +2 -3", "OPEN"),
    ],
)
def test_so_many_must_say_no(quorum: int, reject_quorum: int, said: str, state: str):
    """Where a gate says so, one no alone ends nothing; each counts once here too."""
    this = gate(quorum=quorum, reject_quorum=reject_quorum).opened(AT)
    assert after(this, said).state == state


def after(this: Gate, said: str) -> Gate:
    """Return the gate after `+1 +2 -3 ~1`: LEAD and LEAD2 say go, LEAD3 no, and LEAD takes it back."""
    for sign, number in re.findall(r"([+~-])(\d)", said):
        who = (LEAD, LEAD2, LEAD3)[int(number) - 1]
        if sign == "~":
            this = this.voided(frozenset({who}), "revoked").short_of_quorum("it was taken back")
        else:
            this = this.decided(say("approve" if sign == "+" else "reject", who))
    return this


@pytest.mark.parametrize(
    ("quorum", "said", "state"),
    [
        (1, "", "OPEN"),
        (1, "+1", "GO"),
        (1, "-1", "NO_GO"),
        (2, "+1", "OPEN"),
        (2, "+1 +1", "OPEN"),
        (2, "+1 +2", "GO"),
        (2, "+1 -2", "NO_GO"),
        (2, "-2", "NO_GO"),
        (2, "+1 ~1 +2", "OPEN"),
        (2, "+1 ~1 +1 +2", "GO"),
        (2, "+1 ~1 -1", "NO_GO"),
        (2, "+1 +2 ~1", "WAITING"),
        (3, "+1 +2 +1 +2", "OPEN"),
        (3, "+1 +2 +3", "GO"),
        (3, "+1 +2 +3 ~2", "WAITING"),
        (3, "+1 +2 -3", "NO_GO"),
    ],
)
def test_decisions_add_up(quorum: int, said: str, state: str):
    """So many different people must say go, each counts once, and one no is enough."""
    assert after(gate(quorum=quorum).opened(AT), said).state == state


def test_repeating_is_the_very_same_gate():
    """A replayed decision must change nothing, not even by a copy, also when the gate has closed."""
    open_ = after(gate(quorum=2).opened(AT), "+1")
    assert open_.decided(say("approve", LEAD, after=9)) is open_
    closed = after(open_, "+2")
    assert closed.decided(say("approve", LEAD2)) is closed


@pytest.mark.parametrize("said", ["+1", "+1 +2"])
def test_the_opposite_is_refused(said: str):
    """Who has said go cannot slip a no past it, while the gate is open or after."""
    this = after(gate(quorum=2).opened(AT), said)
    with pytest.raises(AlreadyDecidedError, match="approve"):
        this.decided(say("reject", LEAD))


@pytest.mark.parametrize(
    "this",
    [gate(), *(gate().opened(AT).closed(state) for state in GateState if state not in ("WAITING", "OPEN"))],
    ids=lambda this: this.state,
)
def test_a_gate_that_is_not_open_takes_nothing(this: Gate):
    """Only an open gate may be decided, however it was closed, or before it is opened."""
    with pytest.raises(GateNotOpenError) as raised:
        this.decided(say("approve", LEAD))
    assert raised.value.state == this.state


@pytest.mark.parametrize(("seconds", "taken"), [(-1, True), (0, False), (1, False)])
def test_expiry_is_to_the_second(seconds: int, taken: bool):  # noqa: FBT001 - a table of what is taken
    """The very second of expiry is too late, whether or not somebody has noticed it already."""
    this = gate(expires_after="3d").opened(AT)
    decision = say("approve", LEAD, after=3 * DAY.total_seconds() + seconds)
    if taken:
        assert this.decided(decision).state is GateState.GO
    else:
        with pytest.raises(GateNotOpenError, match="EXPIRED"):
            this.decided(decision)


def test_each_opening_is_a_round_with_a_clock_of_its_own():
    """A token of the first round must not fit the second, and the second has its full time."""
    first = gate(expires_after="3d").opened(AT)
    second = first.opened(AT + DAY)
    assert (first.round, first.expires_at) == (1, AT + 3 * DAY)
    assert (second.round, second.opened_at, second.expires_at) == (2, AT + DAY, AT + 4 * DAY)


def test_what_counts_no_longer_is_kept_with_its_reason():
    """Who reads the gate must see what was taken back, and why it does not count."""
    this = after(gate(quorum=2).opened(AT), "+1 +2 ~1")
    assert [(one.actor, one.void) for one in this.decisions] == [(LEAD, "revoked"), (LEAD2, None)]
    assert this.approvals == 1
    assert this.decision_of(LEAD) is None


def test_a_gate_does_not_grow_with_every_change_of_mind():
    """Who decides and takes back a thousand times must not fill the item until no write fits."""
    this = gate(quorum=2).opened(AT)
    for _ in range(1000):
        this = after(this, "+1 ~1")
    assert [one.actor for one in this.decisions] == [LEAD]
    assert after(this, "+1 +2").state is GateState.GO


def test_who_loses_authority_is_no_approver_any_more():
    """The gate must not go on naming somebody whom policy has dropped, and keeps what they said as void."""
    this = after(gate(quorum=2).opened(AT), "+1 +2").lost(frozenset({LEAD2}))
    assert this.approvers == (LEAD, LEAD3)
    assert [(one.actor, one.void is None) for one in this.decisions] == [(LEAD, True), (LEAD2, False)]


@pytest.mark.parametrize(
    ("states", "stage"),
    [
        ("", None),
        ("1:GO", None),
        ("1:WAITING", 1),
        ("1:GO 2:WAITING", 2),
        ("1:OPEN 2:WAITING", 1),
        ("1:GO 1:OPEN 2:WAITING", 1),
        ("2:GO 3:GO 7:WAITING 9:WAITING", 7),
        ("1:OPEN 2:OPEN", 1),
    ],
)
def test_the_first_stage_that_is_not_all_go(states: str, stage: int | None):
    """The next stage opens when every gate before it is GO, and numbers may have holes."""
    gates = [(int(number), GateState(state)) for number, state in re.findall(r"(\d):(\w+)", states)]
    opens = stage_to_open(tuple(gate(stage=number).closed(state) for number, state in gates))
    assert (opens and opens[1]) == stage


# Notes


def test_a_system_leaves_ten_notes():
    """So far and no further: a chatty system must not fill the item, and the last one twice is once."""
    this = hook().opened(AT)
    for n in range(MOST_NOTES):
        this = this.noted(Note(actor=SCANNER, at=AT, text=f"{n} of 10"))
        assert this.noted(Note(actor=SCANNER, at=AT + SECOND, text=f"{n} of 10")) is this
    with pytest.raises(TooManyNotesError):
        this.noted(Note(actor=SCANNER, at=AT, text="and one more"))
    assert (len(this.notes), this.state) == (10, GateState.OPEN)


@pytest.mark.parametrize(
    "this",
    [hook(), hook().opened(AT - 9 * DAY), hook().opened(AT).closed(GateState.GO), gate().opened(AT)],
    ids=["waits", "late", "closed", "people"],
)
def test_notes_are_of_open_systems(this: Gate):
    """Nobody waits for a note on anything else; people comment on their decisions."""
    with pytest.raises(GateNotOpenError):
        this.noted(Note(actor=SCANNER, at=AT, text="40 %"))


@pytest.mark.parametrize("who", [LEAD, DEV])
def test_notes_are_by_the_system_that_is_asked(who: Actor):
    """What is shown to everybody as the scanner's word must be the scanner's."""
    with pytest.raises(NotPermittedError):
        commands.note(
            launch(hook()), gate="scan", actor=who, text="100 %", eligible=frozenset({SCANNER}), at=AT
        )
