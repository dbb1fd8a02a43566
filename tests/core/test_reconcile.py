"""After a restore: what was made is gone on with, what is not on record ends, and people are asked anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from gonogo.core import attempts, clock, event, reconcile
from gonogo.core.actor import Actor
from gonogo.core.errors import TransitionNotAllowedError
from gonogo.core.event import Event
from gonogo.core.gates import Gate, GateState
from gonogo.core.item import EPOCH, Item, begun_in, in_epoch
from gonogo.core.launch import Failure, Launch, Offer, Promise, Undo
from gonogo.core.plan import Account, Place
from gonogo.core.reconcile import UNKNOWN, Counts, Pass
from gonogo.core.states import State
from tests.core.builders import (
    AT,
    BOSS,
    DAY,
    FINANCE,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    LIVES,
    MINUTE,
    SECOND,
    approve,
    awaiting,
    cleared,
    failed,
    gate,
    launch,
    launching,
    question,
    reject,
    review,
    running,
    schemas,
    stopped,
    timer,
)

LATER = AT + 2 * HOUR
HOME = Place("us-east-1")
AWAY = Place(
    "eu-central-1",
    Account(
        role="arn:aws:iam::210987654321:role/launcher",
        observer="arn:aws:iam::210987654321:role/observer",
        external_id="gonogo",
    ),
)


def news(before: Item, after: Item) -> list[Event]:
    """Return what was told since, each valid against its schema; what was told before is still there."""
    known = len(before.history)
    assert after.history[:known] == before.history
    for one in after.history[known:]:
        schemas()(one)
    return list(after.history[known:])


def changes(before: Item, after: Item) -> dict[str, Any]:
    """Return each field that is not as it was, as it is now, but for what was told."""
    told = {"history", "head", "seq"}
    fields = {name: getattr(after, name) for name in after.__struct_fields__ if name not in told}
    return {name: now for name, now in fields.items() if now != getattr(before, name)}


# The pass


def passing(**more: Any) -> Pass:
    """Return a pass of the second epoch that is in the middle of its work."""
    this = reconcile.begun(None, 2, [HOME, AWAY], AT)
    return this.changed(
        states=3, cursor="next", lost=("l-2", "l-9"), counts=Counts(looked=7, adopted=2, asked=1), **more
    )


def test_the_first_pass_has_all_before_it() -> None:
    """What is not looked for from the beginning would be launched a second time."""
    this = reconcile.begun(None, 2, [HOME, AWAY], AT)
    assert this == Pass(
        id="epoch",
        version=1,
        at=AT,
        updated_at=AT,
        epoch=2,
        begun_at=AT,
        stage="collect",
        states=0,
        cursor=None,
        places=(HOME, AWAY),
        lost=(),
        counts=Counts(looked=0, adopted=0, asked=0),
    )
    assert not this.is_done


@pytest.mark.parametrize("stage", ["collect", "survey", "ask", "done"])
def test_the_next_epoch_begins_anew_but_for_what_is_lost(stage: reconcile.Stage) -> None:
    """A pass that a second restore cut off has seen another time; what nobody can find on record stays so."""
    before = passing(stage=stage)
    this = reconcile.begun(before, 3, [AWAY], LATER)
    assert this == Pass(
        id="epoch",
        version=before.version + 1,
        at=AT,
        updated_at=LATER,
        epoch=3,
        begun_at=LATER,
        stage="collect",
        states=0,
        cursor=None,
        places=(AWAY,),
        lost=("l-2", "l-9"),
        counts=Counts(),
    )


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_pass_that_has_begun_is_not_begun_again(epoch: int) -> None:
    """A function that still runs of the last epoch, or the second to wake in this one, must not set it back."""
    before = passing()
    assert reconcile.begun(before, epoch, [], LATER) is before


def test_a_pass_goes_on_from_piece_to_piece() -> None:
    """Each piece is one write, which says where the next begins and what was found so far."""
    before = passing()
    this = reconcile.gone_on(
        before,
        at=LATER,
        states=4,
        cursor="more",
        places=[AWAY],
        lost=["l-9", "l-1"],
        more=Counts(looked=25, adopted=3, asked=8),
    )
    assert news(before, this) == []
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": LATER,
        "states": 4,
        "cursor": "more",
        "places": (AWAY,),
        "lost": ("l-1", "l-2", "l-9"),
        "counts": Counts(looked=32, adopted=5, asked=9),
    }


def test_a_stage_begins_at_the_first_of_its_lists() -> None:
    """A cursor of another list would skip what stands before it."""
    before = passing()
    this = reconcile.gone_on(before, at=LATER, stage="ask")
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": LATER,
        "stage": "ask",
        "states": 0,
        "cursor": None,
        "places": (),
    }


def test_the_end_of_a_pass_is_told() -> None:
    """Whoever runs it learns that launches go on, and which of them nobody finds on record."""
    before = in_epoch(passing(stage="ask"), 2)
    this = reconcile.gone_on(before, at=LATER, stage="done", more=Counts(asked=4))
    (told,) = news(before, this)
    assert (told.seq, told.type, told.at) == (EPOCH + 1, "epoch.reconciled", LATER)
    assert told.data == {"epoch": 2, "looked": 7, "adopted": 2, "asked": 5, "lost": ["l-2", "l-9"]}
    assert this.is_done


def test_a_pass_keeps_as_many_as_an_item_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past that nothing is launched, and whoever looks after it reads how many there are."""
    monkeypatch.setattr(reconcile, "MOST_LOST", 3)
    assert reconcile.gone_on(passing(), at=LATER, lost=["l-1"]).lost == ("l-1", "l-2", "l-9")
    with pytest.raises(OverflowError) as raised:
        reconcile.gone_on(passing(), at=LATER, lost=["l-1", "l-3"])
    assert str(raised.value) == "4 launches are not on record, and 3 can be kept"


