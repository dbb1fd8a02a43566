"""What each of the newer events makes somebody be told: systems, reserves, stand-ins, and whoever asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import token
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import Delivery
from gonogo.core.gates import GateState
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.service import amend, decide, delegate, notify
from gonogo.service.amend import Changes
from gonogo.service.notify import Cue
from tests import every_gate
from tests.core.builders import actor
from tests.service import lives
from tests.service.road import Letter, Road


@pytest.fixture(name="road")
def gated_road() -> Road:
    """Give a road under a policy with gates of every kind."""
    return lives.road(every_gate.policy())


def scanned(road: Road) -> Launch:
    """Return a launch that the scanner has let pass, so that the leads are asked."""
    launch = road.submit()
    road.follow(road.wait_for_code("scanner", channel="webhook"))
    road.settle()
    return launch


def told(road: Road, topic: str) -> list[tuple[str, str]]:
    """Return who got notices of this topic, and over which channel, sorted."""
    return sorted((one.to, one.channel) for one in road.letters(topic=topic))


def asked_of(road: Road, launch: Launch, who: str) -> list[Letter]:
    """Return the questions that somebody was mailed about one launch."""
    return [one for one in road.letters(who, "decide") if one.launch == launch.id and one.channel == "mail"]


def stand_in(road: Road, to: str = "finance", whom: str = "lead", by: str = "lead") -> Delegation:
    """Let somebody stand in for a week."""
    until = road.clock() + timedelta(days=7)
    return delegate.delegate(
        road.outside, road.sign_in(by), whom=actor(whom), to=actor(to), since=None, until=until
    )


def again(road: Road, item: Launch | Delegation) -> int:
    """Hand every event of an item to both senders once more, and return how many letters went out by that."""
    before = len(road.letters())
    for one in road.happened(item):
        cue = Cue(type=one.type, subject=item.id, seq=one.seq)
        notify.tell(road.outside, cue, "mail", road._mail)
        notify.tell(road.outside, cue, "webhook", road._post)
    return len(road.letters()) - before


# -- hooks -------------------------------------------------------------------------------------------------


def test_a_hook_asks_its_system_by_any_webhook_with_a_code_and_by_mail_without(road: Road) -> None:
    """A mailbox is no system, and whoever reads it decides no hook."""
    road.submit()
    road.settle()
    assert told(road, "decide") == [("scanner", "mail"), ("scanner", "webhook")]
    by = {one.channel: one.code for one in road.letters("scanner", "decide")}
    assert by["mail"] is None
    assert by["webhook"] is not None
    assert token.read(by["webhook"], now=road.clock(), epoch=1)[0].keys == "hook"


def test_the_code_of_a_hook_lets_it_note_and_decide_and_people_are_asked_then(road: Road) -> None:
    """All that a system needs is in what it is posted."""
    launch = road.submit()
    code = road.wait_for_code("scanner", channel="webhook")
    decide.note_by_token(road.outside, code, note="40 % done")
    road.follow(code)
    road.settle()
    assert road.now(launch).gate("scan").state is GateState.GO
    assert [one.to for one in road.letters(topic="decide") if one.gate == "lead"] == ["lead", "lead2"]
    assert told(road, "confirmed") == []


def test_a_hook_that_nobody_answers_is_asked_of_people_in_a_round_of_its_own(road: Road) -> None:
    """The system's code is dead by then, and it is told so."""
    launch = road.submit()
    road.settle()
    road.sleep(minutes=11)
    people = [one for one in road.letters(topic="decide") if one.gate == "scan" and one.to != "scanner"]
    assert [one.to for one in people] == ["lead", "lead2"]
    assert told(road, "closed") == [("scanner", "mail"), ("scanner", "webhook")]
    road.follow(str(people[0].code))
    assert road.now(launch).gate("scan").state is GateState.GO


# -- amended -----------------------------------------------------------------------------------------------


