"""What time does to a launch and its gates: each to the second, and however often the clock ticks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from gonogo.core import attempts, clock, commands, event
from gonogo.core.errors import GateNotOpenError, TransitionNotAllowedError
from gonogo.core.gates import LAPSED, MOST_REMINDERS, UNANSWERED, Gate, GateState, OnExpiry
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.core.window import Window
from tests.core.builders import (
    AT,
    DAY,
    FINANCE,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    MINUTE,
    OPS,
    SCANNER,
    SCANNER2,
    SECOND,
    approve,
    decide,
    gate,
    hook,
    last,
    launch,
    question,
    reject,
    review,
    running,
    timer,
    told,
)

EVENINGS = Window(time_zone="UTC", begins="18:00", ends="22:00", holidays=(date(2026, 11, 3),))
"""AT is nine o'clock of the 2nd: nine hours until it opens."""


def tick(this: Launch, at: datetime) -> Launch:
    """Return the launch after a tick."""
    return clock.tick(this, at=at)


def ticked(this: Launch, until: timedelta) -> Launch:
    """Return the launch after each of its alarms has rung in time, twice, until so long after AT."""
    while this.due_at is not None and this.due_at <= AT + until:
        now = this.due_at
        this = tick(this, now)
        assert tick(this, now) is this
    return this


def hours(this: Launch, kind: type[event.Data]) -> list[float]:
    """Return when events of a kind were told, in hours after AT."""
    return [(one.at - AT) / HOUR for one in this.history if one.type == kind.type]


# Timers


@pytest.mark.parametrize(
    ("wait", "window", "goes"),
    [
        ("1h", None, 1),
        ("90m", None, 1.5),
        (None, EVENINGS, 9),
        (None, Window(time_zone="UTC", begins="09:00", ends="10:00"), 0),
        (None, Window(time_zone="UTC", begins="08:00", ends="09:00"), 23),
    ],
)
def test_a_timer_goes_by_itself(wait: str | None, window: Window | None, goes: float):
    """Nobody decides it: at its time to the second the launch is cleared, and its alarm rings just then."""
    this = launch(timer(wait, window=window))
    if goes:
        assert this.due_at == this.gate("cool").goes_at == AT + goes * HOUR
        assert tick(this, AT + goes * HOUR - SECOND) is this
        this = tick(this, AT + goes * HOUR)
    assert (this.state, this.gate("cool").state) == (State.PENDING, GateState.GO)
    assert last(this, event.GateClosed).data["passed"] == "its time has come"


def test_nobody_decides_a_timer():
    """Whoever is eligible by mistake cannot cut a wait short."""
    with pytest.raises(GateNotOpenError):
        approve(launch(timer()), LEAD, "cool")


def test_a_window_that_never_opens_ends_the_launch():
    """A window of holidays only must not hold a launch for ever."""
    never = Window(
        time_zone="UTC",
        days=("mon",),
        holidays=tuple(date(2026, 11, 2) + timedelta(weeks=n) for n in range(60)),
    )
    this = launch(timer(None, window=never))
    with pytest.raises(GateNotOpenError):
        approve(this, LEAD, "cool")
    assert ticked(this, 3 * DAY).state is State.EXPIRED


def test_a_window_that_has_closed_is_waited_for_again():
    """Cleared in the window but claimed after it: it may not launch, and waits for the next."""
    this = ticked(launch(timer(None, window=EVENINGS)), 9 * HOUR)
    assert attempts.reopen(this, lost={}, at=AT + 13 * HOUR - SECOND) is this
    with pytest.raises(TransitionNotAllowedError, match="GO no longer"):
        attempts.claim(this, at=AT + 13 * HOUR)
    this = attempts.reopen(this, lost={}, at=AT + 13 * HOUR)
    cool = this.gate("cool")
    assert (this.state, cool.state, cool.round, cool.why) == (
        "PENDING_APPROVAL",
        "OPEN",
        2,
        "its window has closed",
    )
    assert cool.goes_at == AT + 2 * DAY + 9 * HOUR


# Places and stages


@pytest.mark.parametrize(
    ("gates", "order"),
    [
        ((gate("b"), gate("a", stage=2)), "b a"),
        ((gate("a", stage=9), hook("b", SCANNER, stage=9)), "b a"),
        ((timer("1h", "c"), gate("b"), hook("a")), "a b c"),
        ((timer("1h", "c", stage=2), gate("b", place="before_launch"), hook("a", place="approval")), "a b c"),
        ((gate("a"), review("z"), hook("y", place="after_launch", stage=2), gate("b", stage=2)), "a b z y"),
    ],
)
def test_gates_open_by_place_then_by_stage(gates: tuple[Gate, ...], order: str):
    """Systems look before people are asked, clocks run last, and reviews come after the launch."""
    this, opened = launch(*gates), []
    for _ in gates:
        if this.state is State.PENDING:
            this = attempts.record_started(attempts.claim(this, at=AT), resources=("i-1",), at=AT)
        now = [one for one in this.gates if one.state is GateState.OPEN]
        opened += [one.name for one in now]
        for one in now:
            who = SCANNER if one.kind == "hook" else LEAD
            this = ticked(this, HOUR) if one.kind == "timer" else approve(this, who, one.name)
    assert " ".join(opened) == order