# What was made


def test_every_try_of_the_lost_time_is_thought_of() -> None:
    """One that is left out is made a second time; each further one costs a call."""
    this = launch(asks=question(choices=1)).changed(attempt=3, choice=2)
    tries = [(attempt, choice) for attempt in (3, 4, 5) for choice in (1, 2)]
    assert list(reconcile.tokens(this, 2)) == [
        (attempt, choice, this.changed(attempt=attempt, choice=choice).client_token())
        for attempt, choice in tries
    ]


@pytest.mark.parametrize(
    ("tried", "is_known"),
    [
        ((1, 1), True),
        ((1, 2), True),
        ((3, 1), True),
        ((23, 1), True),
        ((23, 2), True),
        ((24, 1), False),
        ((3, 3), False),
        ((3, 0), False),
        ((0, 1), False),
    ],
)
@pytest.mark.parametrize("part", ["", "-2"])
def test_what_was_made_is_known_by_its_token(tried: tuple[int, int], is_known: bool, part: str) -> None:  # noqa: FBT001
    """It may be of an attempt before that on record, or twenty after it, and of a part of one."""
    this = launch(asks=question(choices=1)).changed(attempt=3)
    attempt, choice = tried
    token = this.changed(attempt=attempt, choice=choice).client_token() + part
    assert reconcile.made_as(this, token) == (tried if is_known else None)


def test_what_another_launch_made_is_not_taken_for_ours() -> None:
    """Whoever may tag an instance could else have it adopted as what was approved."""
    assert reconcile.made_as(launch(), launch(nonce="n").client_token()) is None


# Adopting


def halfway() -> Launch:
    """Return a launch with a gate in each state, and with all that ends when it is launched."""
    this = launch(
        gate(),
        gate("finance", FINANCE, BOSS, stage=2),
        timer(),
        review(),
        timer(name="later", place="after_launch"),
        asks=question(choices=1),
    )
    this = approve(this, LEAD)
    less = question(lease="7d")
    return this.changed(
        offers=(Offer(gate="finance", actor=BOSS, question=less, digest=less.digest, at=AT),),
        promised=(Promise("finance", BOSS, this.digest),),
        failure=Failure("Capacity", "None left.", 1),
        undo=Undo(resources=("i-9",), code="Capacity", message="None left.", full=True),
        rolled_back=("i-9",),
        cue_times=3,
    )