def test_of_an_amendment_those_asked_are_told_once_and_asked_anew(road: Road) -> None:
    """The old links are dead, the old notices closed, and the scanner scans anew."""
    launch = scanned(road)
    old = road.wait_for_code("lead")
    amend.amend(road.outside, road.sign_in("dev"), launch.id, Changes(lease="7d"))
    road.settle()
    assert told(road, "amended") == [
        ("lead", "mail"),
        ("lead2", "mail"),
        ("scanner", "mail"),
        ("scanner", "webhook"),
    ]
    assert told(road, "closed") == []
    assert {(one.actor.subject, one.round) for one in road.table.all(Delivery) if one.open} == {
        ("scanner", 2)
    }
    road.follow(road.wait_for_code("scanner", channel="webhook"))
    road.settle()
    assert len(asked_of(road, launch, "lead")) == 2
    assert road.code("lead") != old
    assert again(road, launch) == 0


def test_a_gate_that_is_gone_after_an_amendment_strands_no_notice(road: Road) -> None:
    """What was cued before finds no gate of that name, and says nothing."""
    launch = scanned(road)
    amended = road.now(launch).changed(gates=())
    road.table.save(road.now(launch), amended.next_version())
    assert again(road, launch) == 0


# -- reminders and escalation ------------------------------------------------------------------------------


def test_whoever_has_not_decided_is_reminded_with_a_link_of_the_same_round(road: Road) -> None:
    """Once for each time that it is due; the link in the first mail is good still."""
    launch = scanned(road)
    first = road.wait_for_code("lead")
    road.sleep(hours=25)
    assert told(road, "reminded") == [("lead", "mail"), ("lead2", "mail")]
    reminder = road.code("lead", "reminded")
    assert reminder is not None
    assert (
        token.read(reminder, now=road.clock(), epoch=1)[0] == token.read(first, now=road.clock(), epoch=1)[0]
    )
    assert again(road, launch) == 0
    road.sleep(hours=72)
    assert len(road.letters("lead", "reminded")) == 2
    road.follow(reminder)


def test_who_has_decided_is_not_reminded(road: Road) -> None:
    """A reminder that comes for nothing teaches people to read none."""
    files = {**every_gate.policy()}
    files["gates.toml"] = files["gates.toml"].replace(
        'title = "Team lead"', 'title = "Team lead"\nquorum = 2'
    )
    road = lives.road(files)
    scanned(road)
    road.follow(road.wait_for_code("lead"))
    road.sleep(hours=25)
    assert told(road, "reminded") == [("lead2", "mail")]


def test_the_reserve_is_asked_when_a_gate_escalates(road: Road) -> None:
    """They can decide then, and could not before."""
    launch = scanned(road)
    road.sleep(hours=47)
    assert asked_of(road, launch, "ops") == []
    road.sleep(hours=2)
    assert len(asked_of(road, launch, "ops")) == 1
    assert again(road, launch) == 0
    road.follow(road.wait_for_code("ops"))
    road.until(lambda: road.state(launch) is State.RUNNING)


# -- offers ------------------------------------------------------------------------------------------------


def offer(road: Road, launch: Launch, lease: str = "7d") -> Launch:
    """Let lead say go to less."""
    return amend.offer(
        road.outside,
        road.sign_in("lead"),
        launch.id,
        gate="lead",
        digest=road.now(launch).digest,
        changes=Changes(lease=lease),
        comment="A week will do.",
    )


def test_whoever_asked_is_told_of_an_offer_and_whoever_made_it_that_it_counts(road: Road) -> None:
    """One step for the one, none for the other."""
    launch = scanned(road)
    made = offer(road, launch)
    road.settle()
    assert told(road, "offered") == [("dev", "mail")]
    amend.accept(road.outside, road.sign_in("dev"), launch.id, made.offers[0].digest)
    road.settle()
    road.follow(road.wait_for_code("scanner", channel="webhook"))
    road.until(lambda: road.state(launch) is State.RUNNING)
    assert told(road, "confirmed") == [("lead", "mail")]
    assert again(road, launch) == 0


def test_an_offer_that_is_void_already_is_not_told(road: Road) -> None:
    """What cannot be accepted any more is no offer."""
    launch = scanned(road)
    road.queues["notify"].held = True
    offer(road, launch)
    amend.amend(road.outside, road.sign_in("dev"), launch.id, Changes(lease="6d"))
    road.settle()
    road.queues["notify"].held = False
    road.settle()
    assert told(road, "offered") == []


# -- after the launch --------------------------------------------------------------------------------------


