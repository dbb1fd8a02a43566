"""The life of a launch: what each command makes of it in each state, and what it tells."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from gonogo.core import attempts, clock, commands, event, life, reconcile
from gonogo.core.actor import SYSTEM, Actor
from gonogo.core.errors import (
    AlreadyDecidedError,
    GateNotOpenError,
    GonogoError,
    NotEligibleError,
    NotFoundError,
    SelfApprovalError,
    StaleDigestError,
    TransitionNotAllowedError,
)
from gonogo.core.event import LaunchFacts
from gonogo.core.gates import GateState, Verdict
from gonogo.core.item import CUE_FIRST, CUE_LONGEST, Listed
from gonogo.core.launch import Failure, InstanceState, Launch, LaunchSummary, Wanted
from gonogo.core.states import State
from tests.core.builders import (
    AT,
    BOSS,
    DAY,
    DEV,
    FINANCE,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    LIVES,
    MINUTE,
    OPS,
    SCANNER,
    SECOND,
    STRANGER,
    approve,
    assert_well_told,
    awaiting,
    cleared,
    decide,
    failed,
    gate,
    hook,
    last,
    launch,
    launching,
    question,
    reject,
    review,
    revoke,
    running,
    stopped,
    told,
)

NOBODY: frozenset[Actor] = frozenset()


def cancel(this: Launch) -> Launch:
    """Return the launch after whoever asked cancels it."""
    return commands.cancel(this, actor=DEV, at=AT)


def claim(this: Launch) -> Launch:
    """Return the launch after the launcher claims it."""
    return attempts.claim(this, at=AT)


def start_recorded(this: Launch, *resources: str, at: datetime = AT) -> Launch:
    """Return the launch after the engine made its resources."""
    return attempts.record_started(this, resources=resources or ("i-1",), at=at)


def failure_recorded(this: Launch) -> Launch:
    """Return the launch after the engine refused."""
    return attempts.record_failed(this, code="Capacity", message="None left.", at=AT)


def retry(this: Launch) -> Launch:
    """Return the launch after whoever asked tries again."""
    return attempts.retry(this, at=AT)


def lose(this: Launch, *actors: Actor, name: str = "lead", at: datetime = AT) -> Launch:
    """Return the launch after these lost their authority over a gate."""
    return attempts.reopen(this, lost={name: frozenset(actors)}, at=at)


def want(this: Launch, wanted: Wanted, at: datetime = AT) -> Launch:
    """Return the launch after OPS wants a change."""
    return life.change(this, wanted=wanted, actor=OPS, at=at)


def change_failed(this: Launch, at: datetime = AT) -> Launch:
    """Return the launch after the engine refused a change."""
    return life.change_failed(this, code="IncorrectState", message="Not now.", at=at)


def see(this: Launch, state: InstanceState, resource: str = "i-1", at: datetime = AT) -> Launch:
    """Return the launch after one of its instances was seen."""
    return life.observe(this, resource=resource, state=state, changed_at=at, at=at)


def tick(this: Launch, at: datetime | None = None) -> Launch:
    """Return the launch after a tick, when its alarm rings unless told otherwise."""
    return clock.tick(this, at=at or this.due_at or AT + 9999 * DAY)


COMMANDS: dict[str, Callable[[Launch], Launch]] = {
    "approve": lambda this: approve(this, LEAD2 if this.state is State.PENDING_APPROVAL else LEAD3),
    "reject": lambda this: reject(this, LEAD3),
    "revoke": lambda this: revoke(this, LEAD),
    "cancel": cancel,
    "reopen": lambda this: lose(this, LEAD),
    "claim": claim,
    "started": start_recorded,
    "failed": failure_recorded,
    "retry": retry,
    "stop": lambda this: want(this, "stop"),
    "start": lambda this: want(this, "start"),
    "terminate": lambda this: want(this, "terminate"),
    "refused": change_failed,
    "up": lambda this: see(this, "running"),
    "down": lambda this: see(this, "stopped"),
    "gone": lambda this: see(this, "terminated"),
    "early": lambda this: tick(this, AT),
    "alarm": tick,
}

# A state: the command makes this of it. `=`: the very same launch. `-`: TransitionNotAllowedError.
# `closed`: GateNotOpenError.
TABLE = """
                 approve reject   revoke           cancel    reopen           claim     started failed retry   stop    start   terminate refused up      down    gone       early alarm