def test_what_was_made_is_gone_on_with() -> None:
    """The launcher repeats just the call that was made, so that what runs is this launch's, and nothing else is made."""
    before = halfway()
    this = reconcile.adopt(before, attempt=2, choice=2, made=("i-1", "i-2"), at=LATER, holds=True)
    lead, finance, cool, *after = before.gates
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": LATER,
        "state": State.LAUNCHING,
        "attempt": 2,
        "choice": 2,
        "undo": None,
        "failure": None,
        "holds": True,
        "cleared_at": LATER,
        "promised": (),
        "offers": (),
        "gates": (
            lead,
            finance.closed(GateState.CANCELLED),
            cool.closed(GateState.CANCELLED),
            *after,
        ),
        "cue": (this.seq,),
        "cue_times": 0,
        "due_at": LATER + MINUTE,
    }


def test_what_is_told_of_what_was_made() -> None:
    """A gate that was open is told as closed, and an auditor finds what was made without a record of who said go."""
    before = halfway()
    this = reconcile.adopt(before, attempt=2, choice=2, made=("i-1", "i-2"), at=LATER)
    closed, adopted = news(before, this)
    assert (
        closed.data
        == event.GateClosed(
            launch=this.facts, gate="finance", round=1, outcome="cancelled", passed=None
        ).facts()
    )
    assert (
        adopted.data
        == event.LaunchReconciled(
            launch=this.facts,
            was="PENDING_APPROVAL",
            attempt=2,
            choice=2,
            made=("i-1", "i-2"),
        ).facts()
    )
    assert {one.at for one in (closed, adopted)} == {LATER}


@pytest.mark.parametrize(("held", "holds"), [(False, False), (False, True), (True, False), (True, True)])
def test_what_holds_something_of_a_budget_goes_on_holding_it(held: bool, holds: bool) -> None:  # noqa: FBT001
    """What is not given back when it ends would be missing from the budget for ever."""
    before = cleared().changed(holds=held)
    assert reconcile.adopt(before, attempt=1, choice=1, made=(), at=LATER, holds=holds).holds is (
        held or holds
    )


def test_what_is_on_record_of_a_launch_stays() -> None:
    """It was cleared when it was cleared; and unless it is said to, it holds nothing of a budget."""
    before = cleared()
    this = reconcile.adopt(before, attempt=1, choice=1, made=("i-1",), at=LATER)
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": LATER,
        "state": State.LAUNCHING,
        "cue": (this.seq,),
        "due_at": LATER + MINUTE,
    }
    assert this.cleared_at == AT


@pytest.mark.parametrize(
    ("life", "known", "made", "is_adopted"),
    [
        (failed, (2, 1), (1, 2), False),
        (failed, (1, 2), (1, 1), False),
        (failed, (1, 1), (1, 1), True),
        (failed, (1, 2), (2, 1), True),
        (launching, (1, 2), (1, 2), False),
        (launching, (2, 1), (1, 2), False),
        (launching, (1, 1), (1, 2), True),
        (launching, (1, 2), (2, 2), True),
        (awaiting, (2, 1), (1, 1), False),
        (awaiting, (1, 1), (1, 1), True),
        (cleared, (2, 2), (2, 2), True),
    ],
)
def test_only_what_is_newer_than_the_record_is_adopted(
    life: Callable[[], Launch],
    known: tuple[int, int],
    made: tuple[int, int],
    is_adopted: bool,  # noqa: FBT001
) -> None:
    """An older try has failed, by what is on record; and what the launcher is at, it is at."""
    before = life().changed(attempt=known[0], choice=known[1])
    this = reconcile.adopt(before, attempt=made[0], choice=made[1], made=("i-1",), at=LATER)
    if is_adopted:
        assert (this.state, this.attempt, this.choice) == (State.LAUNCHING, *made)
    else:
        assert this is before


# Giving up


@pytest.mark.parametrize("state", [State.PENDING_APPROVAL, State.PENDING, State.LAUNCHING])
def test_what_is_not_on_record_is_not_launched_besides(state: State) -> None:
    """Something runs that nobody can find an approval for: it must not become two."""
    before = halfway().changed(state=state, attempt=3, choice=2)
    this = reconcile.give_up(before, at=LATER)
    says = (
        "Something was launched for it in the time that the table lost when it was restored, "
        "and is not on record as what this launch asks for: see instance.unapproved."
    )
    lead, *others = before.gates
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": LATER,
        "state": State.FAILED,
        "gates": (lead, *(one.closed(GateState.CANCELLED) for one in others)),
        "failure": Failure(code="LaunchedBefore", message=says, attempt=3),
        "promised": (),
        "offers": (),
        "cue": (),
        "cue_times": 0,
        "due_at": None,
    }
    closed, gone = news(before, this)
    assert (closed.type, closed.data["gate"], closed.data["outcome"]) == (
        "gate.closed",
        "finance",
        "cancelled",
    )
    assert (gone.type, closed.at, gone.at) == ("launch.failed", LATER, LATER)
    assert (
        gone.data
        == event.LaunchFailed(
            launch=this.facts, attempt=3, code="LaunchedBefore", message=says, choice=2
        ).facts()
    )


