"""A notice: made once, claimed before it is sent, tried again with patience, and given up in the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest

from gonogo.core import delivery
from gonogo.core.actor import Actor
from gonogo.core.delivery import CLAIM, RETRIES, Channel, Delivery, Sending, Topic, Troubled, Waiting
from gonogo.core.item import Listed
from tests.core.builders import AT, DAY, DEV, HOUR, LEAD, LEAD2, MINUTE, SECOND, assert_well_told, told


def notice(*channels: Channel, topic: Topic = "decide", at: datetime = AT) -> Delivery:
    """Return a notice to LEAD of the gate `lead`, by mail unless told otherwise."""
    return delivery.new(
        launch="l-1", topic=topic, actor=LEAD, channels=channels or ("mail",), at=at, gate="lead", round=1
    )


def state(this: Delivery, channel: Channel = "mail") -> str:
    """Return how far a channel is."""
    return this.channels[channel].state


def fail(this: Delivery, at: datetime, *, later: timedelta | None = timedelta(0)) -> Delivery:
    """Return the notice after one try by mail that failed."""
    return delivery.not_sent(delivery.claimed(this, "mail", at), "mail", error="busy", later=later, at=at)


def test_a_notice_has_one_id():
    """However often it is cued, and by whichever function, a notice is made once."""
    assert delivery.delivery_id("l-1", "decide", LEAD, "lead", 1) == notice().id
    assert (
        delivery.new(
            launch="l-1", topic="decide", actor=LEAD, channels=(), at=AT + DAY, gate="lead", round=1
        ).id
        == notice("mail", "webhook").id
    )


def test_a_notice_has_the_same_id_in_every_version():
    """What is cued again after an update must be found, not sent a second time."""
    asking = delivery.delivery_id("l-1", "decide", LEAD, "lead", 1, 7)
    telling = delivery.delivery_id("o-1", "delegated", LEAD, event=1)
    assert asking == "d-eurzvzlrirpoezglr2toqyshlcsibnuk"
    assert telling == "d-cnvvsju6nmxlx6wplat6y3htgzql2hmb"


def test_a_new_notice_is_all_that_it_was_made_of():
    """Whoever sends it reads there of whom and of what it is, and nothing is asked for but by a question."""
    this = delivery.new(
        launch="l-1",
        topic="offered",
        actor=LEAD,
        channels=("mail", "webhook"),
        at=AT,
        gate="lead",
        round=2,
        event=7,
        delegation="o-1",
    )
    assert this == Delivery(
        id=delivery.delivery_id("o-1", "offered", LEAD, "lead", 2, 7),
        version=1,
        at=AT,
        updated_at=AT,
        launch="l-1",
        delegation="o-1",
        topic="offered",
        actor=LEAD,
        gate="lead",
        round=2,
        event=7,
        open=False,
        channels={"mail": Sending(), "webhook": Sending()},
        due_at=AT + CLAIM,
    )


LATER = AT + HOUR
CLAIMED = delivery.claimed(notice(), "mail", AT)
STEPS: dict[str, tuple[Callable[[Delivery], Delivery], Sending, datetime | None]] = {
    "claimed": (
        lambda this: delivery.claimed(this, "mail", LATER),
        Sending(state="claimed", tries=2, not_before=LATER + CLAIM),
        LATER + CLAIM,
    ),
    "sent": (
        lambda this: delivery.sent(this, "mail", LATER),
        Sending(state="sent", tries=1),
        None,
    ),
    "not sent": (
        lambda this: delivery.not_sent(this, "mail", error="busy", later=timedelta(), at=LATER),
        Sending(state="waiting", tries=1, not_before=LATER + MINUTE, error="busy"),
        LATER + MINUTE,
    ),
    "given up": (
        lambda this: delivery.not_sent(this, "mail", error="busy", later=None, at=LATER),
        Sending(state="failed", tries=1, error="busy"),
        None,
    ),
    "closed": (
        lambda this: delivery.closed(this, LATER),
        Sending(state="failed", tries=1, error="decided before it was sent"),
        None,
    ),
    "cued": (
        lambda this: delivery.tick(this, at=LATER),
        Sending(state="claimed", tries=1, not_before=AT + CLAIM),
        LATER + CLAIM,
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_what_becomes_of_a_notice_that_was_claimed(step: str):
    """Whoever looks it up reads how far it is, since when, and when it goes on."""
    command, sending, due_at = STEPS[step]
    this = command(CLAIMED)
    assert this == CLAIMED.changed(
        channels={"mail": sending},
        due_at=due_at,
        updated_at=LATER,
        version=CLAIMED.version + 1,
        open=step != "closed",
        history=this.history,
        head=this.head,
        seq=len(this.history),
    )
    assert [(one.type, one.at) for one in this.history] == [("delivery.due", LATER)] * (step == "cued")


def test_different_notices_have_different_ids():
    """Another round, gate, topic, event, actor or launch is another notice, however the names are cut."""
    made = [
        delivery.delivery_id("l-1", "decide", LEAD, "lead", 1),
        delivery.delivery_id("l-1", "decide", LEAD, "lead", 2),
        delivery.delivery_id("l-1", "decide", LEAD, "lead", 1, 1),
        delivery.delivery_id("l-1", "decide", LEAD, "lead", 11),
        delivery.delivery_id("l-1", "decide", LEAD, "finance", 1),
        delivery.delivery_id("l-1", "closed", LEAD, "lead", 1),
        delivery.delivery_id("l-1", "decide", LEAD2, "lead", 1),
        delivery.delivery_id("l-2", "decide", LEAD, "lead", 1),
        delivery.delivery_id("l-1", "decide", Actor("http://x", "yz"), "lead", 1),
        delivery.delivery_id("l-1", "decide", Actor("http://xy", "z"), "lead", 1),
        delivery.delivery_id("l-1", "decide", Actor("http://z", LEAD.subject), "lead", 1),
        delivery.delivery_id("l-1", "started", DEV),
    ]
    assert len(set(made)) == len(made)


def test_an_open_question_stands_in_the_inbox():
    """Whoever has mail switched off must still find what waits for them."""
    listed = notice().listed()
    assert listed.feed == f"inbox#{LEAD.key}"
    assert listed.summary == Waiting(launch="l-1", gate="lead", round=1)


@pytest.mark.parametrize(
    "this",
    [
        delivery.closed(notice(), AT),
        notice(topic="closed"),
        delivery.new(launch="l-1", topic="started", actor=DEV, channels=("mail",), at=AT, event=7),
    ],
    ids=["closed", "told", "started"],
)
def test_nothing_else_stands_in_the_inbox(this: Delivery):
    """An inbox holds what may be decided, and nothing that is only to be known."""
    assert this.listed() == Listed()


def test_what_nobody_sends_rings():
    """A notice whose sender never came must not be lost; one that has no channel waits for nobody."""
    assert notice().due_at == AT + CLAIM
    assert delivery.new(launch="l-1", topic="decide", actor=LEAD, channels=(), at=AT).due_at is None


def test_a_claim_keeps_others_off_until_it_is_over():
    """Two senders must not send the same mail, and one that crashed must not keep it from the next."""
    this = delivery.claimed(notice(), "mail", AT)
    assert not delivery.sendable(this, "mail", AT + CLAIM - SECOND)
    assert delivery.sendable(this, "mail", AT + CLAIM)
    assert this.due_at == AT + CLAIM


def test_what_is_sent_is_never_sent_again():
    """Once it is out it is out, on that channel and on no other."""
    this = delivery.sent(delivery.claimed(notice("mail", "webhook"), "mail", AT), "mail", AT)
    assert not delivery.sendable(this, "mail", AT + 9 * DAY)
    assert delivery.sendable(this, "webhook", AT)


def test_a_channel_that_it_does_not_have_is_not_sendable():
    """Somebody without a webhook is told by mail only."""
    assert not delivery.sendable(notice("mail"), "webhook", AT)


def test_when_all_is_sent_nothing_rings():
    """A notice that is out needs no alarm."""
    this = delivery.sent(delivery.claimed(notice("mail", "webhook"), "mail", AT), "mail", AT)
    assert this.due_at is not None
    this = delivery.sent(delivery.claimed(this, "webhook", AT), "webhook", AT)
    assert this.due_at is None


def test_one_channel_does_not_hurry_the_other():
    """That mail was claimed is no reason to ring for a webhook whose sender was cued a second ago."""
    this = delivery.claimed(notice("mail", "webhook"), "mail", AT + SECOND)
    assert this.due_at == AT + CLAIM


def test_patience_grows_until_it_ends():
    """A mail server that is down for minutes is tried soon, one that is down for a day is given up."""
    this, at, waits = notice(), AT, []
    for _ in range(20):
        this = fail(this, at)
        if this.due_at is not None:
            waits.append(this.due_at - at)
            assert not delivery.sendable(this, "mail", this.due_at - SECOND)
            at = this.due_at
            assert delivery.sendable(this, "mail", at)
        if state(this) == "failed":
            break
    assert waits == list(RETRIES)
    assert this.channels["mail"].tries == len(RETRIES) + 1
    assert this.due_at is None
    assert not delivery.sendable(this, "mail", AT + 365 * DAY)


def test_a_notice_outlives_a_day_long_outage():
    """A channel that is dead for 24 hours, whenever that begins, must lose nothing that nobody sends again by hand."""
    assert sum(RETRIES, timedelta()) - max(RETRIES) > DAY + HOUR
    assert max(RETRIES) <= 3 * HOUR  # and what waits goes out soon after


def test_what_goes_well_is_in_no_list_of_trouble():
    """A list that each notice passes through would cost a copy of each."""
    this = notice(topic="started")
    for step in (
        delivery.claimed(this, "mail", AT),
        delivery.sent(delivery.claimed(this, "mail", AT), "mail", AT),
    ):
        assert (step.trouble, step.listed()) == (None, Listed())


def test_trouble_is_listed_and_leaves_the_list_when_it_is_over():
    """Whoever looks after notices must see what waits and what was given up, and nothing else."""
    waits = fail(notice(topic="started"), AT)
    assert waits.listed() == Listed(
        state="delivery.waiting", summary=Troubled(id=waits.id, launch="l-1", gate="lead", round=1)
    )
    failed = fail(notice(topic="started"), AT, later=None)
    assert failed.listed().state == "delivery.failed"
    assert delivery.claimed(waits, "mail", AT + HOUR).trouble == "waiting"
    assert delivery.sent(delivery.claimed(waits, "mail", AT + HOUR), "mail", AT).listed() == Listed()
    both = delivery.not_sent(
        delivery.claimed(fail(notice("mail", "webhook", topic="started"), AT), "webhook", AT),
        "webhook",
        error="no",
        later=None,
        at=AT,
    )
    assert both.trouble == "failed"


def test_a_question_in_trouble_stands_in_the_inbox_as_before():
    """Whose mail is dead finds there what waits, so the list of trouble may not take its place."""
    this = fail(notice(), AT)
    assert this.listed().feed == f"inbox#{LEAD.key}"
    read = msgspec.json.decode(msgspec.json.encode(this.listed().summary), type=Waiting)
    assert read == Waiting(launch="l-1", gate="lead", round=1)


def test_a_question_that_is_answered_is_in_no_trouble():
    """Nobody need look after a mail that asks for what is decided."""
    for this in (fail(notice(), AT), fail(notice(), AT, later=None)):
        assert delivery.closed(this, AT).trouble is None


def test_what_was_given_up_is_tried_again_from_the_beginning():
    """After a long outage somebody says: now; and it gets as many tries as at first."""
    failed = fail(notice(), AT, later=None)
    this = delivery.redelivered(failed, AT + DAY)
    assert told(this) == ["delivery.due"]
    assert (this.updated_at, this.history[0].at) == (AT + DAY, AT + DAY)
    assert_well_told(this)
    assert delivery.sendable(this, "mail", AT + DAY)
    assert (this.due_at, this.version, this.trouble) == (AT + DAY + CLAIM, failed.version + 1, "waiting")
    assert this.channels["mail"].tries == 0
    assert delivery.redelivered(this, AT + DAY) is this


def test_only_what_waits_or_failed_is_tried_again():
    """What is sent would be sent twice; what is being sent, is; what is moot, nobody asks for."""
    sent = delivery.sent(delivery.claimed(notice(), "mail", AT), "mail", AT)
    claimed = delivery.claimed(fail(notice(), AT), "mail", AT + HOUR)
    moot = delivery.closed(notice(), AT)
    for this in (notice(), sent, claimed, moot):
        assert delivery.redelivered(this, AT + DAY) is this
    waits = fail(notice("mail", "webhook", topic="started"), AT)
    mixed = delivery.sent(delivery.claimed(waits, "webhook", AT), "webhook", AT)
    again = delivery.redelivered(mixed, AT + MINUTE / 2)
    assert (state(again), state(again, "webhook")) == ("waiting", "sent")
    assert delivery.sendable(again, "mail", AT + MINUTE / 2)


def test_waits_only_grow():
    """A table of waits that shrinks would be a mistake of its writer."""
    assert list(RETRIES) == sorted(RETRIES)
    assert RETRIES[0] <= 5 * MINUTE


@pytest.mark.parametrize(("later", "wait"), [(0, 60), (59, 60), (61, 61), (7200, 7200)])
def test_who_says_when_is_not_asked_sooner(later: int, wait: int):
    """A receiver that asks for time (RFC 9110, Retry-After) gets it, and never less than our patience."""
    this = fail(notice(), AT, later=timedelta(seconds=later))
    assert this.channels["mail"].not_before == AT + wait * SECOND


def test_a_refusal_is_not_tried_again():
    """An address that does not exist will not exist tomorrow."""
    this = fail(notice(), AT, later=None)
    assert state(this) == "failed"
    assert this.channels["mail"].error == "busy"
    assert this.due_at is None


@pytest.mark.parametrize("later", [timedelta(0), None])
def test_a_long_error_is_cut(later: timedelta | None):
    """What a stranger's server answers must not fill the item."""
    this = delivery.not_sent(
        delivery.claimed(notice(), "mail", AT), "mail", error="x" * 10_000, later=later, at=AT
    )
    assert this.channels["mail"].error == "x" * 500