PENDING_APPROVAL PENDING REJECTED PENDING_APPROVAL CANCELLED -                -         -       -      -       -       -       -         =       =       =       =          =     PENDING_APPROVAL
PENDING          closed  closed   -                CANCELLED PENDING_APPROVAL LAUNCHING -       FAILED -       -       -       -         =       =       =       =          =     PENDING
LAUNCHING        closed  closed   -                -         -                -         RUNNING FAILED -       -       -       -         =       =       =       =          =     LAUNCHING
RUNNING          closed  closed   -                -         -                -         -       -      -       RUNNING =       RUNNING   =       =       STOPPED TERMINATED =     RUNNING
STOPPED          closed  closed   -                -         -                -         -       -      -       =       STOPPED STOPPED   =       RUNNING =       TERMINATED =     STOPPED
TERMINATED       closed  closed   -                -         -                -         -       -      -       -       -       =         =       =       =       =          =     =
REJECTED         closed  closed   -                -         -                -         -       -      -       -       -       -         =       =       =       =          =     =
EXPIRED          closed  closed   -                -         -                -         -       -      -       -       -       -         =       =       =       =          =     =
CANCELLED        closed  closed   -                =         -                -         -       -      -       -       -       -         =       =       =       =          =     =
FAILED           closed  closed   -                -         -                -         -       -      PENDING -       -       -         =       =       =       =          =     =
"""  # noqa: E501 - a table is read across


def cells() -> list[tuple[State, str, str]]:
    """Return the table as state, command, and what comes of it."""
    head, *rows = TABLE.strip("\n").splitlines()
    return [
        (State(state), command, answer)
        for state, *answers in (row.split() for row in rows)
        for command, answer in zip(head.split(), answers, strict=True)
    ]


@pytest.mark.parametrize(("state", "command", "answer"), cells())
def test_state_by_command(state: State, command: str, answer: str):
    """Every command in every state: it leads on, it changes nothing, or it is refused by name."""
    before = LIVES[state]()
    assert before.state is state
    if answer in {"-", "closed"}:
        with pytest.raises(TransitionNotAllowedError if answer == "-" else GateNotOpenError):
            COMMANDS[command](before)
    elif answer == "=":
        assert COMMANDS[command](before) is before
    else:
        after = COMMANDS[command](before)
        assert after.state == answer
        assert after.version == before.version + 1
        assert after.history[: len(before.history)] == before.history
        assert_well_told(after)


def test_the_table_is_whole():
    """A state or command that is added must be added to the table too."""
    found = cells()
    assert {state for state, _, _ in found} == set(State)
    assert {command for _, command, _ in found} == set(COMMANDS)
    assert len(found) == len(State) * len(COMMANDS)


def test_a_refusal_names_command_and_state():
    """Whoever reads the log or the answer sees what was tried, and on what."""
    with pytest.raises(TransitionNotAllowedError) as raised:
        cancel(running())
    assert (raised.value.command, raised.value.state) == ("cancel", "RUNNING")


# Submitting


def test_a_direct_launch_is_cleared_at_once():
    """Policy that permits `launch` needs nobody: the launcher is cued by the first write."""
    this = launch()
    assert (this.state, this.version, this.gates) == (State.PENDING, 1, ())
    assert told(this) == ["launch.requested", "launch.cleared"]
    assert this.cue == (2,)
    assert this.cleared_at == AT
    assert claim(this).state is State.LAUNCHING


def test_a_gated_launch_waits():
    """Its first stage is open from the first write on, and nothing else is."""
    this = launch(gate("lead"), gate("audit"), gate("finance", stage=2))
    assert (this.state, this.version) == (State.PENDING_APPROVAL, 1)
    assert [one.state for one in this.gates] == ["OPEN", "OPEN", "WAITING"]
    assert told(this) == ["launch.requested", "launch.awaiting_approval", "gate.opened", "gate.opened"]
    assert this.cue == (3, 4)
    assert this.cleared_at is None


def test_the_first_stage_need_not_be_one():
    """Only the order of stages counts: a launch whose one gate is of stage 7 must not wait for ever."""
    assert launch(gate(stage=7)).gate("lead").state is GateState.OPEN


# Deciding


def test_quorum_of_two_among_three():
    """Two different people say go, in any order; the third is not asked any more."""
    first = approve(launch(gate(quorum=2)), LEAD3)
    assert (first.state, first.gate("lead").approvals) == (State.PENDING_APPROVAL, 1)
    second = approve(first, LEAD)
    assert (second.state, second.approvers) == (State.PENDING, (LEAD3, LEAD))
    with pytest.raises(GateNotOpenError):
        approve(second, LEAD2)


def test_one_person_never_fills_two_seats():
    """Saying go twice is saying it once, and the very same launch."""
    first = approve(launch(gate(quorum=2)), LEAD)
    assert approve(first, LEAD, at=AT + HOUR) is first


def test_one_person_may_say_go_at_two_gates():
    """Whoever may decide two gates counts at each, and is one approver."""
    this = approve(approve(launch(gate("lead"), gate("audit")), LEAD), LEAD, "audit")
    assert (this.state, this.approvers) == (State.PENDING, (LEAD,))


def test_one_no_is_enough():
    """The other gates close with it, and nothing waits any longer."""
    this = reject(
        approve(launch(gate("lead", quorum=2), gate("audit"), gate("finance", stage=2)), LEAD), LEAD2
    )
    assert this.state is State.REJECTED
    assert [one.state for one in this.gates] == ["NO_GO", "CANCELLED", "CANCELLED"]
    assert told(this)[-4:] == ["gate.decided", "gate.closed", "gate.closed", "launch.rejected"]
    assert last(this, event.LaunchRejected).data["gate"] == "lead"
    assert last(this, event.LaunchRejected).data["actor"]["subject"] == LEAD2.subject
    assert (this.cue, this.due_at) == ((), None)


@pytest.mark.parametrize("asker", [DEV, BOSS])
@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_who_asked_never_decides(asker: Actor, verdict: Verdict):
    """Neither the requester nor whoever it is for may decide, though policy listed them (CVE-2025-11957)."""
    this = launch(gate("lead", DEV, BOSS, LEAD), asks=question(on_behalf_of=BOSS))
    with pytest.raises(SelfApprovalError):
        decide(this, asker, verdict=verdict)


def test_who_asked_is_refused_before_anything_else_is_told():
    """A requester who tries every gate and digest learns nothing but the rule."""
    for state in State:
        with pytest.raises(SelfApprovalError):
            decide(LIVES[state](), DEV, digest="0" * 64, eligible=NOBODY)


@pytest.mark.parametrize("who", [STRANGER, LEAD, Actor("http://other", "lead"), Actor(LEAD.issuer, "Lead")])
def test_only_who_is_eligible_now_decides(who: Actor):
    """The gate's list of old does not help who lost authority, nor a subject of another issuer or case."""
    with pytest.raises(NotEligibleError) as raised:
        decide(launch(gate()), who, eligible=frozenset({LEAD2}))
    assert raised.value.gate == "lead"


def test_a_decision_is_for_one_digest():
    """Whoever read another question has not decided this one."""
    with pytest.raises(StaleDigestError):
        decide(launch(gate()), LEAD, digest=question(reason="Other.").digest)


def test_a_gate_that_is_not_there():
    """A gate of another launch is no gate of this one."""
    with pytest.raises(NotFoundError, match="finance"):
        approve(launch(gate()), LEAD, "finance")
    with pytest.raises(NotFoundError):
        revoke(launch(gate()), LEAD, "finance")


def test_a_later_stage_takes_nothing_before_its_turn():
    """Finance cannot say go to what the lead has not looked at."""
    with pytest.raises(GateNotOpenError, match="WAITING"):
        approve(launch(gate(), gate("finance", FINANCE, stage=2)), FINANCE, "finance")


