"""One notice to one person: over which channels, whether it was sent, and when to try again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gonogo.core import canonical, event
from gonogo.core.actor import Actor
from gonogo.core.item import Item, Listed

Channel = Literal["mail", "webhook"]
Topic = Literal[
    "decide",
    "reminded",
    "closed",
    "amended",
    "offered",
    "confirmed",
    "cleared",
    "rejected",
    "expired",
    "started",
    "warned",
    "failed",
    "change_failed",
    "glass_broken",
    "delegated",
    "expiring",
    "extended",
]
ASKING: tuple[Topic, ...] = ("decide", "reminded")
"""What asks for a decision, and is not sent where there is none to make any more."""

CLAIM = timedelta(minutes=5)
"""How long a claim keeps others from sending the same notice: longer than any sender may run."""
RETRIES = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, *([180] * 10)))
"""How long to wait after each failed try; after the last, the notice is given up.

Together they are 31 hours and 21 minutes, so that a channel that is dead for a day loses nothing, and what waits
goes out within three hours of its coming back.
"""
MOOT = "decided before it was sent"
"""Why a notice was not sent that nobody need be sent any more."""

Trouble = Literal["waiting", "failed"]
"""A notice waits for another try after one that failed, or was given up."""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """How far the notice is on one channel."""

    state: Literal["waiting", "claimed", "sent", "failed"] = "waiting"
    tries: int = 0
    not_before: datetime | None = None
    error: str | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What an inbox shows before the launch itself is read."""

    launch: str
    gate: str
    round: int


