"""Asking for something else: amendments, offers, and what policy asks more before the launch."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gonogo.core import attempts, commands, event
from gonogo.core.actor import Actor
from gonogo.core.errors import (
    GateNotOpenError,
    InvalidError,
    NotEligibleError,
    NotFoundError,
    SelfApprovalError,
    StaleDigestError,
    TransitionNotAllowedError,
)
from gonogo.core.gates import Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.plan import Question
from gonogo.core.states import State
from gonogo.core.window import Window
from tests.core.builders import (
    AT,
    BOSS,
    DEV,
    FINANCE,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    NOBODY,
    SCANNER,
    STRANGER,
    approve,
    assert_well_told,
    cleared,
    decide,
    gate,
    hook,
    last,
    launch,
    question,
    reject,
    review,
    revoke,
    timer,
    told,
)

ASKED = question(count=2)
ONE = question(count=1)
BRIEF = question(count=2, lease="7d")


def amended(this: Launch, to: Question, *gates: Gate, by: Actor = DEV) -> Launch:
    """Return the launch after somebody asks for this instead, behind these gates: its own rules anew."""
    return commands.amend(
        this, question=to, gates=gates, bundle=this.bundle, groups=(), actor=by, at=AT + HOUR
    )


def offer(
    this: Launch,
    to: Question = ONE,
    by: Actor = LEAD,
    name: str = "lead",
    eligible: frozenset[Actor] | None = None,
    comment: str | None = None,
) -> Launch:
    """Return the launch after somebody would say go to this instead."""
    may = frozenset({by}) if eligible is None else eligible
    return commands.offer(this, gate=name, actor=by, question=to, comment=comment, eligible=may, at=AT)


def accepted(this: Launch, to: Question, *gates: Gate, by: Actor = DEV) -> Launch:
    """Return the launch after whoever asked takes an offer."""
    return commands.accept(
        this,
        digest=to.digest,
        gates=gates or (gate(),),
        bundle=this.bundle,
        groups=(),
        actor=by,
        at=AT + HOUR,
    )


def asked(*gates: Gate) -> Launch:
    """Return a launch of two, which waits."""
    return launch(*(gates or (gate(),)), asks=ASKED)


# Amend


def test_amending_makes_all_that_was_said_void():
    """Whoever said go said it to something else: another digest, another round, everybody asked anew."""
    before = approve(asked(gate(quorum=2)), LEAD)
    this = amended(before, ONE, gate(quorum=2))
    lead = this.gate("lead")
    assert (this.digest, this.was, lead.round, lead.approvals) == (ONE.digest, ASKED, 2, 0)
    assert told(this)[-4:] == ["gate.closed", "launch.amended", "launch.awaiting_approval", "gate.opened"]
    assert last(this, event.GateClosed).data["outcome"] == "amended"
    data = last(this, event.LaunchAmended).data
    assert data["previous"] == ASKED.digest
    assert {"path": "plan.parameters.count", "before": "2", "after": "1"} in data["changes"]
    assert {"path": "price.monthly", "before": "15.20", "after": "7.60"} in data["changes"]
    assert_well_told(this)


def test_a_go_to_what_was_asked_before_does_not_count():
    """A mail that was opened before the amendment must not let through what its reader never saw."""
    with pytest.raises(StaleDigestError):
        decide(amended(asked(), ONE, gate()), LEAD, digest=ASKED.digest)


def test_no_round_comes_again_though_it_is_amended_back():
    """The same question in the first round's name would let the first round's links decide once more."""
    this, rounds = asked(), []
    for to in (ONE, ASKED, ONE, ASKED):
        this = amended(this, to, gate("other") if to is ONE else gate())
        rounds += [one.round for one in this.gates]
    assert rounds == [2, 3, 4, 5]


def test_no_round_comes_again_after_no_gates_at_all():
    """Amended to what needs nobody, then held up by a budget: its gate was open before, in round 1."""
    this = amended(asked(), ONE)
    assert (this.state, this.gates) == (State.PENDING, ())
    this = attempts.ask_more(this, gates=(gate(),), at=AT + HOUR)
    assert (this.state, this.gate("lead").round) == (State.PENDING_APPROVAL, 2)


def test_whoever_amended_never_decides():
    """Else two could change a launch into what each of them wants, and approve it for one another."""
    this = amended(asked(gate("lead", BOSS, LEAD)), ONE, gate("lead", BOSS, LEAD), by=BOSS)
    with pytest.raises(SelfApprovalError):
        approve(this, BOSS)
    this = amended(this, ASKED, gate("lead", BOSS, LEAD))
    with pytest.raises(SelfApprovalError):
        approve(this, BOSS)
    assert approve(this, LEAD).state is State.PENDING


def test_amending_to_the_same_is_nothing():
    """An amendment that is sent twice asks nobody twice."""
    this = amended(asked(), ONE, gate())
    assert amended(this, ONE, gate(), by=STRANGER) is this


def test_what_is_cleared_is_not_amended():
    """All said go to just that: whoever wants another cancels, and asks for it."""
    with pytest.raises(TransitionNotAllowedError, match="amend"):
        amended(cleared(), ASKED, gate())


# Offers


@pytest.mark.parametrize(
    ("to", "less"),
    [
        (ONE, True),
        (BRIEF, True),
        (question(count=1, lease="7d"), True),
        (ASKED, False),
        (question(count=3), False),
        (question(count=3, lease="1d"), False),
        (question(count=2, lease="31d"), False),
        (question(count=1, lease="31d"), False),
    ],
)
def test_an_offer_is_less(to: Question, less: bool):  # noqa: FBT001 - a table
    """An approver may talk a launch down, never up: not dearer, not longer, and not the same."""
    if less:
        assert offer(asked(), to).offer(to.digest).question == to
    else:
        with pytest.raises(InvalidError):
            offer(asked(), to)


@pytest.mark.parametrize(
    "price", [{"currency": "EUR"}, {"hourly": Decimal("0.03")}, {"worst_case": Decimal(15)}], ids=str
)
def test_an_offer_is_cheaper_in_every_way(price: dict[str, Any]):
    """Another currency compares with nothing, and a lower price by the month may hide a higher one."""
    dearer = msgspec.structs.replace(ONE, price=msgspec.structs.replace(ONE.price, **price))
    with pytest.raises(InvalidError, match="costs more"):
        offer(asked(), dearer)


@pytest.mark.parametrize(
    ("by", "eligible", "error"),
    [
        (DEV, frozenset({DEV}), SelfApprovalError),
        (STRANGER, frozenset({LEAD}), NotEligibleError),
        (LEAD, NOBODY, NotEligibleError),
    ],
)
def test_only_an_approver_offers(by: Actor, eligible: frozenset[Actor], error: type[Exception]):
    """An offer speaks as a decision does, so the same people make it."""
    with pytest.raises(error):
        offer(asked(), by=by, eligible=eligible)


def test_offers_are_made_at_open_gates():
    """Neither before one's turn, nor after the launch, nor where there is no such gate."""
    this = asked(gate(), gate("finance", stage=2), review())
    for name in ("finance", "review"):
        with pytest.raises(GateNotOpenError):
            offer(this, name=name)
    with pytest.raises(NotFoundError):
        offer(this, name="audit")