def test_stages_follow_each_other():
    """Each stage opens with the write that completed the one before, with its own full time."""
    this = launch(
        gate(), gate("audit"), gate("finance", FINANCE, stage=2, expires_after="1d"), gate("last", stage=3)
    )
    this = approve(this, LEAD, at=AT + HOUR)
    assert this.gate("finance").state is GateState.WAITING
    this = approve(this, LEAD, "audit", at=AT + 2 * HOUR)
    assert [one.state for one in this.gates] == ["GO", "GO", "OPEN", "WAITING"]
    assert this.gate("finance").expires_at == AT + 2 * HOUR + DAY
    this = approve(this, FINANCE, "finance", at=AT + 3 * HOUR)
    this = approve(this, LEAD, "last", at=AT + 4 * HOUR)
    assert (this.state, this.cleared_at) == (State.PENDING, AT + 4 * HOUR)
    assert [one for one in told(this) if one != "gate.decided"] == [
        "launch.requested",
        "launch.awaiting_approval",
        "gate.opened",
        "gate.opened",
        "gate.closed",
        "gate.closed",
        "gate.opened",
        "gate.closed",
        "gate.opened",
        "gate.closed",
        "launch.cleared",
    ]


@pytest.mark.parametrize(
    "state", [State.PENDING, State.LAUNCHING, State.RUNNING, State.TERMINATED, State.FAILED]
)
def test_repeating_a_decision_is_nothing_in_any_state(state: State):
    """A link that is clicked again a month later says that it is done, and changes nothing."""
    this = LIVES[state]()
    assert approve(this, LEAD, at=AT + 30 * DAY) is this


@pytest.mark.parametrize("state", [State.PENDING_APPROVAL, State.PENDING, State.REJECTED, State.EXPIRED])
def test_the_opposite_of_a_decision_is_refused(state: State):
    """Who said go takes it back first, or lives with it."""
    with pytest.raises(AlreadyDecidedError):
        reject(LIVES[state](), LEAD)


def test_what_a_decision_tells():
    """A rule engine sees who said what, over which channel, and how many are still missing."""
    data = last(awaiting(), event.GateDecided).data
    assert (data["gate"], data["round"], data["verdict"], data["channel"]) == ("lead", 1, "approve", "api")
    assert (data["approvals"], data["quorum"], data["actor"]["subject"]) == (1, 2, "lead")


@pytest.mark.parametrize("state", [one for one in State if one is not State.PENDING_APPROVAL])
def test_a_gate_counts_where_it_stands(state: State):
    """Even an item that calls a gate open takes no decision on it before, or after, its time."""
    name = "review" if state not in (State.RUNNING, State.STOPPED, State.TERMINATED) else "before"
    forged = review() if name == "review" else gate("before")
    this = LIVES[state]()
    with pytest.raises(GateNotOpenError):
        approve(this.changed(gates=(*this.gates, forged.opened(AT))), LEAD, name)


# Taking back


def test_revoking_at_an_open_gate():
    """A go that was given too fast counts no longer, and may be given again."""
    this = revoke(awaiting(), LEAD)
    assert (this.state, this.gate("lead").approvals, this.gate("lead").round) == (
        State.PENDING_APPROVAL,
        0,
        1,
    )
    assert last(this, event.GateDecided).data["verdict"] == "revoke"
    assert approve(approve(this, LEAD2), LEAD).state is State.PENDING
    assert reject(this, LEAD).state is State.REJECTED


def test_revoking_at_an_earlier_stage_opens_it_again():
    """While finance still ponders, the lead may take the go back: the gate opens for a new round."""
    this = approve(launch(gate(), gate("finance", FINANCE, stage=2)), LEAD)
    this = revoke(this, LEAD, at=AT + HOUR)
    lead = this.gate("lead")
    assert (this.state, lead.state, lead.round) == (State.PENDING_APPROVAL, GateState.OPEN, 2)
    assert lead.expires_at == AT + HOUR + 3 * DAY
    assert told(this)[-2:] == ["gate.decided", "gate.opened"]
    assert last(this, event.GateOpened).data["round"] == 2
    # Finance alone does not clear it.
    this = approve(this, FINANCE, "finance")
    assert this.state is State.PENDING_APPROVAL
    this = approve(this, LEAD2, at=AT + 2 * HOUR)
    assert (this.state, this.approvers) == (State.PENDING, (LEAD2, FINANCE))


def test_a_gate_that_closes_again_tells_so_again():
    """Each round has an opening and a closing of its own."""
    this = approve(launch(gate(), gate("finance", FINANCE, stage=2)), LEAD)
    this = approve(revoke(this, LEAD), LEAD2)
    rounds = [one.data["round"] for one in this.history if one.type == "gate.closed"]
    assert rounds == [1, 2]


@pytest.mark.parametrize("who", [LEAD2, STRANGER, DEV])
def test_who_said_nothing_takes_nothing_back(who: Actor):
    """Nobody can take back what another said."""
    with pytest.raises(GateNotOpenError, match="without a decision of yours"):
        revoke(awaiting(), who)


def test_taking_back_twice_is_taking_back_once():
    """The second time there is nothing to write; after saying go again there is something to take back."""
    this = revoke(awaiting(), LEAD)
    assert revoke(this, LEAD, at=AT + HOUR) is this
    assert revoke(approve(this, LEAD), LEAD) is not this
    with pytest.raises(GateNotOpenError, match="without a decision of yours"):
        revoke(this, LEAD2)


def test_a_no_is_not_taken_back():
    """A rejected launch is over; whoever wants it asks anew."""
    with pytest.raises(TransitionNotAllowedError):
        revoke(LIVES[State.REJECTED](), LEAD2)


# Losing authority


def test_lost_authority_opens_the_gate_again():
    """Between the go and the launch somebody left: their go counts no longer, the other's still does."""
    this = lose(cleared(), LEAD, at=AT + HOUR)
    lead = this.gate("lead")
    assert (this.state, this.cleared_at) == (State.PENDING_APPROVAL, None)
    assert (lead.state, lead.round, lead.approvals, lead.approvers) == (GateState.OPEN, 2, 1, (LEAD2, LEAD3))
    assert told(this)[-1] == "gate.opened"
    assert this.cue == (this.seq,)
    assert approve(this, LEAD3).approvers == (LEAD2, LEAD3)