def test_what_went_out_at_last_has_no_error():
    """Whoever looks a notice up must not read of a failure that is over."""
    this = delivery.sent(delivery.claimed(fail(notice(), AT), "mail", AT + HOUR), "mail", AT + HOUR)
    assert this.channels == {"mail": Sending(state="sent", tries=2)}


def test_a_failed_channel_leaves_the_other_alone():
    """A webhook that is down does not keep the mail from going out."""
    this = fail(notice("mail", "webhook"), AT, later=None)
    assert delivery.sendable(this, "webhook", AT)
    assert this.due_at == AT + CLAIM


def test_what_is_decided_is_not_asked_any_more():
    """A gate that has closed needs no mail, no alarm, and no place in an inbox."""
    this = delivery.closed(fail(notice("mail", "webhook"), AT), AT + HOUR)
    assert (this.open, this.due_at) == (False, None)
    assert not any(delivery.sendable(this, channel, AT + DAY) for channel in this.channels)


def test_closing_keeps_what_was_sent():
    """Who was asked in vain is told so, and that is known by what was sent."""
    this = delivery.closed(delivery.sent(delivery.claimed(notice(), "mail", AT), "mail", AT), AT + HOUR)
    assert state(this) == "sent"


@pytest.mark.parametrize(
    "this",
    [
        delivery.closed(notice(), AT),
        delivery.closed(notice("mail", "webhook"), AT),
        delivery.sent(delivery.claimed(notice(topic="started"), "mail", AT), "mail", AT),
        fail(notice(topic="started"), AT, later=None),
    ],
    ids=["closed", "closed on both", "sent", "given up"],
)
def test_closing_twice_is_the_very_same_notice(this: Delivery):
    """Each subscriber closes it; only the first writes, and only where there is something to close."""
    assert delivery.closed(this, AT + HOUR) is this


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_the_alarm_is_to_the_second(late: int):
    """Before its time a tick does nothing at all; from its time on it cues the senders."""
    this = notice()
    after = delivery.tick(this, at=AT + CLAIM + late * SECOND)
    if late < 0:
        assert after is this
    else:
        assert told(after) == ["delivery.due"]
        assert after.due_at == AT + 2 * CLAIM + late * SECOND
        assert_well_told(after)


