"""Telling people: each is asked once, whatever fails is tried again, and nobody is asked in vain without a word."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import token
from gonogo.core.delivery import RETRIES, Delivery
from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.service import notify, read
from gonogo.service.notify import Cue, Notice
from tests.core.builders import policy_files, replaced, somebody
from tests.service import lives
from tests.service.road import Road


def asked(road: Road) -> list[tuple[str, str]]:
    """Return who was asked to decide, over which channel, sorted."""
    return sorted((one.to, one.channel) for one in road.letters(topic="decide"))


def delivery(road: Road, who: str = "lead") -> Delivery:
    """Return the notice that asks somebody."""
    (found,) = [one for one in road.table.all(Delivery) if (one.actor.subject, one.topic) == (who, "decide")]
    return found


def opened(road: Road, launch: Launch) -> Cue:
    """Return the cue that a gate has opened."""
    (event,) = [one for one in road.happened(launch) if one.type == "gate.opened"]
    return Cue(type=event.type, subject=launch.id, seq=event.seq)


def test_everybody_who_may_decide_is_asked_over_each_of_their_channels(road: Road) -> None:
    """Whoever reads first, decides."""
    road.submit()
    road.settle()
    assert asked(road) == [("lead", "mail"), ("lead", "webhook"), ("lead2", "mail"), ("lead3", "webhook")]


def test_a_cue_that_comes_again_asks_nobody_twice(road: Road) -> None:
    """Queues deliver at least once, and alarms ring again."""
    launch = road.submit()
    road.settle()
    for _ in range(3):
        notify.tell(road.outside, opened(road, launch), "mail", road._mail)
    road.sleep(hours=12)
    assert len(road.letters(topic="decide")) == 4


def test_mail_carries_a_persons_code_a_private_webhook_a_hooks_and_any_other_none(road: Road) -> None:
    """A channel that others read must not carry the power to approve."""
    road.submit()
    road.settle()
    rings = {
        (one.to, one.channel): token.read(one.code, now=road.clock(), epoch=1)[0].keys if one.code else None
        for one in road.letters(topic="decide")
    }
    assert rings == {
        ("lead", "mail"): "people",
        ("lead2", "mail"): "people",
        ("lead", "webhook"): "hook",
        ("lead3", "webhook"): None,
    }


def test_a_link_holds_the_code_in_its_fragment_and_a_pointer_holds_none(road: Road) -> None:
    """What stands after # reaches no server and no log."""
    launch = road.submit()
    road.settle()
    for one in road.letters(topic="decide"):
        if one.code:
            assert one.link == f"https://gonogo.example.com/decide#{one.code}"
        else:
            assert one.link == f"https://gonogo.example.com/launches/{launch.id}"