def test_stages_open_again_in_their_order():
    """Finance must not decide again what the lead has yet to decide again."""
    this = launch(gate(), gate("finance", FINANCE, BOSS, stage=2))
    this = approve(approve(this, LEAD), FINANCE, "finance")
    this = attempts.reopen(this, lost={"lead": frozenset({LEAD}), "finance": frozenset({FINANCE})}, at=AT)
    assert [(one.state, one.round) for one in this.gates] == [("OPEN", 2), ("WAITING", 1)]
    this = approve(this, LEAD2)
    assert [(one.state, one.round) for one in this.gates] == [("GO", 2), ("OPEN", 2)]
    assert approve(this, BOSS, "finance").state is State.PENDING


def test_an_earlier_stage_alone_opens_again():
    """What finance said still counts when only the lead's go is lost."""
    this = approve(approve(launch(gate(), gate("finance", FINANCE, stage=2)), LEAD), FINANCE, "finance")
    this = lose(this, LEAD)
    assert [one.state for one in this.gates] == ["OPEN", "GO"]
    assert approve(this, LEAD2).approvers == (LEAD2, FINANCE)


def test_nobody_lost_is_nothing():
    """Judged again and found whole, a launch must not be told as cleared twice."""
    this = cleared()
    assert attempts.reopen(this, lost={}, at=AT) is this


def test_a_direct_launch_has_nothing_to_lose():
    """Without a gate there is nobody whose authority matters."""
    this = launch()
    assert lose(this, LEAD) is this


# Expiry


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_gate_expires_to_the_second(late: int):
    """One second before the end a go counts and nothing expires; from the end on it is reversed."""
    now = AT + 3 * DAY + late * SECOND
    this = awaiting()
    if late < 0:
        assert approve(this, LEAD2, at=now).state is State.PENDING
        assert tick(this, now).state is State.PENDING_APPROVAL
    else:
        with pytest.raises(GateNotOpenError, match="EXPIRED"):
            approve(this, LEAD2, at=now)
        assert tick(this, now).state is State.EXPIRED


def test_the_alarm_never_rings_after_the_first_expiry():
    """However long the cue already waits, expiry is not late by it."""
    this = launch(gate(expires_after="3d"), gate("audit", expires_after="1d"))
    for _ in range(100):
        if this.due_at is not None:
            assert this.due_at <= AT + DAY
            this = tick(this)
    assert (this.updated_at, this.state) == (AT + DAY, State.EXPIRED)


def test_only_what_is_late_is_told_as_late():
    """A gate that had days left did not expire: it is cancelled with the launch."""
    this = launch(
        gate(expires_after="1d"), gate("audit"), gate("risk", expires_after="1d"), gate("finance", stage=2)
    )
    this = tick(this, AT + DAY)
    assert this.state is State.EXPIRED
    assert [one.state for one in this.gates] == ["EXPIRED", "CANCELLED", "EXPIRED", "CANCELLED"]
    closed = {one.data["gate"]: one.data["outcome"] for one in this.history if one.type == "gate.closed"}
    assert closed == {"lead": "expired", "risk": "expired", "audit": "cancelled"}
    assert last(this, event.LaunchExpired).data["gate"] == "lead"
    assert (this.cue, this.due_at) == ((), None)


def test_a_cleared_launch_does_not_expire():
    """Gates that are GO have no clock."""
    assert tick(cleared(), AT + 365 * DAY).state is State.PENDING


# Cancelling


def test_cancelling_closes_every_gate():
    """Nobody must decide what nobody wants any more."""
    this = cancel(launch(gate(), gate("finance", stage=2)))
    assert [one.state for one in this.gates] == ["CANCELLED", "CANCELLED"]
    assert told(this)[-2:] == ["gate.closed", "launch.cancelled"]
    assert (this.cue, this.due_at) == ((), None)


def test_cancelling_what_is_cleared_keeps_what_was_said():
    """Until the launcher claims it, whoever asked may think again; who said go still did."""
    this = cancel(cleared())
    assert (this.state, this.approvers) == (State.CANCELLED, (LEAD, LEAD2))
    assert told(this)[-1] == "launch.cancelled"


# Launching


def test_claiming_keeps_the_cue():
    """A launcher that dies after the claim is cued again by the very event that cued it first."""
    before = cleared()
    this = claim(before)
    assert this.cue == before.cue == (before.seq,)
    assert last(this, event.LaunchCleared).seq == before.seq
    assert tick(this).cue == this.cue


@pytest.mark.parametrize("state", [one for one in GateState if one is not GateState.GO])
def test_no_claim_without_every_gate(state: GateState):
    """Even an item that says PENDING is not launched with a gate that is not GO (design, section 8)."""
    forged = cleared().changed(gates=(cleared().gate("lead").closed(state),))
    with pytest.raises(TransitionNotAllowedError, match="lead"):
        claim(forged)


def test_no_claim_for_another_digest():
    """Decisions that count, but on something else, let nothing through."""
    with pytest.raises(TransitionNotAllowedError, match="lead"):
        claim(cleared().changed(digest="0" * 64))


def test_no_claim_without_the_quorum():
    """A gate that calls itself GO with too few decisions that count is not GO."""
    lead = cleared().gate("lead").voided(frozenset({LEAD}), "forged")
    with pytest.raises(TransitionNotAllowedError, match="lead"):
        claim(cleared().changed(gates=(lead,)))


def test_the_lease_begins_with_the_launch():
    """Time spent at gates is not time that it ran."""
    this = start_recorded(launching(), "i-1", "i-2", at=AT + HOUR)
    assert this.lease_ends_at == this.due_at == AT + HOUR + 30 * DAY
    assert [(one.id, one.state) for one in this.resources] == [("i-1", "pending"), ("i-2", "pending")]
    data = last(this, event.LaunchStarted).data
    assert (data["resources"], data["attempt"]) == (["i-1", "i-2"], 1)
    assert [one["subject"] for one in data["approvers"]] == ["lead", "lead2"]
    assert this.cue == ()


def test_failing_tells_why_in_the_engines_words():
    """Whoever asked learns the engine's own code, and that nothing rings any more."""
    this = failed()
    assert this.failure == Failure("InsufficientInstanceCapacity", "None left.", 1)
    assert last(this, event.LaunchFailed).data["code"] == "InsufficientInstanceCapacity"
    assert (this.cue, this.due_at) == ((), None)