# What becomes of a gate that nobody decides


@pytest.mark.parametrize(
    ("ends", "state", "gate_state"),
    [
        ("expire", State.EXPIRED, GateState.EXPIRED),
        ("reject", State.REJECTED, GateState.NO_GO),
        ("approve", State.PENDING, GateState.GO),
        ("escalate", State.PENDING_APPROVAL, GateState.OPEN),
    ],
)
def test_when_a_system_does_not_answer(ends: OnExpiry, state: State, gate_state: GateState):
    """Silence means what policy says that it means, at the very second, and not before."""
    this = launch(hook(expires_after="2h", on_expiry=ends, fallback=gate("people", LEAD)))
    assert tick(this, AT + 2 * HOUR - SECOND).state is State.PENDING_APPROVAL
    this = ticked(this, 2 * HOUR)
    assert (this.state, this.gate("scan").state) == (state, gate_state)


def test_people_decide_in_the_stead_of_a_system():
    """The gate keeps its name and notes; the people of another rule decide, and no system any more."""
    this = launch(hook(expires_after="2h", on_expiry="escalate", fallback=gate("people", LEAD)))
    this = ticked(this, 2 * HOUR)
    now = this.gate("scan")
    assert (now.kind, now.rule, now.round, now.approvers, now.place) == (
        "human",
        "people",
        2,
        (LEAD,),
        "before_approval",
    )
    assert told(this)[-3:] == ["gate.closed", "gate.escalated", "gate.opened"]
    assert approve(this, LEAD, "scan", at=AT + 3 * HOUR).state is State.PENDING


def test_what_a_system_said_fills_no_human_seat():
    """One of two systems said go, then people are asked: all of their quorum must be people."""
    people = gate("people", LEAD, LEAD2, quorum=2)
    this = launch(
        hook("scan", SCANNER, SCANNER2, quorum=2, expires_after="2h", on_expiry="escalate", fallback=people)
    )
    this = ticked(approve(this, SCANNER, "scan"), 2 * HOUR)
    assert [one.void for one in this.gate("scan").decisions] == [UNANSWERED]
    this = approve(this, LEAD, "scan", at=AT + 3 * HOUR)
    assert (this.state, this.gate("scan").approvals) == (State.PENDING_APPROVAL, 1)


# Reminders


def test_reminders_come_ever_more_seldom():
    """Each wait is twice the one before, and a tick that comes twice reminds once."""
    this = ticked(launch(gate(remind_every="1h", expires_after="7d")), 64 * HOUR)
    assert hours(this, event.ApproverReminded) == [1, 3, 7, 15, 31, 63]
    assert last(this, event.ApproverReminded).data["number"] == 6


def test_missed_reminders_are_not_made_up_for():
    """A clock that stood still for ten hours reminds once, not four times."""
    this = tick(launch(gate(remind_every="1h")), AT + 10 * HOUR)
    assert hours(this, event.ApproverReminded) == [10]
    assert this.gate("lead").remind_at == AT + 12 * HOUR


def test_nobody_is_reminded_of_a_gate_that_is_decided():
    """A reminder of what is done teaches people to pass over reminders."""
    this = approve(launch(gate(remind_every="1h"), gate("finance", FINANCE)), LEAD)
    assert hours(ticked(this, 10 * HOUR), event.ApproverReminded) == []


def test_reminders_end():
    """No gate reminds for ever: the powers of two stay small enough to reckon with."""
    this = gate(remind_every="1m").opened(AT)
    for _ in range(MOST_REMINDERS):
        assert this.remind_at is not None
        this = this.reminded_of(this.remind_at)
    assert this.remind_at is None


# Escalation


def test_escalation_lets_the_reserve_decide_too():
    """Told once, at its time; whoever could decide still can, and the quorum is the same."""
    this = launch(gate(escalate_after="2h", escalate_to="operators", reserve=(OPS,), quorum=2))
    this = ticked(this, 30 * HOUR)
    assert hours(this, event.GateEscalated) == [2]
    lead = this.gate("lead")
    assert (lead.approvers, lead.round) == ((LEAD, LEAD2, LEAD3, OPS), 1)
    this = approve(approve(this, OPS, at=AT + DAY), LEAD, at=AT + DAY)
    assert (this.state, this.approvers) == (State.PENDING, (OPS, LEAD))