def test_what_has_failed_is_not_given_up_again() -> None:
    """Why it failed first is what whoever asked wants to read."""
    before = failed()
    assert reconcile.give_up(before, at=LATER) is before


# Asking anew


def anew(before: Launch, at: datetime = LATER) -> Launch:
    """Return the launch after whoever decides is asked anew, in the second epoch."""
    return reconcile.ask_anew(before, epoch=2, at=at)


def restored(before: Launch) -> Launch:
    """Return a launch of the first epoch as it goes on in the second."""
    return in_epoch(before, 2)


def stands(this: Launch) -> list[tuple[object, ...]]:
    """Return of each gate its state, round, why it opens again, and whose decisions count."""
    return [
        (one.name, one.state.value, one.round, one.why, {_name(said.actor) for said in one.counting})
        for one in this.gates
    ]


def _name(actor: Actor) -> str:
    return actor.subject


NOTHING: set[str] = set()


def two() -> Launch:
    """Return a launch of two stages, of which the first is GO."""
    return approve(launch(gate(), gate("finance", FINANCE, stage=2)), LEAD)


def counting_down(*more: Gate) -> Launch:
    """Return a launch that is approved, and counts down."""
    return approve(launch(gate(), timer(), *more), LEAD)


def beside() -> Launch:
    """Return a launch with a timer and people beside it, both open."""
    return launch(timer(), gate("ops", LEAD, place="before_launch"))


def reopened() -> Launch:
    """Return a launch whose gate opened again in the second epoch, with one decision of the first."""
    this = approve(approve(launch(gate(quorum=2), timer()), LEAD), LEAD2)
    this = restored(clock.tick(this, at=AT + HOUR))
    return attempts.reopen(this, lost={"lead": frozenset({LEAD2})}, at=AT + HOUR)


def reviewed() -> Launch:
    """Return a launch that runs, with two reviews that are open, of which one has a decision, and one to come."""
    this = attempts.claim(
        approve(
            launch(
                gate(),
                review(quorum=2),
                review("audit", reject_quorum=2),
                review("last", stage=2),
                timer(name="look", place="after_launch"),
            ),
            LEAD,
        ),
        at=AT,
    )
    this = attempts.record_started(this, resources=("i-1",), at=AT)
    return reject(approve(this, LEAD, "review"), LEAD2, "audit")