def test_retrying_is_another_attempt_of_the_same():
    """The same question, the same approvals, another client token: the engine makes it anew."""
    before = failed()
    this = retry(before)
    assert (this.attempt, this.digest, this.approvers) == (2, before.digest, before.approvers)
    assert told(this)[-1] == "launch.cleared"
    assert this.cue == (this.seq,)
    assert last(this, event.LaunchCleared).data["attempt"] == 2
    assert start_recorded(claim(this)).failure is None


def test_retrying_twice_is_one_attempt():
    """Whoever asks again because the answer got lost must not start a second one beside the first."""
    this = retry(failed())
    assert retry(this) is this
    assert retry(claim(this)) == claim(this)
    again = failure_recorded(claim(this))
    assert retry(again).attempt == 3


def test_a_retry_is_judged_for_authority_too():
    """Who left while it failed must not carry the second attempt."""
    assert lose(retry(failed()), LEAD).state is State.PENDING_APPROVAL


# Who never decides, and what is looked at after


def test_whoever_asked_amended_or_owns_it_is_barred():
    """Each of them would decide their own request."""
    this = launch(gate(), asks=question(requester=DEV, on_behalf_of=BOSS))
    assert this.barred == {DEV, BOSS}
    assert this.changed(owners=(OPS,)).barred == {DEV, BOSS, OPS}
    assert this.changed(amended_by=(LEAD,)).barred == {DEV, BOSS, LEAD}
    assert this.changed(owners=(OPS,), amended_by=(LEAD,)).barred == {DEV, BOSS, OPS, LEAD}


def test_a_broken_glass_is_reviewed_by_people_after_the_launch():
    """Neither who was asked before nor a system stands for that review, and without a broken glass there is none."""
    gates = (gate(), hook(place="after_launch"), review(), review("audit"))
    names = [one.name for one in launch(*gates, asks=question(break_glass=True)).reviews]
    assert names == ["review", "audit"]
    assert launch(*gates).reviews == ()


# Client tokens


def test_client_tokens_fit_ec2():
    """EC2 takes 64 ASCII characters at most (EC2 API reference, RunInstances, ClientToken)."""
    for this in (launch(), launch(id="l-" + "x" * 500), launch(id="l-ä")):
        token = this.client_token()
        assert len(token) <= 52
        assert len(f"{token}-10000") <= 64
        assert token.isascii()
        assert token.isprintable()


def test_a_client_token_is_the_same_in_every_version():
    """A newer launcher that goes on with what an older one began must not make it a second time."""
    this = launch(nonce="n").changed(digest="d" * 64, attempt=2, choice=3)
    assert this.client_token() == "g-464wpmpynfkf4u6at2brky6d42426gnfbubvoo3f23kuo6gyev"


def test_client_tokens_tell_intents_apart():
    """Another launch, digest, nonce, attempt or choice is another thing to make."""
    this = launch()
    made = [
        this.client_token(),
        launch(id="l-2").client_token(),
        launch(nonce="n").client_token(),
        launch(asks=question(reason="Other.")).client_token(),
        this.changed(attempt=2).client_token(),
        this.changed(choice=2).client_token(),
        this.changed(attempt=11).client_token(),
        this.changed(choice=11).client_token(),
    ]
    assert len(set(made)) == len(made)


def test_a_part_is_known_by_the_token_of_its_attempt():
    """An engine that calls more than once makes parts; what is of another attempt, or only looks so, is not ours."""
    this = launch()
    token = this.client_token()
    assert all(this.made_with(one) for one in (token, f"{token}-2", f"{token}-11"))
    others = (f"{token}-", f"{token}-x", f"{token}2", f"{token}-2-3", token[:-1], "", this.changed(choice=2))
    assert not any(this.made_with(one if isinstance(one, str) else one.client_token()) for one in others)


def test_a_client_token_stays_for_the_whole_attempt():
    """A launcher that died and one that goes on must send the very same token."""
    this = cleared()
    assert this.client_token() == claim(this).client_token() == tick(claim(this)).client_token()


# Attempts and choices


def refuse(this: Launch, *made: str, full: bool = True) -> Launch:
    """Return the launch after the engine said no to a choice, of which it had made so much."""
    return attempts.refused(this, code="Capacity", message="None left.", full=full, made=made, at=AT)


def choosing(choices: int = 1) -> Launch:
    """Return a launch that is launched now, with so many other choices."""
    return claim(launch(asks=question(choices=choices)))


def test_what_takes_its_time_is_looked_at_again_in_a_minute():
    """A stack is made in minutes: the cue comes again soon, and is not put off more each time."""
    this = attempts.making(launching(), at=AT + HOUR)
    assert (this.state, this.due_at, this.cue) == (
        State.LAUNCHING,
        AT + HOUR + attempts.LOOK_AGAIN,
        launching().cue,
    )


def test_for_want_of_capacity_the_next_choice_is_tried():
    """Each choice was approved; what was tried in vain is in the history, the last word of the engine at the end."""
    first = choosing()
    second = refuse(first)
    assert (second.state, second.choice, second.attempt) == (State.LAUNCHING, 2, 1)
    assert second.plan.units[0].kind == "t3a.micro"
    assert last(second, event.LaunchAttemptFailed).data["choice"] == 1
    assert second.client_token() != first.client_token()
    over = refuse(second)
    assert (over.state, over.failure) == (State.FAILED, Failure("Capacity", "None left.", 1))
    assert last(over, event.LaunchFailed).data["choice"] == 2
    assert retry(over).choice == 1


def test_a_refusal_that_no_choice_helps_ends_the_attempt():
    """Where the engine says no for another reason, the next choice would hear the same, or hide it."""
    assert refuse(choosing(), full=False).state is State.FAILED


def test_what_was_made_in_part_is_undone_before_anything_else():
    """Until it is terminated nothing else is tried; then the next choice is, and it is known that it ran."""
    this = refuse(choosing(), "i-1")
    assert (this.state, this.choice, this.rolled_back) == (State.LAUNCHING, 1, ("i-1",))
    assert this.undo is not None
    assert last(this, event.LaunchAttemptFailed).data["made"] == ["i-1"]
    after = attempts.undone(this, at=AT)
    assert (after.undo, after.choice, after.rolled_back) == (None, 2, ("i-1",))
    assert told(after).count("launch.attempt_failed") == 1, "one choice is told of once"
    assert attempts.undone(after, at=AT) is after