def test_a_tick_of_what_is_done_is_nothing():
    """A notice without an alarm is left alone for ever."""
    this = delivery.closed(notice(), AT)
    assert delivery.tick(this, at=AT + 999 * DAY) is this


def test_a_sender_that_always_crashes_is_given_up():
    """A notice that kills its sender after each mail must not send one every five minutes for ever."""
    this, at, tries = notice(), AT, 0
    for _ in range(100):
        if delivery.sendable(this, "mail", at):
            this, tries = delivery.claimed(this, "mail", at), tries + 1
        at = this.due_at or at
        this = delivery.tick(this, at=at)
    assert this.due_at is None
    assert tries == len(RETRIES) + 1
    assert state(this) == "failed"
    assert not delivery.sendable(this, "mail", at + 365 * DAY)


def test_a_crash_on_one_channel_does_not_silence_the_other():
    """The mail is given up; the webhook, whose sender never came, is still cued."""
    this, at = notice("mail", "webhook"), AT
    for _ in range(len(RETRIES) + 1):
        this = delivery.claimed(this, "mail", at)
        at += CLAIM
    this = delivery.tick(this, at=at)
    assert state(this) == "failed"
    assert told(this) == ["delivery.due"]
    assert this.due_at == at + CLAIM


def test_a_crash_is_told_once_all_else_is_sent():
    """Nobody is cued for a notice of which no channel is left, and whoever looks it up reads what became of it."""
    this, at = notice("mail", "webhook", topic="started"), AT
    this = delivery.sent(delivery.claimed(this, "mail", at), "mail", at)
    for _ in range(len(RETRIES) + 1):
        this = delivery.claimed(this, "webhook", at)
        at += CLAIM
    after = delivery.tick(this, at=at)
    assert after == this.changed(
        channels={
            "mail": Sending(state="sent", tries=1),
            "webhook": Sending(
                state="failed",
                tries=len(RETRIES) + 1,
                not_before=None,
                error="nobody reported how the last try ended",
            ),
        },
        due_at=None,
        updated_at=at,
        version=this.version + 1,
    )