def test_a_notice_that_is_sent_again_carries_the_same_code(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored, and two links that differ would look like two questions."""
    send = road.outside.mailed.send

    def lost(to: str, raw: bytes) -> None:
        send(to, raw)
        raise LaterError("no answer")

    monkeypatch.setattr(road.outside.mailed, "send", lost)
    road.submit()
    road.settle()
    monkeypatch.undo()
    road.sleep(hours=1)
    codes = [one.code for one in road.letters("lead", "decide") if one.channel == "mail"]
    assert len(codes) == 2
    assert len(set(codes)) == 1


def test_no_code_is_in_an_event_or_in_the_table(road: Road) -> None:
    """Whoever reads the bus, or a backup, can decide nothing."""
    road.submit()
    road.settle()
    codes = [one.code for one in road.letters() if one.code]
    assert codes
    kept = repr(road.outside.sent_on.published) + repr(road.table._rows)
    assert not any(code in kept for code in codes)


def test_a_mail_that_could_not_be_sent_is_tried_again_and_again(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more patience each time; the decision waits, nothing else does."""

    def out(_to: str, _raw: bytes) -> None:
        raise LaterError("SES is out")

    monkeypatch.setattr(road.outside.mailed, "send", out)
    road.outside.publish_policy(
        {**lives.policy(), "gates.toml": lives.policy()["gates.toml"].replace('"3d"', '"7d"')}
    )
    road.submit()
    road.settle()
    tries, waits, before = 1, [], road.clock()
    while delivery(road, "lead2").channels["mail"].state == "waiting":
        road.pass_time(road.clock() + timedelta(days=1))
        if delivery(road, "lead2").channels["mail"].tries > tries:
            tries += 1
            waits.append(road.clock() - before)
            before = road.clock()
    assert tries == len(RETRIES) + 1
    assert waits == sorted(waits)
    assert delivery(road, "lead2").channels["mail"].state == "failed"
    assert delivery(road, "lead2").open
    assert read.inbox(road.outside, road.sign_in("lead2"), cursor=None, limit=10).items


def test_no_sooner_than_the_other_side_asked_for(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After is heeded."""

    def busy(*_: object, **__: object) -> None:
        raise LaterError("busy", retry_after=3600)

    monkeypatch.setattr(road.outside.posted, "post", busy)
    road.submit()
    road.settle()
    not_before = delivery(road, "lead3").channels["webhook"].not_before
    assert not_before == road.clock() + timedelta(hours=1)


def test_what_is_refused_is_given_up_and_harms_no_other(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not exist, and the colleague who is asked all the same."""
    send = road.outside.mailed.send

    def picky(to: str, raw: bytes) -> None:
        if to == "lead@example.com":
            raise RefusedError("MessageRejected", "No such address.")
        send(to, raw)

    monkeypatch.setattr(road.outside.mailed, "send", picky)
    road.submit()
    road.settle()
    assert asked(road) == [("lead", "webhook"), ("lead2", "mail"), ("lead3", "webhook")]
    sending = delivery(road).channels["mail"]
    assert (sending.state, sending.error) == ("failed", "MessageRejected: No such address.")


def test_a_slow_webhook_holds_up_no_mail(road: Road) -> None:
    """They hang on queues of their own."""
    road.queues["deliver"].held = True
    launch = road.submit()
    road.settle()
    assert asked(road) == [("lead", "mail"), ("lead2", "mail")]
    road.follow(road.wait_for_code("lead2"))
    road.until(lambda: lives.runs(road, launch))


def test_who_was_asked_in_vain_is_told_so(road: Road) -> None:
    """They need not open the page to find that it is decided."""
    road.submit()
    road.settle()
    road.follow(road.wait_for_code("lead"))
    road.settle()
    assert {(one.to, one.channel) for one in road.letters(topic="closed")} == {
        ("lead2", "mail"),
        ("lead3", "webhook"),
    }


def test_who_may_have_been_asked_in_vain_is_told_so_too(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail went out, and nobody could note it."""
    send = road.outside.mailed.send

    def lost(to: str, raw: bytes) -> None:
        send(to, raw)
        raise LaterError("no answer")

    monkeypatch.setattr(road.outside.mailed, "send", lost)
    launch = road.submit()
    road.settle()
    monkeypatch.undo()
    road.decide("lead", launch, "lead")
    road.settle()
    assert "lead2" in {one.to for one in road.letters(topic="closed")}


def test_who_was_never_asked_is_not_told_that_it_is_decided(road: Road) -> None:
    """It was decided before anybody heard of it."""
    launch = road.submit()
    road.decide("lead", launch, "lead")
    road.settle()
    assert road.letters(topic="decide") == road.letters(topic="closed") == []


def test_who_decides_by_link_is_told_what_they_did(road: Road) -> None:
    """If it was not them, they can take it back while it waits."""
    road.outside.publish_policy(lives.policy_of_two())
    road.submit()
    road.settle()
    road.follow(road.wait_for_code("lead"))
    road.settle()
    assert [one.to for one in road.letters(topic="confirmed") if one.channel == "mail"] == ["lead"]
    assert road.code("lead", "confirmed")


def test_who_decides_signed_in_needs_no_confirmation(road: Road) -> None:
    """They saw the answer."""
    launch = road.submit()
    road.settle()
    road.decide("lead", launch, "lead")
    road.settle()
    assert road.letters(topic="confirmed") == []


@pytest.mark.parametrize(
    ("life", "topics"),
    [
        ("rejected", ["rejected"]),
        ("expired", ["expired"]),
        ("by link", ["cleared", "started", "started"]),
        ("retried", ["cleared", "failed", "cleared", "started"]),
        ("cancelled", []),
    ],
)
def test_whoever_asked_is_told_how_it_goes(life: str, topics: list[str]) -> None:
    """Once each; not of what they did themselves."""
    files, live = lives.LIVES[life]
    road = lives.road(files())
    live(road)
    assert [one.topic for one in road.letters("dev")] == topics


def test_an_operator_is_not_told_that_nothing_stood_in_the_way(road: Road) -> None:
    """A launch without gates is not cleared by anybody."""
    road.submit("ops")
    road.settle()
    assert [one.topic for one in road.letters("ops")] == ["started"]


def test_a_cue_is_trusted_for_nothing_but_the_place_that_it_names(road: Road) -> None:
    """A forged or mangled event finds nothing to tell, or tells what is so."""
    launch = road.submit()
    for cue in (
        Cue(type="gate.opened", subject="l-none", seq=3),
        Cue(type="gate.opened", subject=launch.id, seq=99),
        Cue(type="launch.rejected", subject=launch.id, seq=3),
        Cue(type="delivery.due", subject="d-none", seq=1),
        Cue(type="nonsense", subject=launch.id, seq=1),
    ):
        notify.tell(road.outside, cue, "mail", road._mail)
    assert road.letters() == []


def test_a_notice_is_claimed_before_it_is_sent(road: Road) -> None:
    """Two workers with one message send one mail."""
    launch = road.submit()
    road.settle()
    for queue in road.queues.values():
        queue.messages.clear()
    inside: list[str] = []
    road.outside.publish_policy(lives.policy())
    other = road.submit(key="other")
    cue = opened(road, other)

    def slow(notice: Notice) -> None:
        inside.append(notice.person.name)
        notify.tell(road.outside, cue, "mail", slow)

    notify.tell(road.outside, cue, "mail", slow)
    assert sorted(inside) == ["lead", "lead2"]
    assert road.state(launch) is State.PENDING_APPROVAL


def test_who_has_no_address_any_more_is_given_up(road: Road) -> None:
    """Policy changed between the making of the notice and its sending."""
    road.queues["notify"].held = True
    road.submit()
    road.settle()
    road.outside.publish_policy(policy_files(people=replaced('mail = "lead@example.com"', "")))
    road.queues["notify"].held = False
    road.sleep(hours=1)
    assert ("lead", "mail") not in asked(road)
    assert delivery(road).channels["mail"].state == "failed"


def test_a_question_stands_in_the_inbox_by_the_sender_that_reaches_whom_it_asks(road: Road) -> None:
    """One sender sees to each inbox, so that the other has nothing to write; whom no channel reaches is mail's."""
    people = lives.policy()["people.toml"] + somebody("lead4", "leads")
    road.outside.publish_policy({**lives.policy(), "people.toml": people})

    def inbox(who: str) -> bool:
        return bool(read.inbox(road.outside, road.sign_in(who), cursor=None, limit=10).items)

    for held, first, then in (
        ("deliver", [True, True, False, True], [True, True, True, True]),
        ("notify", [True, False, True, False], [True, True, True, True]),
    ):
        road.queues[held].held = True
        launch = road.submit(key=held)
        road.settle()
        assert [inbox(who) for who in ("lead", "lead2", "lead3", "lead4")] == first
        road.queues[held].held = False
        road.settle()
        assert [inbox(who) for who in ("lead", "lead2", "lead3", "lead4")] == then
        road.decide("lead", launch, "lead")
        road.settle()


def test_the_inbox_shows_what_waits_for_whom(road: Road) -> None:
    """Checked against the launch as it is when it is read, whatever the index says."""

    def inbox(who: str) -> list[str]:
        page = read.inbox(road.outside, road.sign_in(who), cursor=None, limit=10)
        return [one.launch.id for one in page.items]

    launch = road.submit()
    assert inbox("lead") == []
    road.settle()
    assert inbox("lead") == inbox("lead2") == inbox("lead3") == [launch.id]
    assert inbox("dev") == inbox("finance") == []
    road.queues["notify"].held = road.queues["deliver"].held = True
    road.decide("lead", launch, "lead")
    assert inbox("lead") == inbox("lead2") == []