def test_what_was_made_in_part_without_another_choice_fails_once_it_is_undone():
    """Failed means that nothing is left of it: it may be tried again."""
    this = refuse(choosing(0), "i-1", full=False)
    assert this.state is State.LAUNCHING
    after = attempts.undone(this, at=AT)
    assert (after.state, after.undo) == (State.FAILED, None)


def test_a_plan_that_takes_less_runs_with_what_could_be_made():
    """`partial` was approved: what is short is told, and what is there runs."""
    this = attempts.record_short(
        launching(), code="Capacity", message="None left.", resources=("i-1",), at=AT
    )
    assert this.state is State.RUNNING
    assert told(this)[-2:] == ["launch.attempt_failed", "launch.started"]


# Leases


def leased(lease: str = "10d", warns: int = 86400) -> Launch:
    """Return a launch that runs, whose end is told a day ahead unless told otherwise."""
    return start_recorded(claim(launch(asks=question(lease=lease), warns=warns)))


def extend(this: Launch, until: datetime | None, at: datetime = AT, by: str | None = None) -> Launch:
    """Return the launch after DEV let it run for longer."""
    return life.extend(this, until=until, actor=DEV, at=at, by=by)


def test_the_end_of_a_lease_is_told_ahead_once():
    """Whoever needs it for longer must hear in time; and once, for a second mail says nothing new."""
    this = leased()
    assert this.due_at == AT + 9 * DAY
    after = tick(this)
    assert last(after, event.LeaseExpiring).data["ends_at"] == "2026-11-12T09:00:00Z"
    assert (after.state, after.wanted, after.due_at) == (State.RUNNING, None, AT + 10 * DAY)
    assert told(tick(after, AT + 9 * DAY + HOUR)).count("lease.expiring") == 1
    assert tick(after).wanted == "terminate"


def test_who_wakes_too_late_ends_it_and_tells_of_no_end_to_come():
    """A warning of what is past would be noise."""
    after = tick(leased(), AT + 10 * DAY)
    assert after.wanted == "terminate"
    assert "lease.expiring" not in told(after)


def test_what_is_being_terminated_is_not_warned_of():
    """Whoever ends it knows that it ends."""
    after = tick(want(leased(), "terminate"), AT + 9 * DAY)
    assert "lease.expiring" not in told(after)


def test_an_extension_moves_the_end_and_is_told_ahead_of_again():
    """The new end is an end like the first."""
    this = extend(tick(leased()), AT + 20 * DAY, AT + 9 * DAY)
    assert (this.lease_ends_at, this.due_at) == (AT + 20 * DAY, AT + 19 * DAY)
    said = last(this, event.LeaseExtended).data
    assert (said["previous"], said["until"]) == ("2026-11-12T09:00:00Z", "2026-11-22T09:00:00Z")
    assert told(tick(this)).count("lease.expiring") == 2
    assert tick(this).wanted is None


def test_extending_it_again_to_the_same_end_changes_nothing():
    """A lost answer is asked for again."""
    this = extend(leased(), AT + 20 * DAY)
    assert extend(this, AT + 20 * DAY) is this


def test_a_lease_without_an_end_ends_never():
    """No alarm rings for it; somebody terminates it."""
    for this in (leased("never"), extend(leased(), None)):
        assert (this.lease_ends_at, this.due_at) == (None, None)
        assert extend(this, None) is this
    assert last(extend(leased(), None), event.LeaseExtended).data["until"] is None


@pytest.mark.parametrize("until", [AT + 9 * DAY, AT])
def test_a_lease_is_never_shortened(until: datetime):
    """Who relies on the end that was approved must not find it earlier; it may be terminated at any time."""
    with pytest.raises(TransitionNotAllowedError):
        extend(leased(), until)
    with pytest.raises(TransitionNotAllowedError):
        extend(leased("never"), until)


def test_what_is_being_terminated_is_not_extended():
    """The launcher may have terminated it already."""
    with pytest.raises(TransitionNotAllowedError, match="being terminated"):
        extend(want(leased(), "terminate"), AT + 20 * DAY)


def test_a_change_that_is_under_way_is_cued_still_after_an_extension():
    """An extension takes nobody's cue away."""
    this = want(leased(), "stop")
    assert extend(this, AT + 20 * DAY).cue == this.cue


# Changing what runs


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(running, "stop"), (stopped, "start"), (running, "terminate"), (stopped, "terminate")],
)
def test_a_change_is_wanted_first(before: Callable[[], Launch], wanted: Wanted):
    """The state is what was seen, not what is wished; the launcher is cued to do it."""
    this = want(before(), wanted)
    assert (this.state, this.wanted, this.wanted_by) == (before().state, wanted, OPS)
    assert this.cue == (last(this, event.LaunchChangeRequested).seq,)
    assert this.due_at == AT + CUE_FIRST
    assert want(this, wanted) is this


def test_stopping_and_starting():
    """What was wanted is met when it is seen, and then nobody is cued."""
    this = see(want(running(), "stop"), "stopped")
    assert (this.state, this.wanted, this.cue, this.due_at) == (State.STOPPED, None, (), this.lease_ends_at)
    assert told(this)[-1] == "launch.stopped"
    this = see(want(this, "start"), "running")
    assert (this.state, this.wanted, this.cue, this.due_at) == (State.RUNNING, None, (), this.lease_ends_at)
    assert told(this)[-1] == "launch.started"


def test_terminating():
    """When all is gone it is over: no wish, no alarm."""
    this = see(want(running(), "terminate"), "terminated")
    assert (this.state, this.wanted, this.cue, this.due_at) == (State.TERMINATED, None, (), None)
    assert told(this)[-1] == "launch.terminated"


def test_terminate_overrides_a_stop():
    """Who wants it gone need not wait until it has stopped."""
    assert want(want(running(), "stop"), "terminate").wanted == "terminate"


@pytest.mark.parametrize("wanted", ["stop", "start"])
@pytest.mark.parametrize("before", [running, stopped])
def test_nothing_overrides_a_termination(before: Callable[[], Launch], wanted: Wanted):
    """What is being terminated is not stopped or started, even if it looks as if it were so already."""
    with pytest.raises(TransitionNotAllowedError, match="being terminated"):
        want(want(before(), "terminate"), wanted)