def test_a_broken_glass_is_told_to_every_member_at_once_and_reviewed_afterwards(road: Road) -> None:
    """Nobody said go, so nobody is told that every gate was GO."""
    launch = road.submit(break_glass=True)
    road.settle()
    assert told(road, "glass_broken") == [("ops", "mail")]
    road.until(lambda: asked_of(road, launch, "lead"))
    assert road.state(launch) is State.RUNNING
    assert told(road, "cleared") == []
    road.follow(road.wait_for_code("lead"), "reject")
    road.settle()
    assert told(road, "warned") == [("dev", "mail")]
    assert road.state(launch) is State.RUNNING
    assert again(road, launch) == 0


def test_what_was_said_after_the_launch_can_be_taken_back_while_the_gate_is_open(road: Road) -> None:
    """By the code in the confirmation, though nothing waits any more."""
    files = {**every_gate.policy()}
    files["gates.toml"] = files["gates.toml"].replace('needed?"', 'needed?"\nquorum = 2')
    road = lives.road(files)
    launch = road.submit(break_glass=True)
    road.until(lambda: asked_of(road, launch, "lead"))
    road.follow(road.wait_for_code("lead"))
    road.settle()
    road.follow(road.wait_for_code("lead", "confirmed"), "revoke")
    assert road.now(launch).gate("review").approvals == 0


# -- delegation --------------------------------------------------------------------------------------------


def test_whoever_stands_in_is_told_and_asked_of_all_that_waits_and_of_all_that_comes(road: Road) -> None:
    """With a code of their own; whoever delegated is asked as ever."""
    first = scanned(road)
    made = stand_in(road)
    road.settle()
    assert told(road, "delegated") == [("finance", "mail")]
    assert len(asked_of(road, first, "finance")) == 1
    second = road.submit(key="second")
    road.until(
        lambda: len([one for one in road.letters("scanner", "decide") if one.launch == second.id]) == 2
    )
    road.follow(road.wait_for_code("scanner", channel="webhook"))
    road.settle()
    assert len(asked_of(road, second, "finance")) == len(asked_of(road, second, "lead")) == 1
    assert asked_of(road, second, "finance")[0].code != asked_of(road, second, "lead")[0].code
    assert again(road, made) == again(road, first) == again(road, second) == 0


def test_a_decision_in_somebodys_place_is_confirmed_to_both_signed_in_or_not(road: Road) -> None:
    """Either may take it back, and then both hear of that."""
    files = {**every_gate.policy()}
    files["gates.toml"] = files["gates.toml"].replace(
        'title = "Team lead"', 'title = "Team lead"\nquorum = 2'
    )
    road = lives.road(files)
    stand_in(road)
    launch = scanned(road)
    road.decide("finance", launch, "lead")
    road.settle()
    assert told(road, "confirmed") == [("finance", "mail"), ("lead", "mail")]
    road.follow(road.wait_for_code("lead", "confirmed"), "revoke")
    road.settle()
    assert road.now(launch).gate("lead").approvals == 0
    assert told(road, "confirmed") == sorted([("finance", "mail"), ("lead", "mail")] * 2)


def test_whoever_stands_in_is_told_when_it_is_decided_without_them(road: Road) -> None:
    """Also when they stand in no longer by then: their question is closed."""
    stand_in(road)
    launch = scanned(road)
    delegate.withdraw(road.outside, road.sign_in("lead"), actor("lead"))
    road.follow(road.wait_for_code("lead2"))
    road.settle()
    assert ("finance", "mail") in told(road, "closed")
    assert not [
        one for one in road.table.all(Delivery) if one.open and one.launch == launch.id and one.gate == "lead"
    ]


def test_for_whom_somebody_else_sets_it_is_told_too(road: Road) -> None:
    """Who decides in one's place is one's own business."""
    stand_in(road, by="ops")
    road.settle()
    assert told(road, "delegated") == [("finance", "mail"), ("lead", "mail")]


def test_who_asked_is_not_asked_in_anybodys_place(road: Road) -> None:
    """They could not decide, so a question would be an invitation to what is refused."""
    stand_in(road, to="dev")
    launch = scanned(road)
    assert asked_of(road, launch, "dev") == []
