"""Out of office: deciding in somebody's place takes their seat, and no other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import delegation, event
from gonogo.core.actor import Actor
from gonogo.core.delegation import Delegation
from gonogo.core.errors import AlreadyDecidedError, InvalidError, NotEligibleError, SelfApprovalError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from tests.core.builders import (
    AT,
    BOSS,
    DAY,
    DEV,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    OPS,
    SECOND,
    STRANGER,
    approve,
    assert_well_told,
    decide,
    gate,
    last,
    launch,
    question,
    revoke,
    told,
)

ALL = frozenset({LEAD, LEAD2, LEAD3})


def set_(
    to: Actor = BOSS,
    since: timedelta = 0 * DAY,
    until: timedelta = 7 * DAY,
    before: Delegation | None = None,
    at: timedelta = 0 * DAY,
) -> Delegation:
    """Return that LEAD lets somebody decide."""
    return delegation.delegate(
        before, actor=LEAD, to=to, since=AT + since, until=AT + until, by=LEAD, at=AT + at
    )


def go(this: Launch, by: Actor, *instead_of: Actor, may: frozenset[Actor] = ALL) -> Launch:
    """Return the launch after somebody says go, perhaps in others' place."""
    return decide(this, by, eligible=may, instead_of=instead_of)


# Who counts


@pytest.mark.parametrize(
    ("said", "approvals"),
    [
        ([(BOSS, LEAD)], 1),
        ([(BOSS, LEAD), (LEAD,)], 1),
        ([(LEAD,), (BOSS, LEAD)], 1),
        ([(BOSS, LEAD), (OPS, LEAD)], 1),
        ([(BOSS, LEAD), (BOSS, LEAD2)], 1),
        ([(BOSS, LEAD, LEAD2)], 1),
        ([(LEAD2, LEAD)], 1),
        ([(LEAD2, LEAD), (LEAD,)], 2),
        ([(LEAD2,), (LEAD2, LEAD)], 1),
        ([(BOSS, LEAD), (OPS, LEAD2)], 2),
        ([(BOSS, LEAD, LEAD2), (OPS, LEAD, LEAD2)], 2),
        ([(BOSS, LEAD), (OPS, LEAD2), (LEAD3,)], 3),
    ],
)
def test_a_seat_and_a_person_count_once(said: list[tuple[Actor, ...]], approvals: int):
    """However many delegate to one, one is one; and however many decide for one, the seat is one."""
    this = launch(gate(quorum=3))
    for by, *instead_of in said:
        this = go(this, by, *instead_of)
    assert this.gate("lead").approvals == len(this.gate("lead").counting) == approvals
    assert (this.state is State.PENDING) == (approvals == 3)


def test_what_is_told_of_a_decision_in_anothers_place():
    """Who reads the history sees who said so, and in whose right."""
    this = go(launch(gate()), BOSS, LEAD)
    data = last(this, event.GateDecided).data
    assert (data["actor"]["subject"], data["instead_of"]["subject"]) == ("boss", "lead")
    assert this.approvers == (BOSS,)
    own = go(launch(gate()), LEAD2, LEAD)
    assert last(own, event.GateDecided).data["instead_of"] is None


@pytest.mark.parametrize(
    ("by", "instead_of", "may", "error"),
    [
        (DEV, (LEAD,), ALL, SelfApprovalError),
        (STRANGER, (), ALL, NotEligibleError),
        (BOSS, (STRANGER,), ALL, NotEligibleError),
        (BOSS, (LEAD,), ALL - {LEAD}, NotEligibleError),
        (BOSS, (DEV,), ALL | {DEV}, NotEligibleError),
    ],
)
def test_nobody_gains_by_a_delegation(
    by: Actor, instead_of: tuple[Actor, ...], may: frozenset[Actor], error: type[Exception]
):
    """Never the requester, nor in the requester's place, nor in that of whoever has no right themselves."""
    with pytest.raises(error):
        go(launch(gate()), by, *instead_of, may=may)


def test_not_in_the_place_of_whoever_it_is_for():
    """Whoever a launch is for could else approve it through somebody else."""
    with pytest.raises(NotEligibleError):
        go(launch(gate(), asks=question(on_behalf_of=LEAD)), BOSS, LEAD)


def test_the_opposite_in_ones_place_is_refused():
    """One seat says one thing: whoever sits on it first has said it."""
    with pytest.raises(AlreadyDecidedError):
        decide(go(launch(gate(quorum=2)), BOSS, LEAD), LEAD, verdict="reject", eligible=ALL)


@pytest.mark.parametrize("who", [LEAD, BOSS])
def test_both_may_take_it_back(who: Actor):
    """Whoever is back in office is not bound by what was said in their place."""
    this = revoke(go(launch(gate(quorum=2)), BOSS, LEAD), who)
    assert this.gate("lead").approvals == 0
    assert last(this, event.GateDecided).data["actor"]["subject"] == who.subject
    assert go(this, LEAD).gate("lead").approvals == 1