@pytest.mark.parametrize(
    ("before", "first", "then"), [(running, "stop", "start"), (stopped, "start", "stop")]
)
def test_the_opposite_of_a_pending_change_is_not_taken_for_done(
    before: Callable[[], Launch], first: Wanted, then: Wanted
):
    """Saying `it is stopped already` to a stop while it is being started would be a lie a minute later."""
    with pytest.raises(TransitionNotAllowedError):
        want(want(before(), first), then)


def test_a_stop_seen_while_terminating_is_not_the_end_of_it():
    """Instances pass through stopped on their way out; termination stays wanted."""
    this = see(want(running(), "terminate"), "stopped")
    assert (this.state, this.wanted) == (State.STOPPED, "terminate")
    assert this.cue != ()


def test_a_refused_change_leaves_it_as_it_is():
    """The engine's words are kept, nothing is wanted any more, and the lease still ends."""
    this = change_failed(want(running(), "stop"))
    assert (this.state, this.wanted, this.wanted_by, this.cue) == (State.RUNNING, None, None, ())
    assert this.due_at == this.lease_ends_at
    assert last(this, event.LaunchChangeFailed).data["wanted"] == "stop"
    assert this.failure == Failure("IncorrectState", "Not now.", 1)


# What is seen


def test_one_of_two_is_not_all():
    """A launch is stopped, or gone, when each of its instances is."""
    this = running("i-1", "i-2")
    this = see(this, "stopped", "i-1")
    assert this.state is State.RUNNING
    this = see(this, "terminated", "i-2")
    assert this.state is State.STOPPED
    this = see(this, "terminated", "i-1")
    assert this.state is State.TERMINATED


def test_one_that_starts_is_a_launch_that_runs():
    """It costs from the first instance on."""
    this = see(see(running("i-1", "i-2"), "stopped", "i-1"), "stopped", "i-2")
    assert this.state is State.STOPPED
    assert see(this, "pending", "i-2").state is State.RUNNING


def test_what_is_so_already_is_not_told_again():
    """A second instance that starts or stops changes nothing that a biller of the launch has not heard."""
    this = running("i-1", "i-2")
    assert told(see(this, "pending", "i-2")) == told(running("i-1", "i-2"))
    this = see(see(this, "stopped", "i-1"), "stopped", "i-2")
    after = see(this, "terminated", "i-1")
    assert (after.state, told(after)) == (State.STOPPED, told(this))


def test_what_is_gone_stays_gone():
    """A late message about a terminated instance changes nothing."""
    this = see(running("i-1", "i-2"), "terminated", "i-1")
    assert see(this, "running", "i-1") is this
    assert see(this, "stopped", "i-1") is this


def test_a_strangers_instance_is_not_seen():
    """Only what the engine made for this launch can change it."""
    this = running()
    assert see(this, "terminated", "i-9") is this


def test_a_stop_by_hand_is_seen_too():
    """Somebody stops it in the console: the state follows, and the lease goes on."""
    this = see(running(), "stopped")
    assert (this.state, this.due_at) == (State.STOPPED, this.lease_ends_at)


# Leases


@pytest.mark.parametrize("late", [-1, 0, 1])
@pytest.mark.parametrize("before", [running, stopped])
def test_a_lease_ends_to_the_second(before: Callable[[], Launch], late: int):
    """When the lease is over the clock wants it terminated, whether it runs or is stopped."""
    this = before()
    after = tick(this, AT + 30 * DAY + late * SECOND)
    if late < 0:
        assert after is this
    else:
        assert (after.wanted, after.wanted_by) == ("terminate", SYSTEM)
        assert told(after)[-1] == "launch.change_requested"


def test_a_lease_ends_in_time_though_a_change_is_pending():
    """A stop that nobody carries out must not let it run for hours beyond its lease."""
    this = want(running(), "stop", AT + 29 * DAY)
    for _ in range(100):
        if this.wanted == "stop":
            assert this.due_at is not None
            assert this.due_at <= AT + 30 * DAY
            this = tick(this)
    assert this.wanted == "terminate"
    assert last(this, event.LaunchChangeRequested).at == AT + 30 * DAY


def test_a_termination_that_is_refused_is_wanted_again_but_not_at_once():
    """The lease has ended and it still costs: it is tried for ever, and nobody is flooded with notices."""
    this, tried = running(), []
    for _ in range(5):
        assert this.due_at is not None
        tried.append(this.due_at)
        this = change_failed(tick(this), at=this.due_at)
    assert [then - now for now, then in itertools.pairwise(tried)] == [CUE_LONGEST] * 4


def test_a_termination_that_nobody_carries_out_is_cued_with_patience():
    """After the lease's end the alarm is the cue's alone: it must not ring every minute."""
    this = tick(running())
    waits = []
    for _ in range(10):
        assert this.due_at is not None
        now, this = this.due_at, tick(this)
        assert this.due_at is not None
        waits.append(this.due_at - now)
    assert waits == sorted(waits)
    assert waits[0] == 2 * CUE_FIRST
    assert waits[-1] == CUE_LONGEST


# Cues


@pytest.mark.parametrize(
    ("before", "cued"),
    [
        (lambda: launch(gate()), ["gate.opened"]),
        (lambda: launch(gate(), gate("audit"), gate("finance", stage=2)), ["gate.opened", "gate.opened"]),
        (cleared, ["launch.cleared"]),
        (launching, ["launch.cleared"]),
        (lambda: retry(failed()), ["launch.cleared"]),
        (lambda: want(running(), "stop"), ["launch.change_requested"]),
        (lambda: want(stopped(), "start"), ["launch.change_requested"]),
        (lambda: lose(cleared(), LEAD), ["gate.opened"]),
        (running, []),
        (stopped, []),
        *(
            (life, [])
            for state, life in LIVES.items()
            if state in ("TERMINATED", "REJECTED", "EXPIRED", "CANCELLED", "FAILED")
        ),
    ],
)
def test_what_somebody_must_act_on(before: Callable[[], Launch], cued: list[str]):
    """Each state cues just the event on which it waits, and an end cues nothing."""
    this = before()
    assert [one.type for one in this.history if one.seq in this.cue] == cued
    assert (this.due_at is None) == (
        this.state in ("TERMINATED", "REJECTED", "EXPIRED", "CANCELLED", "FAILED")
    )