ASKED_ANEW: dict[str, tuple[Callable[[], Launch], list[tuple[object, ...]]]] = {
    "nobody has decided": (
        lambda: restored(launch(gate())),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING)],
    ),
    "one of two had": (
        lambda: restored(awaiting()),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING)],
    ),
    "all had": (
        lambda: restored(cleared()),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING)],
    ),
    "one had said no": (
        lambda: restored(reject(launch(gate(reject_quorum=2)), LEAD)),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING)],
    ),
    "one has decided since": (
        lambda: approve(restored(launch(gate(quorum=2))), LEAD),
        [("lead", "OPEN", 2, UNKNOWN, {"lead"})],
    ),
    "one had, one has since": (
        lambda: approve(restored(awaiting()), LEAD2),
        [("lead", "OPEN", 2, UNKNOWN, {"lead2"})],
    ),
    "one had more than it takes since": (
        lambda: approve(approve(restored(launch(gate(quorum=2), gate("finance", FINANCE))), LEAD), LEAD2),
        [("lead", "GO", 1, None, {"lead", "lead2"}), ("finance", "OPEN", 2, UNKNOWN, NOTHING)],
    ),
    "it opened again since": (
        reopened,
        [("lead", "OPEN", 2, "may decide this gate no longer", NOTHING), ("cool", "GO", 1, None, NOTHING)],
    ),
    "the first of two stages had": (
        lambda: restored(two()),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING), ("finance", "WAITING", 1, UNKNOWN, NOTHING)],
    ),
    "the second has since": (
        lambda: approve(restored(two()), FINANCE, "finance"),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING), ("finance", "GO", 1, None, {"finance"})],
    ),
    "it counts down": (
        lambda: restored(counting_down()),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING), ("cool", "WAITING", 1, UNKNOWN, NOTHING)],
    ),
    "it has counted down": (
        lambda: restored(clock.tick(counting_down(), at=AT + HOUR)),
        [("lead", "OPEN", 2, UNKNOWN, NOTHING), ("cool", "WAITING", 1, UNKNOWN, NOTHING)],
    ),
    "it does not count down yet": (
        lambda: restored(launch(gate(), timer(), review(), timer(name="look", place="after_launch"))),
        [
            ("lead", "OPEN", 2, UNKNOWN, NOTHING),
            ("cool", "WAITING", 0, None, NOTHING),
            ("review", "WAITING", 0, None, NOTHING),
            ("look", "WAITING", 0, None, NOTHING),
        ],
    ),
    "it counts down beside": (
        lambda: restored(beside()),
        [("cool", "OPEN", 1, None, NOTHING), ("ops", "OPEN", 2, UNKNOWN, NOTHING)],
    ),
    "it runs": (
        lambda: restored(reviewed()),
        [
            ("lead", "GO", 1, None, {"lead"}),
            ("review", "OPEN", 2, UNKNOWN, NOTHING),
            ("audit", "OPEN", 2, UNKNOWN, NOTHING),
            ("last", "WAITING", 0, None, NOTHING),
            ("look", "OPEN", 1, None, NOTHING),
        ],
    ),
}


@pytest.mark.parametrize("case", ASKED_ANEW)
def test_who_decides_is_asked_anew(case: str) -> None:
    """What was said before may have been taken back in the time that is lost; what was said since counts on."""
    life, expected = ASKED_ANEW[case]
    before = life()
    this = anew(before)
    assert stands(this) == expected
    kept = [(one.actor, one.verdict, one.digest) for gate in before.gates for one in gate.decisions]
    assert kept == [(one.actor, one.verdict, one.digest) for gate in this.gates for one in gate.decisions]
    voids = {one.void for gate in this.gates for one in gate.decisions}
    assert voids <= {None, UNKNOWN, "may decide this gate no longer"}
    opened = [one.data["gate"] for one in news(before, this) if one.type == "gate.opened"]
    assert opened == [name for name, state, round_, *_ in stands(this) if _is_opened(before, name, round_)]
    assert (this.version, this.updated_at) == (before.version + 1, LATER)


def _is_opened(before: Launch, name: object, round_: object) -> bool:
    return any(one.name == name and one.round != round_ for one in before.gates)


def test_what_was_cleared_waits_again() -> None:
    """It must not be launched by what was said in a time that is lost, nor an offer of then be taken."""
    before = restored(approve(two(), FINANCE, "finance"))
    less = question(lease="7d")
    before = before.changed(
        offers=(Offer(gate="lead", actor=LEAD3, question=less, digest=less.digest, at=AT),),
        promised=(Promise("finance", FINANCE, before.digest),),
    )
    this = anew(before)
    (opened,) = news(before, this)
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": LATER,
        "state": State.PENDING_APPROVAL,
        "gates": this.gates,
        "cleared_at": None,
        "offers": (),
        "promised": (),
        "cue": (opened.seq,),
        "due_at": LATER + 5 * MINUTE,
    }
    assert (opened.type, opened.data["why"]) == ("gate.opened", UNKNOWN)


def test_a_countdown_begins_anew_behind_what_is_asked_anew() -> None:
    """Whoever is asked again has as long as before to stop what they said go to."""
    this = anew(restored(clock.tick(counting_down(), at=AT + HOUR)))
    this = approve(this, LEAD, at=LATER)
    cool = this.gate("cool")
    assert (cool.state, cool.round, cool.goes_at, cool.passed) == (
        GateState.OPEN,
        2,
        LATER + HOUR,
        None,
    )


