"""Deciding: by link, by webhook and signed in, one rule; and what a code is worth when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gonogo.core.errors import (
    AlreadyDecidedError,
    ConflictError,
    GateNotOpenError,
    GonogoError,
    NotEligibleError,
    NotFoundError,
    NotPermittedError,
    StaleDigestError,
    TokenInvalidError,
)
from gonogo.core.gates import GateState
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.service import decide, submit
from tests.core.builders import policy_files, replaced
from tests.service import lives
from tests.service.road import Road


@pytest.fixture
def launch(road: Road) -> Launch:
    """Give a launch whose approvers have been asked."""
    made = road.submit()
    road.settle()
    return made


def code(road: Road, who: str = "lead", channel: str = "mail") -> str:
    """Return the newest code that somebody was sent."""
    found = road.code(who, channel=channel)
    assert found is not None
    return found


def by_code(road: Road, text: str, verdict: decide.Verdict = "approve", digest: str | None = None) -> Launch:
    """Decide with a code, as the page does."""
    return decide.by_token(road.outside, text, verdict=verdict, digest=digest, comment=None)


@pytest.mark.parametrize(
    "say",
    [
        lambda road, _launch: by_code(road, code(road)),
        lambda road, _launch: by_code(road, code(road, channel="webhook")),
        lambda road, launch: road.decide("lead", launch, "lead"),
    ],
    ids=["link", "webhook", "api"],
)
def test_every_channel_says_go(road: Road, launch: Launch, say: Callable[[Road, Launch], Launch]) -> None:
    """Whoever decides by mail decides as much as whoever signs in."""
    assert say(road, launch).state is State.PENDING


@pytest.mark.parametrize(("channel", "known"), [("mail", "link"), ("webhook", "webhook")])
def test_it_is_on_record_how_a_decision_came(road: Road, launch: Launch, channel: str, known: str) -> None:
    """An auditor asks."""
    (decision,) = by_code(road, code(road, channel=channel)).gate("lead").decisions
    assert decision.channel == known
    assert launch.digest == decision.digest


def test_a_code_shows_what_it_is_for_and_changes_nothing(road: Road, launch: Launch) -> None:
    """Mail scanners open every link; the page reads what it shows like this."""
    before = len(road.table.changes)
    shown = decide.show(road.outside, code(road))
    assert (shown.launch.id, shown.gate.name, shown.actor.subject) == (launch.id, "lead", "lead")
    assert len(road.table.changes) == before


def test_saying_it_twice_changes_nothing(road: Road, launch: Launch) -> None:
    """A double click, or a client that got no answer."""
    by_code(road, code(road))
    before = road.now(launch)
    assert by_code(road, code(road)) == before == road.decide("lead", launch, "lead") == road.now(launch)


def test_the_opposite_is_refused(road: Road, launch: Launch) -> None:
    """One's word stands until it is taken back."""
    by_code(road, code(road))
    with pytest.raises(AlreadyDecidedError):
        by_code(road, code(road), "reject")
    with pytest.raises(AlreadyDecidedError):
        road.decide("lead", launch, "lead", "reject")


@pytest.mark.parametrize("who", ["finance", "ops"])
def test_whom_policy_does_not_let_decide_does_not(road: Road, launch: Launch, who: str) -> None:
    """An operator may launch, and still not approve."""
    with pytest.raises(NotEligibleError):
        road.decide(who, launch, "lead")


def test_whoever_asked_never_decides(road: Road) -> None:
    """Not even where policy would let them."""
    files = policy_files(people=replaced('groups = ["developers"]', 'groups = ["developers", "leads"]'))
    road.outside.publish_policy(files)
    launch = road.submit()
    with pytest.raises(NotPermittedError):
        road.decide("dev", launch, "lead")
    road.settle()
    assert road.letters("dev", "decide") == []