class Troubled(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of notices in trouble finds one by; an inbox reads as much of it as it needs."""

    id: str
    launch: str
    gate: str | None
    round: int


class Delivery(Item, frozen=True, kw_only=True):
    """What to tell `actor` of `launch`, or of a `delegation`: then `launch` is empty.

    `decide` asks for a decision on `gate` in `round`, and stays in the actor's inbox while it is `open`.
    `event` is the `seq` of the event that is told of (0 where the topic is a gate).
    """

    kind = "delivery"

    launch: str
    delegation: str | None = None
    topic: Topic
    actor: Actor
    gate: str | None = None
    round: int = 0
    event: int = 0
    open: bool = False
    channels: dict[Channel, Sending] = {}  # noqa: RUF012 - msgspec gives each value its own

    @property
    def trouble(self) -> Trouble | None:
        """Whether a channel of it was given up, or else waits for another try; None if all went well so far.

        A question that nobody need answer any more is in no trouble.
        """
        if self.topic == "decide" and not self.open:
            return None
        if any(one.state == "failed" and one.error != MOOT for one in self.channels.values()):
            return "failed"
        if any(one.error not in (None, MOOT) for one in self.channels.values()):
            return "waiting"
        return None

    def listed(self) -> Listed:
        """Stand in the actor's inbox while it is open, and among the notices in trouble while it is one."""
        feed = f"inbox#{self.actor.key}" if self.open and self.gate is not None else None
        if self.trouble is not None:
            return Listed(
                feed=feed,
                state=trouble_state(self.trouble),
                summary=Troubled(id=self.id, launch=self.launch, gate=self.gate, round=self.round),
            )
        if feed is None or self.gate is None:
            return Listed()
        return Listed(feed=feed, summary=Waiting(launch=self.launch, gate=self.gate, round=self.round))


def trouble_state(trouble: Trouble) -> str:
    """Return the state under which notices in this trouble are listed; no launch has one such."""
    return f"delivery.{trouble}"


def delivery_id(
    about: str,
    topic: Topic,
    actor: Actor,
    gate: str | None = None,
    round: int = 0,  # noqa: A002 - the field's name
    event: int = 0,
) -> str:
    """Return the one id that this notice can have, so that it is made once however often it is cued.

    `about` is the id of the launch, or of the delegation.
    """
    return canonical.name("d", about, topic, actor.issuer, actor.subject, gate or "", str(round), str(event))


def new(
    *,
    launch: str,
    topic: Topic,
    actor: Actor,
    channels: tuple[Channel, ...],
    at: datetime,
    gate: str | None = None,
    round: int = 0,  # noqa: A002 - the field's name
    event: int = 0,
    delegation: str | None = None,
) -> Delivery:
    """Return a notice that nobody has sent yet; its alarm rings if nobody does."""
    return Delivery(
        id=delivery_id(delegation or launch, topic, actor, gate, round, event),
        at=at,
        updated_at=at,
        launch=launch,
        delegation=delegation,
        topic=topic,
        actor=actor,
        gate=gate,
        round=round,
        event=event,
        open=topic == "decide",
        channels={channel: Sending() for channel in channels},
        due_at=at + CLAIM if channels else None,
    )


def sendable(delivery: Delivery, channel: Channel, at: datetime) -> bool:
    """Tell whether this channel waits to be sent now."""
    sending = delivery.channels.get(channel)
    if sending is None or sending.state in ("sent", "failed") or _is_lost(sending, at):
        return False
    return sending.not_before is None or at >= sending.not_before


def claimed(delivery: Delivery, channel: Channel, at: datetime) -> Delivery:
    """Take the channel for sending; if nobody reports back, it may be taken again after `CLAIM`."""
    sending = delivery.channels[channel]
    return _with(
        delivery,
        channel,
        msgspec.structs.replace(sending, state="claimed", tries=sending.tries + 1, not_before=at + CLAIM),
        at,
    )


def sent(delivery: Delivery, channel: Channel, at: datetime) -> Delivery:
    """Record that it went out."""
    sending = delivery.channels[channel]
    return _with(
        delivery, channel, msgspec.structs.replace(sending, state="sent", not_before=None, error=None), at
    )


def not_sent(
    delivery: Delivery, channel: Channel, *, error: str, later: timedelta | None, at: datetime
) -> Delivery:
    """Record that it did not go out: try again with back-off, not sooner than `later`; `None` gives up."""
    sending = delivery.channels[channel]
    if later is None or sending.tries > len(RETRIES):
        given_up = msgspec.structs.replace(sending, state="failed", not_before=None, error=error[:500])
        return _with(delivery, channel, given_up, at)
    wait = max(RETRIES[sending.tries - 1], later)
    waiting = msgspec.structs.replace(sending, state="waiting", not_before=at + wait, error=error[:500])
    return _with(delivery, channel, waiting, at)


def closed(delivery: Delivery, at: datetime) -> Delivery:
    """Take it out of the inbox, and send nothing that is not sent: there is nothing to decide any more."""
    if not delivery.open and all(one.state in ("sent", "failed") for one in delivery.channels.values()):
        return delivery
    channels: dict[Channel, Sending] = {
        channel: msgspec.structs.replace(sending, state="failed", not_before=None, error=MOOT)
        if sending.state in ("waiting", "claimed")
        else sending
        for channel, sending in delivery.channels.items()
    }
    return delivery.changed(open=False, channels=channels, due_at=None, updated_at=at).next_version()


def redelivered(delivery: Delivery, at: datetime) -> Delivery:
    """Have what was given up, or waits for its next try, tried again at once, with as many tries as at first.

    What is sent stays sent, and what is being sent is left alone: the same notice if nothing else is left.
    """
    again = {
        channel: Sending(error=one.error)
        for channel, one in delivery.channels.items()
        if one.state in ("waiting", "failed") and one.error not in (None, MOOT) and one.tries
    }
    if not again:
        return delivery
    cued = delivery.happened(at, event.DeliveryDue(launch=delivery.launch))
    return cued.changed(channels={**delivery.channels, **again}, due_at=at + CLAIM).next_version()


def tick(delivery: Delivery, *, at: datetime) -> Delivery:
    """Cue the senders again; the alarm rings again if that is lost too.

    A channel whose every try was claimed and never reported back is given up: each may have sent it.
    """
    if delivery.due_at is None or at < delivery.due_at:
        return delivery
    channels = {
        channel: _given_up(one) if _is_lost(one, at) else one for channel, one in delivery.channels.items()
    }
    if all(one.state in ("sent", "failed") for one in channels.values()):
        return delivery.changed(channels=channels, due_at=None, updated_at=at).next_version()
    cued = delivery.happened(at, event.DeliveryDue(launch=delivery.launch))
    return cued.changed(channels=channels, due_at=at + CLAIM).next_version()


def _is_lost(sending: Sending, at: datetime) -> bool:
    over = sending.not_before is None or at >= sending.not_before
    return sending.state == "claimed" and sending.tries > len(RETRIES) and over


def _given_up(sending: Sending) -> Sending:
    return msgspec.structs.replace(
        sending, state="failed", not_before=None, error="nobody reported how the last try ended"
    )


def _with(delivery: Delivery, channel: Channel, sending: Sending, at: datetime) -> Delivery:
    channels = {**delivery.channels, channel: sending}
    first = delivery.at + CLAIM
    due = min(
        (one.not_before or first for one in channels.values() if one.state in ("waiting", "claimed")),
        default=None,
    )
    return delivery.changed(channels=channels, due_at=due, updated_at=at).next_version()