UNTOUCHED: dict[str, Callable[[], Launch]] = {
    "no gate": lambda: restored(launch()),
    "all is of this epoch": lambda: begun_in(approve(launch(gate(quorum=2)), LEAD), 2),
    "cleared in this epoch": lambda: approve(approve(restored(launch(gate(quorum=2))), LEAD), LEAD2),
    "it counts down": lambda: restored(launch(timer())),
    "it has counted down": lambda: restored(clock.tick(launch(timer()), at=AT + HOUR)),
    "it passed with one of two": lambda: restored(
        clock.tick(approve(launch(gate(quorum=2, on_expiry="approve")), LEAD), at=AT + 3 * DAY)
    ),
    "it runs": lambda: restored(running()),
    "it is stopped": lambda: restored(stopped()),
    "it runs and was reviewed": lambda: restored(
        approve(
            attempts.record_started(attempts.claim(launch(review()), at=AT), resources=("i-1",), at=AT),
            LEAD,
            "review",
        )
    ),
}


@pytest.mark.parametrize("case", UNTOUCHED)
def test_who_has_nothing_to_add_is_not_asked(case: str) -> None:
    """One question is one mail, and a write that changes nothing costs one."""
    before = UNTOUCHED[case]()
    assert anew(before) is before


@pytest.mark.parametrize("life", [running, stopped])
@pytest.mark.parametrize("late", [0 * SECOND, SECOND, 5 * DAY])
def test_a_lease_that_may_have_been_extended_goes_on_for_an_hour(
    life: Callable[[], Launch], late: Any
) -> None:
    """That it is there still means that somebody let it, who must have time to say so again."""
    before = restored(life())
    now = AT + 30 * DAY + late
    this = anew(before, now)
    assert changes(before, this) == {
        "version": before.version + 1,
        "updated_at": now,
        "lease_ends_at": now + HOUR,
        "warned": True,
        "due_at": now + HOUR,
    }
    (told,) = news(before, this)
    assert (told.seq, told.type, told.at) == (EPOCH + 1, "lease.expiring", now)
    assert told.data == event.LeaseExpiring(launch=before.facts, ends_at=now + HOUR).facts()


@pytest.mark.parametrize(
    ("before", "at"),
    [
        (running(), AT + 30 * DAY - SECOND),
        (running().changed(lease_ends_at=None), AT + 99 * DAY),
        (running().changed(wanted="terminate"), AT + 30 * DAY),
    ],
    ids=["not over", "endless", "being terminated"],
)
def test_a_lease_that_is_as_it_should_be_is_left_alone(before: Launch, at: datetime) -> None:
    """What is being terminated was to end, and what goes on needs no more time."""
    assert anew(restored(before), at) == restored(before)


def test_whoever_wants_it_stopped_does_not_end_its_lease() -> None:
    """Only a termination that is under way says that nobody let it run on."""
    before = restored(running().changed(wanted="stop"))
    assert anew(before, AT + 30 * DAY).lease_ends_at == AT + 30 * DAY + HOUR


def test_a_review_is_asked_for_anew_when_the_lease_is_over_too() -> None:
    """One does not take the place of the other."""
    before = restored(reviewed())
    this = anew(before, AT + 30 * DAY)
    assert [one.type for one in news(before, this)] == ["lease.expiring", "gate.opened", "gate.opened"]
    assert this.lease_ends_at == AT + 30 * DAY + HOUR
    assert this.gate("review").round == 2


# What is refused


COMMANDS: dict[str, Callable[[Launch], Launch]] = {
    "adopt what was made for": lambda this: reconcile.adopt(this, attempt=1, choice=1, made=(), at=LATER),
    "give up": lambda this: reconcile.give_up(this, at=LATER),
    "ask anew for": anew,
}
ALLOWED = {
    "adopt what was made for": {"PENDING_APPROVAL", "PENDING", "LAUNCHING", "FAILED"},
    "give up": {"PENDING_APPROVAL", "PENDING", "LAUNCHING", "FAILED"},
    "ask anew for": {"PENDING_APPROVAL", "PENDING", "RUNNING", "STOPPED"},
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", State)
def test_what_has_ended_is_left_alone(command: str, state: State) -> None:
    """Whoever ended it meanwhile has the last word, and the log says what was tried on what."""
    before = LIVES[state]()
    if state in ALLOWED[command]:
        COMMANDS[command](before)
    else:
        with pytest.raises(TransitionNotAllowedError) as raised:
            COMMANDS[command](before)
        assert str(raised.value) == f"Cannot {command} a launch that is {state}."