@pytest.mark.parametrize("before", [awaiting, cleared, launching, lambda: want(running(), "stop")])
def test_the_cue_is_given_again_as_it_was(before: Callable[[], Launch]):
    """A lost event comes again under its own id: no new event, twice the wait, one write."""
    this = before()
    for n in range(1, 5):
        assert this.due_at is not None
        now, after = this.due_at, tick(this)
        assert (after.cue, after.seq, after.history) == (this.cue, this.seq, this.history)
        assert (after.cue_times, after.version) == (n, this.version + 1)
        assert after.due_at == now + CUE_FIRST * 2**n
        this = after


def test_a_tick_before_the_alarm_is_the_very_same_launch():
    """A waking that comes too early, or twice, writes nothing."""
    this = awaiting()
    assert tick(this, AT + CUE_FIRST - SECOND) is this
    after = tick(this, AT + CUE_FIRST)
    assert tick(after, AT + CUE_FIRST) is after


def saved(this: Launch) -> Launch:
    """Return the launch as it is read after a save: a full history has lost its oldest half."""
    return this.changed(history=this.kept)


def test_what_is_cued_is_always_on_the_item():
    """After any number of second thoughts the opening that must be acted on can be given again."""
    this = launch(gate(quorum=3), gate("audit", quorum=2))
    for n in range(200):
        this = saved((approve, revoke)[n % 2](this, LEAD, at=AT + n * SECOND))
        found = [one for one in this.history if one.seq in this.cue]
        assert sorted(one.data["gate"] for one in found) == ["audit", "lead"]
        assert {one.data["round"] for one in found} == {1}
        assert_well_told(this)
    assert len(this.history) <= event.KEEP


def test_a_gate_that_closed_long_ago_is_not_told_as_closed_again():
    """What history no longer holds has still happened: each round closes once."""
    this = approve(launch(gate(), gate("finance", FINANCE, BOSS, stage=2, quorum=2)), LEAD)
    seen = []
    for n in range(200):
        before, this = this, saved((approve, revoke)[n % 2](this, FINANCE, "finance"))
        seen += [one.type for one in this.history if one.seq > before.seq]
    assert "gate.closed" not in seen


def test_a_change_is_told_to_everybody_who_lists():
    """The requester's feed and the list by state show it as it is now."""
    assert running().listed() == Listed(
        feed=f"requester#{DEV.key}",
        state="RUNNING",
        summary=LaunchSummary(
            id="l-1",
            state=State.RUNNING,
            name="fair",
            template="web-small",
            requester=DEV,
            cost_center="4711",
            currency="USD",
            monthly=Decimal("7.60"),
            at=AT,
        ),
    )


def test_every_event_of_a_launch_says_what_a_rule_engine_needs():
    """Who subscribes to the bus decides by these, and has nobody to call back."""
    this = launch(gate(), asks=question(on_behalf_of=BOSS))
    assert this.facts == LaunchFacts(
        id="l-1",
        state="PENDING_APPROVAL",
        name="fair",
        template="web-small",
        engine="ec2",
        region="us-east-1",
        requester=DEV,
        on_behalf_of=BOSS,
        cost_center="4711",
        reason="A page for the fair.",
        lease="30d",
        digest=this.digest,
        bundle="b" * 64,
        price=this.question.price,
    )


def test_an_offer_that_is_not_there_any_more():
    """Whoever follows an old link learns why it leads nowhere."""
    with pytest.raises(NotFoundError) as raised:
        launch(gate()).offer("d" * 64)
    assert str(raised.value) == "The launch has no such offer: it may have been amended since."


def test_a_launch_keeps_its_own_digest():
    """No command changes what was asked."""
    for lived in LIVES.values():
        assert lived().digest == lived().question.digest == question().digest


def test_a_launch_survives_the_store():
    """What is written as JSON and read again is the same launch, and goes on as it would have."""
    for state, lived in LIVES.items():
        this = lived()
        again = msgspec.json.decode(msgspec.json.encode(this), type=Launch)
        assert again == this
        for command in COMMANDS.values():
            try:
                expected: Launch | str = command(this)
            except GonogoError as error:
                expected = str(error)
            try:
                found: Launch | str = command(again)
            except GonogoError as error:
                found = str(error)
            assert found == expected, state


def test_unknown_fields_are_passed_over():
    """Older code reads what newer code has written."""
    plain = msgspec.to_builtins(running())
    plain["newer"] = {"a": 1}
    plain["question"]["newer"] = 1
    plain["gates"][0]["newer"] = [1]
    assert msgspec.convert(plain, Launch) == running()


def test_every_event_is_told_by_some_life():
    """What no launch ever tells, no subscriber can be tested on."""
    less = commands.offer(
        launch(gate(), asks=question(count=2)),
        gate="lead",
        actor=LEAD,
        question=question(),
        comment=None,
        eligible=frozenset({LEAD}),
        at=AT,
    )
    noted = commands.note(
        launch(hook()), gate="scan", actor=SCANNER, text="40 %", eligible=frozenset({SCANNER}), at=AT
    )
    nudged = launch(gate(remind_every="1h", escalate_after="1h", reserve=(OPS,)))
    lives = [
        *(life() for life in LIVES.values()),
        change_failed(want(running(), "stop")),
        launch(),
        launch(review(), asks=question(break_glass=True)),
        commands.accept(
            less,
            digest=question().digest,
            gates=(gate(),),
            bundle=less.bundle,
            groups=(),
            actor=DEV,
            at=AT,
        ),
        noted,
        tick(nudged, AT + HOUR),
    ]
    lives.append(reconcile.adopt(awaiting(), attempt=1, choice=1, made=("i-1",), at=AT))
    lives += [refuse(choosing()), tick(leased()), extend(leased(), None)]
    names = {name for life in lives for name in told(life)}
    of_launches = {name for name, kind in event.ALL.items() if issubclass(kind, event.LaunchData)}
    assert names == of_launches


def test_times_are_those_of_the_command():
    """The core knows no clock: an event is of the time that it was told."""
    later = AT + 5 * MINUTE
    this = approve(awaiting(), LEAD2, at=later)
    assert (this.updated_at, this.at) == (later, AT)
    assert {one.at for one in this.history if one.seq > awaiting().seq} == {later}