def test_a_digest_that_is_not_this_one_decides_nothing(road: Road, launch: Launch) -> None:
    """What was read is what must be decided on, whether signed in or on the page."""
    with pytest.raises(StaleDigestError):
        decide.decide(
            road.outside,
            road.sign_in("lead"),
            launch.id,
            gate="lead",
            verdict="approve",
            digest="0" * 64,
            comment=None,
        )
    with pytest.raises(StaleDigestError):
        by_code(road, code(road), digest="0" * 64)
    assert by_code(road, code(road), digest=launch.digest).state is State.PENDING


def test_a_gate_or_launch_that_is_not_there_is_not_found(road: Road, launch: Launch) -> None:
    """As for any other name that nobody has."""
    with pytest.raises(NotFoundError):
        road.decide("lead", launch, "none")
    with pytest.raises(NotFoundError):
        road.decide("lead", launch.changed(id="l-none"), "lead")


def test_a_code_dies_with_its_gates_time(road: Road, launch: Launch) -> None:
    """To the second, and whether anybody has noted the expiry yet or not."""
    text, gate = code(road), launch.gate("lead")
    assert gate.expires_at is not None
    road.clock.time = gate.expires_at
    with pytest.raises(TokenInvalidError):
        by_code(road, text)
    with pytest.raises(GateNotOpenError):
        road.decide("lead", launch, "lead")


def test_a_code_dies_with_its_epoch(road: Road, launch: Launch) -> None:
    """A table that was restored must not restore what was decided or withdrawn."""
    text = code(road)
    road.outside.epoch = 2
    with pytest.raises(TokenInvalidError):
        by_code(road, text)
    assert road.state(launch) is State.PENDING_APPROVAL


def test_a_code_outlives_a_change_of_key_by_one(road: Road, launch: Launch) -> None:
    """The previous key is on the ring; the one before is not."""
    text = code(road)
    road.outside.keys.rings["people"].insert(0, b"new")
    decide.show(road.outside, text)
    road.outside.keys.rings["people"] = [b"newer", b"new"]
    with pytest.raises(TokenInvalidError):
        by_code(road, text)
    assert road.state(launch) is State.PENDING_APPROVAL


def test_a_code_of_a_launch_that_is_gone_is_like_any_other_that_is_not_valid(road: Road) -> None:
    """It tells nothing."""
    road.submit()
    road.settle()
    text = code(road)
    road.outside.table._rows.clear()
    with pytest.raises(TokenInvalidError):
        by_code(road, text)


@pytest.mark.parametrize("ring", ["people", "hook"])
def test_a_code_of_one_ring_is_no_code_of_the_other(road: Road, launch: Launch, ring: str) -> None:
    """The function that dials strangers can make none that counts as a person's mail."""
    rings = road.outside.keys.rings
    rings["people"], rings["hook"] = rings["hook"], rings["people"]
    with pytest.raises(TokenInvalidError):
        by_code(road, code(road, channel="mail" if ring == "people" else "webhook"))
    assert road.state(launch) is State.PENDING_APPROVAL


def test_who_has_left_decides_no_longer(road: Road, launch: Launch) -> None:
    """By link, by webhook or signed in: the bundle in force must let them, too."""
    by_mail, by_hook = code(road), code(road, channel="webhook")
    road.outside.publish_policy(lives.policy_without_lead())
    for say in (
        lambda: by_code(road, by_mail),
        lambda: by_code(road, by_hook),
        lambda: road.decide("lead", launch, "lead"),
    ):
        with pytest.raises(NotPermittedError):
            say()
    assert by_code(road, code(road, "lead2")).state is State.PENDING


def test_who_has_come_since_decides_not_yet(road: Road) -> None:
    """A launch is judged by the rules it was submitted under, and may not be helped by new ones."""
    road.outside.publish_policy(lives.policy_without_lead())
    launch = road.submit()
    road.outside.publish_policy(lives.policy())
    with pytest.raises(NotEligibleError):
        road.decide("lead", launch, "lead")


