"""A gate: what decisions add up to, and who counts."""

from __future__ import annotations

import re

import msgspec
import pytest

from gonogo.core import commands
from gonogo.core.actor import Actor
from gonogo.core.errors import AlreadyDecidedError, GateNotOpenError, NotPermittedError, TooManyNotesError
from gonogo.core.gates import (
    MOST_NOTES,
    UNANSWERED,
    Decision,
    Gate,
    GateState,
    Note,
    Verdict,
    seat_for,
    stage_to_open,
)
from gonogo.core.window import Window
from tests.core.builders import (
    AT,
    BOSS,
    DAY,
    DEV,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    SCANNER,
    SECOND,
    gate,
    hook,
    launch,
    timer,
)


def say(verdict: Verdict, by: Actor, *, after: float = 0, instead_of: Actor | None = None) -> Decision:
    """Return a decision, so many seconds after the gate opened."""
    return Decision(
        actor=by,
        verdict=verdict,
        digest="d",
        round=1,
        at=AT + after * SECOND,
        channel="api",
        instead_of=instead_of,
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
    with pytest.raises(AlreadyDecidedError, match="'lead' already: approve"):
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
    assert (raised.value.gate, raised.value.state) == ("lead", this.state)


def test_nobody_decides_for_the_clock():
    """Who could say go to a timer would launch outside of the hours that the policy allows."""
    with pytest.raises(GateNotOpenError) as raised:
        timer().opened(AT).decided(say("approve", LEAD))
    assert (raised.value.gate, raised.value.state) == ("cool", GateState.OPEN)


@pytest.mark.parametrize(("seconds", "taken"), [(-1, True), (0, False), (1, False)])
def test_expiry_is_to_the_second(seconds: int, taken: bool):  # noqa: FBT001 - a table of what is taken
    """The very second of expiry is too late, whether or not somebody has noticed it already."""
    this = gate(expires_after="3d").opened(AT)
    decision = say("approve", LEAD, after=3 * DAY.total_seconds() + seconds)
    if taken:
        assert this.decided(decision).state is GateState.GO
    else:
        with pytest.raises(GateNotOpenError, match="'lead' is not open: it is EXPIRED"):
            this.decided(decision)


def test_each_opening_is_a_round_with_a_clock_of_its_own():
    """A token of the first round must not fit the second, and the second has its full time."""
    first = gate(expires_after="3d").opened(AT)
    second = first.opened(AT + DAY)
    assert (first.round, first.expires_at) == (1, AT + 3 * DAY)
    assert (second.round, second.opened_at, second.expires_at) == (2, AT + DAY, AT + 4 * DAY)


def test_a_second_round_begins_from_nothing():
    """What the first round left behind (reminders, an escalation, why it passed) must not decide the second."""
    ruled = gate(remind_every="1h", escalate_after="2h", reserve=(BOSS,))
    first = ruled.opened(AT).reminded_of(AT + HOUR).closed(GateState.GO, "nobody was asked")
    second = first.opened(AT + DAY, "policy changed")
    assert (first.reminded, first.passed) == (1, "nobody was asked")
    assert (second.reminded, second.passed, second.why) == (0, None, "policy changed")
    assert (second.remind_at, second.escalate_at) == (AT + DAY + HOUR, AT + DAY + 2 * HOUR)
    assert second.widened().waiting("again").opened(AT + DAY).escalate_at is None


def test_a_gate_that_waits_again_has_not_passed():
    """Who reads it must not find why it is GO on a gate that is not."""
    this = gate().closed(GateState.GO, "its time has come").waiting("a decision was taken back")
    assert (this.state, this.passed, this.why) == (GateState.WAITING, None, "a decision was taken back")


CLOCKS = {
    "expires": AT + 3 * DAY,
    "reminds": AT + 5 * HOUR,
    "escalates": AT + 6 * HOUR,
    "lapses": AT + 7 * HOUR,
    "goes": AT + HOUR,
}


@pytest.mark.parametrize(
    ("this", "ring"),
    [
        ({}, ""),
        ({"state": "OPEN"}, "expires reminds escalates lapses"),
        ({"state": "GO"}, "lapses"),
        ({"state": "NO_GO"}, ""),
        ({"state": "EXPIRED"}, ""),
        ({"state": "CANCELLED"}, ""),
        ({"state": "WAITING"}, ""),
        ({"state": "OPEN", "place": "after_launch"}, "expires reminds escalates"),
        ({"state": "GO", "place": "after_launch"}, ""),
    ],
    ids=str,
)
def test_only_what_still_matters_wakes_it(this: dict[str, str], ring: str):
    """A clock too many wakes a launch for ever, one too few strands it; a review is never decided anew."""
    ruled = gate(
        quorum=2,
        expires_after="3d",
        remind_every="5h",
        escalate_after="6h",
        valid_for="7h",
        place=this.get("place", "approval"),
    )
    if "state" in this:
        ruled = ruled.opened(AT).decided(say("approve", LEAD))
        ruled = msgspec.structs.replace(ruled, state=GateState(this["state"]))
    assert sorted(ruled.clocks()) == sorted(CLOCKS[one] for one in ring.split())


@pytest.mark.parametrize("state", ["GO", "NO_GO", "EXPIRED", "CANCELLED"])
def test_what_is_closed_reminds_nobody(state: str):
    """A mail about a gate that is decided sends people to a page where nothing is left to do."""
    this = gate(remind_every="1h", escalate_after="2h").opened(AT)
    assert (this.remind_at, this.escalate_at) == (AT + HOUR, AT + 2 * HOUR)
    closed = this.closed(GateState(state))
    assert (closed.remind_at, closed.escalate_at) == (None, None)
    assert timer().opened(AT).closed(GateState(state)).goes_at is None


def test_a_window_is_a_timer_that_goes_when_it_opens():
    """The clock decides it at the next opening, and never says that nobody decided it in time."""
    this = timer(None, window=Window(time_zone="UTC", begins="18:00")).opened(AT)
    assert (this.goes_at, this.expires_at) == (AT + 9 * HOUR, None)
    assert this.clocks() == [AT + 9 * HOUR]


def test_who_stands_in_for_two_is_still_one_person():
    """Two who are away name the same colleague: that is one who looked at it, not two."""
    this = gate(quorum=2).opened(AT).decided(say("approve", BOSS, instead_of=LEAD))
    assert this.decided(say("approve", BOSS, instead_of=LEAD2)) is this
    assert this.decided(say("approve", LEAD)) is this
    with pytest.raises(AlreadyDecidedError):
        this.decided(say("reject", BOSS, instead_of=LEAD2))
    assert (this.approvals, this.state) == (1, GateState.OPEN)
    own = gate(quorum=2).opened(AT).decided(say("approve", LEAD))
    assert own.decided(say("approve", BOSS, instead_of=LEAD)) is own
    with pytest.raises(AlreadyDecidedError):
        own.decided(say("reject", BOSS, instead_of=LEAD))


def test_whose_right_is_used():
    """One's own right comes first, then the right of whoever is away and has not been spoken for."""
    may, away = frozenset({LEAD, LEAD2}), {BOSS: frozenset({LEAD, LEAD2, LEAD3}), LEAD: frozenset({LEAD2})}
    this = gate(quorum=2).opened(AT)
    assert seat_for(this, LEAD, may, away) == LEAD
    assert seat_for(this, BOSS, may, away) == LEAD
    assert seat_for(this.decided(say("approve", LEAD)), BOSS, may, away) == LEAD2
    assert seat_for(after(this, "+1 +2"), BOSS, may, away) == LEAD
    assert seat_for(this, LEAD3, may, away) is None
    assert seat_for(this, BOSS, frozenset({LEAD3}), {BOSS: frozenset({LEAD})}) is None


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
    with pytest.raises(TooManyNotesError, match="'scan' has 10 notes"):
        this.noted(Note(actor=SCANNER, at=AT, text="and one more"))
    assert (len(this.notes), this.state) == (10, GateState.OPEN)


@pytest.mark.parametrize(
    "this",
    [hook(), hook().opened(AT - 9 * DAY), hook().opened(AT).closed(GateState.GO), gate().opened(AT)],
    ids=["waits", "late", "closed", "people"],
)
def test_notes_are_of_open_systems(this: Gate):
    """Nobody waits for a note on anything else; people comment on their decisions."""
    with pytest.raises(GateNotOpenError) as raised:
        this.noted(Note(actor=SCANNER, at=AT, text="40 %"))
    assert raised.value.gate == this.name
    assert str(raised.value) == WHY_NO_NOTES[raised.value.state].format(this.name)


WHY_NO_NOTES = {
    "WAITING": "The gate {!r} is not open: it is WAITING.",
    "EXPIRED": "The gate {!r} is not open: it is EXPIRED.",
    "GO": "The gate {!r} is not open: it is GO.",
    "a gate for people, who comment on their decisions instead": (
        "The gate {!r} is not open: it is a gate for people, who comment on their decisions instead."
    ),
}


def test_a_system_that_was_silent_leaves_its_place_to_people():
    """People decide where the system stood, see what it said, and do not find its answer counted as theirs."""
    people = gate("people", BOSS, quorum=1, stage=7)
    silent = hook("scan", SCANNER, quorum=2, stage=3, on_reject="terminate", fallback=people)
    silent = silent.opened(AT).noted(Note(actor=SCANNER, at=AT, text="40 %")).decided(say("approve", SCANNER))
    this = silent.given_to_people()
    assert (this.name, this.title, this.kind) == ("scan", "Scan: People", "human")
    assert (this.rank, this.on_reject, this.rule) == (silent.rank, "terminate", "people")
    assert (this.round, this.notes, this.state) == (1, silent.notes, GateState.WAITING)
    assert [(one.actor, one.void) for one in this.decisions] == [(SCANNER, UNANSWERED)]
    with pytest.raises(GateNotOpenError) as raised:
        hook().opened(AT).given_to_people()
    assert (raised.value.gate, raised.value.state) == ("scan", GateState.OPEN)


@pytest.mark.parametrize("who", [LEAD, DEV])
def test_notes_are_by_the_system_that_is_asked(who: Actor):
    """What is shown to everybody as the scanner's word must be the scanner's."""
    with pytest.raises(NotPermittedError):
        commands.note(
            launch(hook()), gate="scan", actor=who, text="100 %", eligible=frozenset({SCANNER}), at=AT
        )