def test_who_loses_authority_loses_what_was_said_in_their_place():
    """The seat is gone, whoever sat on it."""
    this = approve(go(launch(gate(quorum=2)), BOSS, LEAD), LEAD2)
    assert this.gate("lead").lost(frozenset({LEAD})).approvals == 1
    assert this.gate("lead").lost(frozenset({BOSS})).approvals == 1


# Setting it


@pytest.mark.parametrize(
    ("after", "holds"), [(-SECOND, False), (0 * DAY, True), (2 * DAY - SECOND, True), (2 * DAY, False)]
)
def test_it_holds_from_then_until_then(after: timedelta, holds: bool):  # noqa: FBT001 - a table
    """From its first second on, and no more from its last on."""
    assert set_(until=2 * DAY).holds(AT + after) == holds


@pytest.mark.parametrize(
    ("to", "since", "until", "fault"),
    [
        (LEAD, 0 * DAY, DAY, ("self", "/to: is whoever delegates")),
        (BOSS, 0 * DAY, 0 * DAY, ("minimum", "/until: is over before it begins")),
        (BOSS, 2 * DAY, DAY, ("minimum", "/until: is over before it begins")),
        (BOSS, -2 * DAY, -DAY, ("minimum", "/until: is over before it begins")),
        (BOSS, -2 * DAY, 0 * DAY, ("minimum", "/until: is over before it begins")),
        (BOSS, 0 * DAY, 90 * DAY + SECOND, ("maximum", "/until: is more than 90 days after the beginning")),
        (BOSS, 10 * DAY, 101 * DAY, ("maximum", "/until: is more than 90 days after the beginning")),
    ],
)
def test_delegations_that_are_refused(to: Actor, since: timedelta, until: timedelta, fault: tuple[str, str]):
    """Not to oneself, not for no time, not for the past, and not for so long that it is forgotten."""
    with pytest.raises(InvalidError) as raised:
        set_(to, since, until)
    assert [(one.rule, str(one)) for one in raised.value.faults] == [fault]


def test_ninety_days_are_the_most():
    """The longest absence is still one."""
    assert set_(until=90 * DAY).holds(AT + 90 * DAY - SECOND)


def test_setting_it_twice_is_once_and_another_replaces_it():
    """One item a person: whoever delegates anew has withdrawn the one before."""
    first = set_()
    assert (first.version, told(first)) == (1, ["approver.delegated"])
    assert set_(before=first) is first
    second = set_(OPS, before=first)
    assert (second.id, second.to, second.version) == (first.id, OPS, 2)
    assert_well_told(second)


@pytest.mark.parametrize(
    ("to", "since", "until"), [(OPS, 0 * DAY, 7 * DAY), (BOSS, HOUR, 7 * DAY), (BOSS, 0 * DAY, 8 * DAY)]
)
def test_whatever_is_set_otherwise_is_told_anew(to: Actor, since: timedelta, until: timedelta):
    """Whoever stands in must hear of it when the person or the time has changed, whichever of them it is."""
    assert told(set_(to, since, until, before=set_())) == ["approver.delegated"] * 2


def test_it_is_told_again_when_it_begins():
    """Who stands in from next week on is asked next week of what waits by then, once."""
    ahead = set_(since=DAY)
    assert (ahead.cue, ahead.due_at) == ((1,), AT + DAY)
    assert delegation.tick(ahead, at=AT + DAY - SECOND) is ahead
    begun = delegation.tick(ahead, at=AT + DAY)
    assert (begun.cue, begun.due_at, begun.version) == ((1,), None, ahead.version + 1)
    assert delegation.tick(begun, at=AT + 2 * DAY) is begun
    assert set_().due_at is None


def test_each_has_one_delegation():
    """Two who share a subject at different issuers, or an issuer, are two people with an item each."""
    names = {delegation.delegation_id(Actor(issuer, subject)) for issuer in "ab" for subject in "ab"}
    assert len(names) == 4
    assert {name[:2] for name in names} == {"o-"}


def test_withdrawing():
    """From that moment on it holds no more; twice is once; one that has not begun never does."""
    this = delegation.withdraw(set_(), by=OPS, at=AT + HOUR)
    assert (this.holds(AT + HOUR - SECOND), this.holds(AT + HOUR), this.by) == (True, False, OPS)
    assert delegation.withdraw(this, by=LEAD, at=AT + HOUR) is this
    assert delegation.withdraw(this, by=OPS, at=AT + 2 * HOUR) is this
    ahead = delegation.withdraw(set_(since=2 * DAY), by=LEAD, at=AT + HOUR)
    assert not any(ahead.holds(AT + n * HOUR) for n in range(24 * 8))
    assert_well_told(ahead)