def test_a_gate_that_wants_people_signed_in_takes_no_code(road: Road) -> None:
    """The link is a pointer then, and was sent as one."""
    road.outside.publish_policy(
        {
            **lives.policy(),
            "gates.toml": lives.policy()["gates.toml"].replace("stage = 1", "stage = 1\nlogin = true"),
        }
    )
    launch = road.submit()
    road.settle()
    assert {one.code for one in road.letters(topic="decide")} == {None}
    assert road.decide("lead", launch, "lead").state is State.PENDING


def test_taking_it_back_opens_the_gate_again(road: Road) -> None:
    """While the next stage waits; those who must say go are asked again, in a new round."""
    road.submit(name="gpu-large")
    road.settle()
    first = code(road, "lead2")
    by_code(road, code(road))
    road.settle()
    confirmed = road.code("lead", "confirmed")
    assert confirmed is not None
    after = by_code(road, confirmed, "revoke")
    gate = after.gate("lead")
    assert (gate.state, gate.round) == (GateState.OPEN, 2)
    road.settle()
    assert code(road, "lead2") != first
    with pytest.raises(GateNotOpenError):
        by_code(road, first)
    assert by_code(road, code(road, "lead2")).gate("lead").state is GateState.GO


def test_taking_it_back_twice_is_taking_it_back_once(road: Road) -> None:
    """The answer to the first may have been lost, and the gate be in another round by now."""
    launch = road.submit(name="gpu-large")
    road.settle()
    by_code(road, code(road))
    road.settle()
    confirmed = road.code("lead", "confirmed")
    assert confirmed is not None
    after = by_code(road, confirmed, "revoke")
    assert by_code(road, confirmed, "revoke") == after == road.now(launch)
    assert road.decide("lead", launch, "lead", "revoke") == after
    with pytest.raises(GateNotOpenError):
        by_code(road, confirmed)


def test_what_was_never_said_cannot_be_taken_back(road: Road, launch: Launch) -> None:
    """There is nothing to take back."""
    with pytest.raises(ConflictError):
        by_code(road, code(road), "revoke")


def test_when_it_is_cleared_nothing_is_taken_back(road: Road, launch: Launch) -> None:
    """The launcher may have begun."""
    by_code(road, code(road))
    with pytest.raises(ConflictError):
        by_code(road, code(road), "revoke")
    assert road.state(launch) is State.PENDING


def test_of_two_who_decide_at_once_both_count(road: Road) -> None:
    """The second looks again and finds the first."""
    road.outside.publish_policy(lives.policy_of_two())
    launch = road.submit()
    save = road.table.save
    raced: list[bool] = []

    def faster(before: Launch, after: Launch) -> None:
        if not raced:
            raced.append(True)
            road.decide("lead2", launch, "lead")
        save(before, after)

    road.table.save = faster  # type: ignore[method-assign,assignment]
    after = road.decide("lead", launch, "lead")
    assert after.state is State.PENDING
    assert {one.actor.subject for one in after.gate("lead").decisions} == {"lead", "lead2"}


def test_a_decision_that_came_too_late_is_refused_in_the_words_of_what_is_now(
    road: Road, launch: Launch
) -> None:
    """The gate was open when it was read, and is not when it is written."""
    save = road.table.save
    raced: list[bool] = []

    def faster(before: Launch, after: Launch) -> None:
        if not raced:
            raced.append(True)
            road.change("dev", launch, "cancel")
        save(before, after)

    road.table.save = faster  # type: ignore[method-assign,assignment]
    with pytest.raises(GonogoError) as caught:
        road.decide("lead", launch, "lead")
    assert isinstance(caught.value, GateNotOpenError)
    assert road.state(launch) is State.CANCELLED


def test_an_id_is_made_of_nothing_that_anybody_chooses(road: Road) -> None:
    """It stands in keys, links and tags."""
    made = submit.launch_id(bytes(range(32)))
    assert made == submit.launch_id(bytes(range(20)) + b"x" * 12)
    assert made.startswith("l-")
    assert len(made) == 34
    assert road.launches() == []