def test_a_gate_that_opens_again_stays_escalated():
    """Whoever was absent is so still: the reserve is not taken away, nor called twice."""
    this = ticked(launch(gate(escalate_after="2h", escalate_to="operators", reserve=(OPS,))), 3 * HOUR)
    this = attempts.reopen(
        approve(this, OPS, at=AT + 4 * HOUR), lost={"lead": frozenset({LEAD})}, at=AT + 4 * HOUR
    )
    assert this.state is State.PENDING
    this = attempts.reopen(this, lost={"lead": frozenset({OPS})}, at=AT + 4 * HOUR)
    lead = this.gate("lead")
    assert (lead.escalated, lead.escalate_at, lead.round) == (True, None, 2)
    assert OPS not in (*lead.approvers, *lead.reserve)


# How long a decision stands


@pytest.mark.parametrize(("late", "approvals"), [(-SECOND, 1), (0 * SECOND, 0), (HOUR, 0)])
def test_a_decision_lapses_while_the_gate_waits(late: timedelta, approvals: int):
    """Who said go two days ago may think otherwise by now: after its time it counts no longer."""
    this = approve(launch(gate(quorum=2, valid_for="1h")), LEAD)
    assert this.due_at is not None
    assert this.due_at <= AT + HOUR
    assert tick(this, AT + HOUR + late).gate("lead").approvals == approvals


def test_who_decided_too_early_may_decide_again():
    """What lapsed is kept as void until its actor says it anew."""
    this = ticked(approve(launch(gate(quorum=2, valid_for="1h")), LEAD), HOUR)
    assert [one.void for one in this.gate("lead").decisions] == [LAPSED]
    this = approve(approve(this, LEAD, at=AT + HOUR), LEAD2, at=AT + HOUR)
    assert (this.state, this.approvers) == (State.PENDING, (LEAD, LEAD2))


def test_a_gate_whose_decision_lapsed_opens_again():
    """While a later stage still ponders, the first must be asked anew, and says why."""
    this = approve(launch(gate(valid_for="1h"), gate("finance", FINANCE, stage=2)), LEAD)
    this = ticked(this, HOUR)
    lead = this.gate("lead")
    assert (lead.state, lead.round, lead.why) == (GateState.OPEN, 2, LAPSED)
    this = approve(this, FINANCE, "finance", at=AT + HOUR)
    assert this.state is State.PENDING_APPROVAL


@pytest.mark.parametrize(("late", "claimed"), [(-SECOND, True), (0 * SECOND, False)])
def test_a_decision_lapses_before_the_claim(late: timedelta, claimed: bool):  # noqa: FBT001 - a table
    """A launch that stood cleared for too long is not launched on old words: it asks again."""
    this = approve(launch(gate(valid_for="1h")), LEAD)
    at = AT + HOUR + late
    if claimed:
        assert attempts.reopen(this, lost={}, at=at) is this
        assert attempts.claim(this, at=at).state is State.LAUNCHING
    else:
        with pytest.raises(TransitionNotAllowedError, match="GO no longer"):
            attempts.claim(this, at=at)
        this = attempts.reopen(this, lost={}, at=at)
        assert (this.state, this.gate("lead").why) == (State.PENDING_APPROVAL, LAPSED)


def test_a_no_that_lapsed_holds_nothing_up():
    """An old no below its quorum is no reason to ask again those who said go since."""
    this = reject(launch(gate(reject_quorum=2, valid_for="2h")), LEAD)
    this = approve(this, LEAD2, at=AT + HOUR)
    assert attempts.reopen(this, lost={}, at=AT + 2 * HOUR) is this
    assert attempts.claim(this, at=AT + 2 * HOUR).state is State.LAUNCHING


# How long a launch waits


@pytest.mark.parametrize("late", [-SECOND, 0 * SECOND, MINUTE])
def test_a_launch_waits_no_longer_than_its_template_allows(late: timedelta):
    """Whatever its gates would still allow; and a go that comes late does not slip in before the clock."""
    this = launch(gate(), waits_until=AT + DAY)
    at = AT + DAY + late
    if late < 0 * SECOND:
        assert tick(this, at).state is State.PENDING_APPROVAL
        assert approve(this, LEAD, at=at).state is State.PENDING
        return
    with pytest.raises(TransitionNotAllowedError, match="too late"):
        approve(this, LEAD, at=at)
    with pytest.raises(TransitionNotAllowedError, match="too late"):
        commands.amend(
            this, question=question(count=2), gates=(), bundle=this.bundle, groups=(), actor=LEAD, at=at
        )
    this = tick(this, at)
    assert this.state is State.EXPIRED
    assert last(this, event.LaunchExpired).data["gate"] is None