def test_each_change_is_one_version():
    """Two senders that change the notice at once must not both believe that they did."""
    this = notice()
    changes = [
        delivery.claimed(this, "mail", AT),
        delivery.sent(this, "mail", AT),
        fail(this, AT),
        delivery.closed(this, AT),
        delivery.tick(this, at=AT + DAY),
    ]
    assert [one.version - this.version for one in changes] == [1, 1, 2, 1, 1]


def test_a_reminder_that_is_not_out_is_given_up_when_there_is_nothing_to_decide() -> None:
    """It stands in no inbox, and would ask for nothing."""
    this = delivery.new(
        launch="l-1", topic="reminded", actor=LEAD, channels=("mail",), at=AT, gate="lead", round=1, event=7
    )
    assert not this.open
    after = delivery.closed(this, AT)
    assert (after.channels["mail"].state, after.due_at, after.version) == ("failed", None, this.version + 1)
    assert delivery.closed(after, AT) is after


def test_a_notice_of_a_delegation_is_of_no_launch() -> None:
    """Its id is of what it is about, so that it is made once."""
    this = delivery.new(
        launch="", delegation="o-1", topic="delegated", actor=LEAD, channels=("mail",), at=AT, event=1
    )
    assert this.id == delivery.delivery_id("o-1", "delegated", LEAD, event=1)
    assert this.id != delivery.delivery_id("", "delegated", LEAD, event=1)