def test_each_keeps_one_offer_and_the_launch_the_newest_five():
    """Offers must not fill the item; whoever thinks again replaces their own."""
    this = offer(offer(asked(), ONE), BRIEF)
    assert [one.digest for one in this.offers] == [BRIEF.digest]
    assert offer(this, BRIEF) is this
    assert offer(this, BRIEF, comment="Because.") is not this
    for who in (LEAD2, LEAD3, BOSS, FINANCE, STRANGER):
        this = offer(this, by=who)
    assert [one.actor for one in this.offers] == [LEAD2, LEAD3, BOSS, FINANCE, STRANGER]


def test_accepting_counts_the_proposer_for_just_that():
    """One step: the question is the offered one, and whoever offered it has said go to it."""
    this = accepted(offer(asked()), ONE)
    assert (this.state, this.digest, this.approvers, this.offers) == (State.PENDING, ONE.digest, (LEAD,), ())
    assert [one.channel for one in this.gate("lead").decisions] == ["offer"]
    assert attempts.claim(this, at=AT + HOUR).state is State.LAUNCHING
    assert accepted(this, ONE) is this


def test_accepting_counts_the_proposer_and_nobody_else():
    """Of a quorum of two, one is still to come; of another gate, all are."""
    this = accepted(offer(asked()), ONE, gate(quorum=2), gate("finance"))
    assert [(one.name, one.approvals) for one in this.gates] == [("lead", 1), ("finance", 0)]
    this = approve(approve(this, LEAD, "finance"), LEAD2)
    assert (this.state, this.approvers) == (State.PENDING, (LEAD, LEAD2))


def test_a_proposer_counts_when_the_gate_has_its_turn():
    """A gate of a later stage opens with the go that was promised."""
    offered = offer(asked(gate("finance", LEAD)), name="finance")
    this = accepted(offered, ONE, gate("lead", LEAD2), gate("finance", LEAD, stage=2))
    assert this.gate("finance").approvals == 0
    assert approve(this, LEAD2).state is State.PENDING


@pytest.mark.parametrize(
    "gates",
    [(gate("lead", LEAD2),), (gate("finance", LEAD),)],
    ids=["may not decide it any more", "another gate"],
)
def test_a_proposer_who_may_not_approve_does_not_count(gates: tuple[Gate, ...]):
    """The gates are judged anew; an offer gives nobody a right."""
    assert accepted(offer(asked()), ONE, *gates).approvers == ()


def test_a_proposer_who_decides_in_anothers_place_does_not_count():
    """Their right ends with the delegation, so they are asked when it counts."""
    this = commands.offer(
        asked(),
        gate="lead",
        actor=STRANGER,
        question=ONE,
        comment=None,
        eligible=frozenset({LEAD}),
        delegated={STRANGER: frozenset({LEAD})},
        at=AT,
    )
    assert accepted(this, ONE).approvers == ()