def test_a_cleared_launch_has_waited():
    """The time at gates is over once all said go."""
    this = approve(launch(gate(), waits_until=AT + DAY), LEAD)
    assert tick(this, AT + 2 * DAY).state is State.PENDING


def test_a_review_may_take_longer_than_the_launch_could_wait():
    """What limits the wait before the launch limits no review after it."""
    this = approve(launch(gate(), review(expires_after="7d"), waits_until=AT + DAY), LEAD)
    this = attempts.record_started(attempts.claim(this, at=AT), resources=("i-1",), at=AT)
    assert approve(this, LEAD, "review", at=AT + 2 * DAY).gate("review").state is GateState.GO


@pytest.mark.parametrize("late", [-SECOND, 0 * SECOND, MINUTE])
@pytest.mark.parametrize("cleared", [False, True])
def test_launch_by(late: timedelta, cleared: bool):  # noqa: FBT001 - a table
    """By then, or not at all: neither at its gates nor cleared does it outlive its time."""
    this = launch(gate(), asks=question(launch_by=AT + DAY))
    this = approve(this, LEAD) if cleared else this
    assert this.due_at is not None
    at = AT + DAY + late
    after = tick(this, at)
    assert after.state is (this.state if late < 0 * SECOND else State.EXPIRED)
    if cleared and late >= 0 * SECOND:
        with pytest.raises(TransitionNotAllowedError, match="too late"):
            attempts.claim(this, at=at)


def test_launch_by_ends_nothing_that_runs():
    """It is about the launch, not about how long it runs."""
    this = approve(launch(gate(), asks=question(launch_by=AT + DAY)), LEAD)
    this = attempts.record_started(attempts.claim(this, at=AT), resources=("i-1",), at=AT)
    assert tick(this, AT + 2 * DAY) is this


def test_expiring_twice_is_expiring_once():
    """Launcher and clock may both find that it is too late."""
    this = attempts.expire(launch(), why="It is too late.", at=AT)
    assert attempts.expire(this, why="It is too late.", at=AT + HOUR) is this


def test_a_decision_in_time_beats_a_late_alarm():
    """A tick that comes after the go finds nothing to remind of or to escalate."""
    this = launch(gate(quorum=2, remind_every="1h", escalate_after="1h", reserve=(OPS,)))
    this = decide(decide(this, LEAD, at=AT + HOUR), LEAD2, at=AT + HOUR)
    after = tick(this, AT + 2 * HOUR)
    assert told(after) == told(this)


def test_silence_passes_unless_somebody_said_no():
    """A gate that nobody need answer is passed in time; one no, too few to reject, is an answer, and holds it up."""
    rule: dict[str, Any] = {
        "quorum": 2,
        "reject_quorum": 2,
        "expires_after": "2h",
        "on_expiry": "approve",
    }
    for made in (hook("scan", SCANNER, SCANNER2, **rule), gate("scan", SCANNER, SCANNER2, **rule)):
        this = launch(made)
        silent = clock.tick(this, at=AT + 2 * HOUR)
        assert (silent.state, silent.gate("scan").state) == (State.PENDING, GateState.GO)
        heard = clock.tick(reject(this, SCANNER, "scan"), at=AT + 2 * HOUR)
        assert (heard.state, heard.gate("scan").state) == (State.REJECTED, GateState.NO_GO)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: launch(gate(), waits_until=AT + HOUR), "It has waited as long as its template allows."),
        (
            lambda: launch(gate(), asks=question(launch_by=AT + HOUR)),
            "It was to be launched by now or not at all.",
        ),
    ],
)
def test_what_came_too_late_says_why(made: Callable[[], Launch], why: str):
    """Whoever asked must know whether to ask again, and for when."""
    gone = clock.tick(made(), at=AT + HOUR)
    assert gone.state is State.EXPIRED
    assert last(gone, event.LaunchExpired).data["why"] == why


def test_an_ended_lease_is_ended_once():
    """A termination that takes its time is not asked for again each time the clock looks."""
    this = running()
    assert this.lease_ends_at is not None
    ended = clock.tick(this.changed(due_at=this.lease_ends_at), at=this.lease_ends_at)
    assert (ended.wanted, told(ended).count("launch.change_requested")) == ("terminate", 1)
    again = clock.tick(ended.changed(due_at=this.lease_ends_at + HOUR), at=this.lease_ends_at + HOUR)
    assert told(again).count("launch.change_requested") == 1
