"""Tell people: a notice is made once, claimed before it is sent, and tried until it is out or given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from gonogo.core import delivery as deliveries
from gonogo.core import event as events
from gonogo.core import token
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle, Person
from gonogo.core.delivery import Channel, Delivery, Topic
from gonogo.core.errors import ItemExistsError, LaterError, RefusedError
from gonogo.core.event import Event
from gonogo.core.gates import Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.core.token import Keyring
from gonogo.ports import Outside
from gonogo.service import decide, saving


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What one person is told; `link` decides if there is a `code` in it, and otherwise only points.

    `people` are those whom policy knows, so that actors can be called by their names.
    """

    id: str
    topic: Topic
    person: Person
    launch: Launch
    gate: Gate | None
    happened: Event | None
    at: datetime
    link: str
    code: str | None
    people: Mapping[Actor, Person] = {}


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """What a message names: an event's type, the item that it is of, and its place in the item's history."""

    type: str
    subject: str
    seq: int


Send = Callable[[Notice], None]
"""Sends one notice over one channel; raises RefusedError or LaterError."""

_ABOUT_THE_LAUNCH: dict[str, Topic] = {
    events.LaunchCleared.type: "cleared",
    events.LaunchRejected.type: "rejected",
    events.LaunchExpired.type: "expired",
    events.LaunchStarted.type: "started",
    events.LaunchFailed.type: "failed",
    events.LaunchChangeFailed.type: "change_failed",
}


def tell(outside: Outside, cue: Cue, channel: Channel, send: Send) -> None:
    """Send over one channel what the cue is about. The cue is trusted for nothing but the id and the place.

    Raises:
        LaterError: something that must be read first could not be; the cue must come again. That a notice
            could not be sent is no error here: it is on record, and its alarm tries it again.
    """
    if cue.type == events.DeliveryDue.type:
        delivery = outside.items.get(Delivery, cue.subject)
        launch = outside.items.get(Launch, delivery.launch) if delivery else None
        if delivery is not None and launch is not None:
            _send(outside, _Telling(launch, outside.policies.current(), channel, send), delivery)
        return
    launch = outside.items.get(Launch, cue.subject)
    if launch is None:
        return
    happened = next((one for one in launch.history if one.seq == cue.seq), None)
    if happened is None or happened.type != cue.type:
        return
    _tell_of(outside, _Telling(launch, outside.policies.current(), channel, send), happened)


def _tell_of(outside: Outside, telling: _Telling, happened: Event) -> None:
    launch = telling.launch
    if happened.type == events.GateOpened.type:
        _ask(outside, telling)
    elif happened.type == events.GateClosed.type:
        _tell_others(outside, telling, happened)
    elif happened.type == events.GateDecided.type:
        if happened.data["channel"] != "api":
            decider = msgspec.convert(happened.data["actor"], Actor)
            _tell(outside, telling, "confirmed", decider, happened)
    elif happened.type in _ABOUT_THE_LAUNCH and (launch.gates or happened.type != events.LaunchCleared.type):
        for actor in sorted(launch.askers):
            _tell(outside, telling, _ABOUT_THE_LAUNCH[happened.type], actor, happened)


def channels_of(person: Person) -> tuple[Channel, ...]:
    """Return the channels that reach a person."""
    found: list[Channel] = []
    if person.mail is not None:
        found.append("mail")
    if person.webhook is not None:
        found.append("webhook")
    return tuple(found)


class _Telling(msgspec.Struct, frozen=True):
    """What one message is about, the policy in force then, and the way out: read once a message."""

    launch: Launch
    policy: Bundle
    channel: Channel
    send: Send

    def person(self, outside: Outside, actor: Actor) -> Person | None:
        """Return how to reach somebody: by the bundle in force, else by the one that judged the launch."""
        known = self.policy.people.get(actor)
        return known or outside.policies.pinned(self.launch.bundle).people.get(actor)


def _ask(outside: Outside, telling: _Telling) -> None:
    """Ask each who may decide a gate that is open, and has not."""
    for gate in telling.launch.gates:
        if gate.state is not GateState.OPEN:
            continue
        for actor in sorted(decide.eligible(outside, telling.launch, gate.name, telling.policy)):
            if gate.decision_of(actor) is None:
                _tell(outside, telling, "decide", actor, None, gate)


def _tell_others(outside: Outside, telling: _Telling, closed: Event) -> None:
    """Take a closed gate out of every inbox, and tell those who were, or may have been, asked in vain."""
    launch = telling.launch
    name, round_ = str(closed.data["gate"]), int(closed.data["round"])
    gate = launch.gate(name)
    for actor in gate.approvers:
        asked = outside.items.get(Delivery, deliveries.delivery_id(launch.id, "decide", actor, name, round_))
        if asked is None:
            continue
        asked = saving.change(outside.items, asked, lambda this: deliveries.closed(this, outside.now()))
        maybe_told = any(one.tries for one in asked.channels.values())
        if maybe_told and not any(one.actor == actor and one.round == round_ for one in gate.decisions):
            _tell(outside, telling, "closed", actor, closed, gate)