def test_an_accepted_offer_is_not_carried_to_another_question():
    """Accepted, then amended: the proposer said go to the offer, and to nothing else."""
    this = accepted(offer(asked()), ONE, gate(quorum=2))
    this = amended(this, BRIEF, gate(quorum=2))
    assert this.gate("lead").approvals == 0
    this = amended(this, ONE, gate(quorum=2))
    assert this.gate("lead").approvals == 0


def test_what_a_proposer_takes_back_stays_taken_back():
    """The gate opens again by that, and must not be told the same go a second time."""
    this = accepted(offer(asked()), ONE, gate(), gate("finance", FINANCE, stage=2))
    this = revoke(this, LEAD, at=AT + 2 * HOUR)
    lead = this.gate("lead")
    assert (lead.state, lead.round, lead.approvals) == (GateState.OPEN, 3, 0)


def test_what_a_proposer_lost_the_right_to_stays_lost():
    """Nor does it come again when the launcher finds that the proposer has left, and is back later."""
    this = accepted(offer(asked()), ONE)
    this = attempts.reopen(this, lost={"lead": frozenset({LEAD})}, at=AT + 2 * HOUR)
    assert (this.state, this.gate("lead").approvals) == (State.PENDING_APPROVAL, 0)


@pytest.mark.parametrize("to", [BRIEF, question(count=9)])
def test_only_what_was_offered_is_accepted(to: Question):
    """Nobody puts words into an approver's mouth."""
    with pytest.raises(NotFoundError):
        accepted(offer(asked()), to)


def test_what_is_asked_already_is_no_offer():
    """Nobody offered it, so accepting it is no answer to anything."""
    with pytest.raises(NotFoundError):
        accepted(asked(), ASKED)


def test_an_amendment_ends_all_offers():
    """They were less than something that nobody asks for any more."""
    this = amended(offer(asked()), BRIEF, gate())
    with pytest.raises(NotFoundError):
        accepted(this, ONE)


def assert_cue_is_kept(this: Launch) -> Launch:
    """Assert that what people must act on can be given again once the launch is saved; return it saved."""
    this = this.changed(history=this.kept)
    assert {one.seq for one in this.history} >= set(this.cue)
    assert len(this.cue) == sum(one.state is GateState.OPEN for one in this.gates)
    assert_well_told(this)
    return this


def test_what_is_cued_stays_on_the_item_however_much_is_offered():
    """The opening that people must act on is told anew before it leaves the history."""
    this = asked(gate(), gate("finance"))
    for n in range(100):
        this = assert_cue_is_kept(offer(this, (ONE, BRIEF)[n % 2]))


def test_what_is_cued_stays_on_the_item_however_much_is_noted():
    """Systems that tell of every step must not push out what others have to answer."""
    this = asked(gate(), *(hook(f"s{n}", place="approval") for n in range(8)))
    for n in range(80):
        this = commands.note(
            this, gate=f"s{n % 8}", actor=SCANNER, text=f"{n} %", eligible=frozenset({SCANNER}), at=AT
        )
        this = assert_cue_is_kept(this)


# Asking more


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ((gate("budget", FINANCE),), State.PENDING_APPROVAL),
        ((review(),), State.PENDING),
        ((timer(None, window=Window(time_zone="UTC")),), State.PENDING),
    ],
)
def test_policy_may_ask_more_before_the_launch(more: tuple[Gate, ...], state: State):
    """Others used the budget up meanwhile: what was said stands, and more must say go."""
    this = attempts.ask_more(cleared(), gates=more, at=AT)
    assert (this.state, this.approvers, len(this.gates)) == (state, (LEAD, LEAD2), 2)
    assert this.gate(more[0].name).round in (1, 2)
    assert_well_told(this)


def test_a_review_that_is_asked_more_clears_nothing_twice():
    """What stands after the launch holds nothing up: the launcher's cue is the one that it has."""
    before = cleared()
    this = attempts.ask_more(before, gates=(review(),), at=AT + HOUR)
    assert (told(this), this.cue, this.due_at) == (told(before), before.cue, before.due_at)
    assert this.gate("review").state is GateState.WAITING


def test_what_is_asked_already_is_not_asked_more():
    """The launcher may ask as often as it comes by."""
    this = cleared()
    assert attempts.ask_more(this, gates=(gate(),), at=AT) is this
    more = attempts.ask_more(this, gates=(gate(), gate("budget", FINANCE)), at=AT)
    assert approve(more, FINANCE, "budget").state is State.PENDING
    assert reject(more, FINANCE, "budget").state is State.REJECTED


def test_an_offer_of_whoever_turned_out_to_own_it_is_no_go():
    """Who owns the service that asks may offer by mistake; accepted, that must not count as somebody else's go."""
    this = commands.offer(
        asked(), gate="lead", actor=LEAD, question=ONE, comment=None, eligible=frozenset({LEAD}), at=AT
    )
    this = commands.accept(
        this, digest=ONE.digest, gates=(gate(),), bundle="b", groups=(), actor=DEV, at=AT, owners=(LEAD,)
    )
    assert (this.state, this.gate("lead").decisions, this.promised) == (State.PENDING_APPROVAL, (), ())