def _tell(
    outside: Outside,
    telling: _Telling,
    topic: Topic,
    actor: Actor,
    happened: Event | None,
    gate: Gate | None = None,
) -> None:
    channel = telling.channel
    whom = telling.person(outside, actor)
    if whom is None or (channel not in channels_of(whom) and topic != "decide"):
        return
    now = outside.now()
    delivery = deliveries.new(
        launch=telling.launch.id,
        topic=topic,
        actor=actor,
        channels=channels_of(whom),
        at=now,
        gate=gate.name if gate else None,
        round=gate.round if gate and topic == "decide" else 0,
        event=happened.seq if happened else 0,
    )
    mine = deliveries.sendable(delivery, channel, now)
    if mine:
        delivery = deliveries.claimed(delivery, channel, now).changed(version=1)
    try:
        outside.items.add(delivery)
    except ItemExistsError:
        known = outside.items.get(Delivery, delivery.id)
        if known is not None:
            _send(outside, telling, known)
        return
    if mine:
        _send_claimed(outside, telling, delivery)


def _send(outside: Outside, telling: _Telling, delivery: Delivery) -> None:
    """Claim the notice on this channel and send it, unless somebody else does, or did."""
    taken = False

    def command(this: Delivery) -> Delivery:
        nonlocal taken
        now = outside.now()
        if this.topic == "decide" and not _still_asked(telling.launch, this):
            taken = False
            return deliveries.closed(this, now)
        taken = deliveries.sendable(this, telling.channel, now)
        return deliveries.claimed(this, telling.channel, now) if taken else this

    delivery = saving.change(outside.items, delivery, command)
    if taken:
        _send_claimed(outside, telling, delivery)


def _still_asked(launch: Launch, delivery: Delivery) -> bool:
    return any(
        gate.name == delivery.gate
        and gate.round == delivery.round
        and gate.state is GateState.OPEN
        and gate.decision_of(delivery.actor) is None
        for gate in launch.gates
    )


def _send_claimed(outside: Outside, telling: _Telling, delivery: Delivery) -> None:
    channel = telling.channel
    error: str | None = None
    later: timedelta | None = timedelta(0)
    try:
        telling.send(_notice(outside, telling, delivery))
    except RefusedError as refused:
        error, later = str(refused), None
    except LaterError as passing:
        error, later = str(passing), timedelta(seconds=passing.retry_after or 0)
    now = outside.now()

    def command(this: Delivery) -> Delivery:
        if this.channels[channel].state != "claimed":
            return this
        if error is None:
            return deliveries.sent(this, channel, now)
        return deliveries.not_sent(this, channel, error=error, later=later, at=now)

    saving.change(outside.items, delivery, command)


def _notice(outside: Outside, telling: _Telling, delivery: Delivery) -> Notice:
    launch, channel = telling.launch, telling.channel
    whom = telling.person(outside, delivery.actor)
    if whom is None or channel not in channels_of(whom):
        raise RefusedError("Unreachable", "policy knows no way to reach this person any more")
    happened = next((one for one in launch.history if one.seq == delivery.event), None)
    name = delivery.gate or (str(happened.data["gate"]) if happened and "gate" in happened.data else None)
    gate = next((gate for gate in launch.gates if gate.name == name), None)
    code = _code(outside, launch, delivery, gate, whom, channel)
    return Notice(
        id=delivery.id,
        topic=delivery.topic,
        person=whom,
        launch=launch,
        gate=gate,
        happened=happened,
        at=outside.now(),
        link=f"{outside.public_url}decide#{code}" if code else f"{outside.public_url}launches/{launch.id}",
        code=code,
        people=telling.policy.people,
    )


def _code(
    outside: Outside, launch: Launch, delivery: Delivery, gate: Gate | None, whom: Person, channel: Channel
) -> str | None:
    """Return the code to decide with, for whom and over a channel that may carry one.

    Mail carries the people key's, a private webhook the hook key's; everything else gets a pointer. A
    confirmation carries the code by which it can be taken back, while there is something to take back.
    """
    if gate is None or gate.login or gate.expires_at is None:
        return None
    if delivery.topic == "confirmed":
        if launch.state is not State.PENDING_APPROVAL or gate.decision_of(delivery.actor) is None:
            return None
    elif delivery.topic != "decide":
        return None
    keys: Keyring = "people"
    if channel == "webhook":
        if whom.webhook is None or not whom.webhook.private:
            return None
        keys = "hook"
    payload = token.payload(
        token.claim(
            keys=keys,
            launch=launch.id,
            gate=gate.name,
            round=gate.round,
            actor=delivery.actor,
            digest=launch.digest,
            expires_at=gate.expires_at,
            epoch=outside.epoch,
        )
    )
    return token.write(payload, outside.macs.make(keys, payload))
