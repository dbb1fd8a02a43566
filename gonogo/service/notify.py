"""Tell people and systems: a notice is made once, claimed before it is sent, and tried until it is out or given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec

from gonogo.core import delivery as deliveries
from gonogo.core import event as events
from gonogo.core import policy, token
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle, Person
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import ASKING, Channel, Delivery, Topic, Waiting
from gonogo.core.errors import ItemExistsError, LaterError, RefusedError
from gonogo.core.event import Event
from gonogo.core.gates import REVOKED, Gate
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.core.token import Keyring
from gonogo.ports import Outside
from gonogo.service import asking, saving

PAGE = 100
"""How many gates of an inbox are read in one call (DynamoDB API reference, BatchGetItem)."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What one person or system is told; `link` decides if there is a `code` in it, and otherwise only points.

    It is of a `launch`, or of a `delegation`. `people` are those whom policy knows, so that actors can be
    called by their names. `instead_of` are those in whose place alone the person may decide.
    """

    id: str
    topic: Topic
    person: Person
    launch: Launch | None = None
    delegation: Delegation | None = None
    gate: Gate | None = None
    happened: Event | None = None
    at: datetime
    link: str
    code: str | None = None
    people: Mapping[Actor, Person] = {}
    instead_of: tuple[Actor, ...] = ()


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """What a message names: an event's type, the item that it is of, and its place in the item's history."""

    type: str
    subject: str
    seq: int


NO_END = datetime.max.replace(tzinfo=UTC)
Send = Callable[[Notice], None]
"""Sends one notice over one channel; raises RefusedError or LaterError."""

ABOUT_THE_LAUNCH: dict[str, Topic] = {
    events.LaunchCleared.type: "cleared",
    events.LaunchRejected.type: "rejected",
    events.LaunchExpired.type: "expired",
    events.LaunchStarted.type: "started",
    events.LaunchFailed.type: "failed",
    events.LaunchChangeFailed.type: "change_failed",
}
"""What is told to whoever asked, and as what."""


def tell(outside: Outside, cue: Cue, channel: Channel, send: Send, until: datetime = NO_END) -> None:
    """Send over one channel what the cue is about. The cue is trusted for nothing but the id and the place.

    After `until` nothing more is sent: a notice that is made then is sent when its alarm rings. So whoever has
    little time loses none, however long each before it took.

    Raises:
        LaterError: something that must be read first could not be; the cue must come again. That a notice
            could not be sent is no error here: it is on record, and its alarm tries it again.
    """
    if cue.type == events.DeliveryDue.type:
        delivery = outside.items.get(Delivery, cue.subject)
        about = _about(outside, delivery) if delivery else None
        if delivery is not None and about is not None:
            _send(outside, _Telling(about, cache(outside.policies.current), channel, send, until), delivery)
        return
    item: Launch | Delegation | None
    if cue.type == events.ApproverDelegated.type:
        item = outside.items.get(Delegation, cue.subject)
    else:
        item = outside.items.get(Launch, cue.subject)
    if item is None:
        return
    happened = next((one for one in item.history if one.seq == cue.seq), None)
    if happened is None or happened.type != cue.type:
        return
    telling = _Telling(item, cache(outside.policies.current), channel, send, until)
    if isinstance(item, Delegation):
        _tell_of_delegation(outside, telling, item, happened)
    else:
        _tell_of(outside, telling, happened)


def _about(outside: Outside, delivery: Delivery) -> Launch | Delegation | None:
    if delivery.delegation is not None:
        return outside.items.get(Delegation, delivery.delegation)
    return outside.items.get(Launch, delivery.launch)


def _tell_of(outside: Outside, telling: _Telling, happened: Event) -> None:
    """Tell whom one event of a launch concerns."""
    if happened.type in ABOUT_THE_LAUNCH:
        if happened.type == events.LaunchStarted.type and telling.launch.question.extends_lease:
            return  # lease.extended tells it
        held_up = any(not gate.is_after for gate in telling.launch.gates)
        if held_up or happened.type != events.LaunchCleared.type:
            _tell_askers(outside, telling, ABOUT_THE_LAUNCH[happened.type], happened)
    elif happened.type in _TELLERS:
        _TELLERS[happened.type](outside, telling, happened)


def _is_offered(launch: Launch, happened: Event) -> bool:
    """Tell whether what was offered then can still be accepted."""
    return any(one.digest == happened.data["offer"] for one in launch.offers)


def _is_expiring(launch: Launch, happened: Event) -> bool:
    """Tell whether the lease ends still when it was told to."""
    ends = msgspec.convert(happened.data["ends_at"], datetime)
    return launch.lease_ends_at == ends and launch.state in (State.RUNNING, State.STOPPED)


def channels_of(person: Person) -> tuple[Channel, ...]:
    """Return the channels that reach a person."""
    found: list[Channel] = []
    if person.mail is not None:
        found.append("mail")
    if person.webhook is not None:
        found.append("webhook")
    return tuple(found)


def asking_channels(person: Person) -> tuple[Channel, ...]:
    """Return the channels that see to it that a question stands in a person's inbox: mail, if none reaches them."""
    return channels_of(person) or ("mail",)


class _Telling(msgspec.Struct, frozen=True):
    """What one message is about, the policy in force then, and the way out: each read once a message, if at all."""

    about: Launch | Delegation
    in_force: Callable[[], Bundle]
    channel: Channel
    send: Send
    until: datetime
    known: dict[str, asking.Places] = msgspec.field(default_factory=dict)

    @property
    def launch(self) -> Launch:
        """The launch that it is about; TypeError if it is about none."""
        if not isinstance(self.about, Launch):
            raise TypeError("a delegation is no launch")
        return self.about

    @property
    def policy(self) -> Bundle:
        """The policy in force."""
        return self.in_force()

    def keeps_inboxes(self, outside: Outside) -> bool:
        """Tell whether this channel may have anybody to ask: of whom there is no webhook, mail sees to the inbox."""
        bundles = (self.policy, outside.policies.pinned(self.launch.bundle))
        return any(
            self.channel in asking_channels(one) for bundle in bundles for one in bundle.people.values()
        )

    def person(self, outside: Outside, actor: Actor) -> Person | None:
        """Return how to reach somebody: by the bundle in force, else by the one that judged the launch."""
        known = self.policy.people.get(actor)
        if known is not None or isinstance(self.about, Delegation):
            return known
        return outside.policies.pinned(self.launch.bundle).people.get(actor)

    def undecided(self, outside: Outside, gate: Gate) -> asking.Places:
        """Return who may decide the gate now and has not; for those who only stand in, in whose place."""
        if gate.name not in self.known:
            self.known[gate.name] = asking.undecided(outside, self.launch, gate, self.policy)
        return self.known[gate.name]

    def members(self, outside: Outside, groups: list[str]) -> frozenset[Actor]:
        """Return everybody who is in one of the groups, by the bundle in force or by the launch's own."""
        bundles = (self.policy, outside.policies.pinned(self.launch.bundle))
        return policy.members(bundles, groups)


def _ask(outside: Outside, telling: _Telling, *, only: Actor | None = None) -> None:
    """Ask each who may decide a gate that is open, and has not."""
    if not telling.keeps_inboxes(outside):
        return
    for gate in telling.launch.gates:
        for actor in telling.undecided(outside, gate):
            if only in (None, actor):
                _tell(outside, telling, "decide", actor, None, gate)


def _remind(outside: Outside, telling: _Telling, happened: Event) -> None:
    """Remind each who may still decide the gate in this round; who was not asked before is asked."""
    launch = telling.launch
    gate = asking.gate_of(launch, happened.data["gate"])
    if gate is None or gate.round != happened.data["round"] or not telling.keeps_inboxes(outside):
        return
    for actor in telling.undecided(outside, gate):
        id_ = deliveries.delivery_id(launch.id, "decide", actor, gate.name, gate.round)
        before = outside.items.get(Delivery, id_)
        if before is not None and before.at < happened.at:
            _tell(outside, telling, "reminded", actor, happened, gate)
        else:
            _tell(outside, telling, "decide", actor, None, gate)


def _tell_others(outside: Outside, telling: _Telling, closed: Event) -> None:
    """Take a closed gate out of every inbox, and tell those who were, or may have been, asked in vain.

    Whoever is asked anew is told by that, and of an amendment everybody is told in one mail. Whoever asked
    for what runs already is told that a gate after the launch says no.
    """
    launch = telling.launch
    name, round_ = str(closed.data["gate"]), int(closed.data["round"])
    gate = asking.gate_of(launch, name)
    amended = any(one.type == events.LaunchAmended.type and one.seq > closed.seq for one in launch.history)
    for asked in _asked(outside, telling, name, round_):
        saving.change(outside.items, asked, lambda this: deliveries.closed(this, outside.now()))
        if gate is None or amended or not asking.maybe_sent(asked):
            continue
        said = any(asked.actor in (one.actor, one.seat) and one.round == round_ for one in gate.decisions)
        if not said and asked.actor not in telling.undecided(outside, gate):
            _tell(outside, telling, "closed", asked.actor, closed, gate)
    if gate is not None and gate.is_after and closed.data["outcome"] == "no_go":
        _tell_askers(outside, telling, "warned", closed)


def _asked(outside: Outside, telling: _Telling, gate: str, round_: int) -> list[Delivery]:
    """Return the notices that asked for a decision; none where this channel has asked nobody."""
    if telling.channel != "mail" and not telling.keeps_inboxes(outside):
        return []
    return asking.asked(outside, telling.launch, gate, round_)


def _confirm(outside: Outside, telling: _Telling, happened: Event) -> None:
    """Confirm a decision to whoever decided other than signed in, and to both if in somebody's place."""
    gate, data = asking.gate_of(telling.launch, happened.data["gate"]), happened.data
    if gate is None or gate.kind == "hook":
        return
    actor = msgspec.convert(data["actor"], Actor)
    whom = {actor} if data["channel"] != "api" else set()
    if data.get("instead_of"):
        whom |= {actor, msgspec.convert(data["instead_of"], Actor)}
    if data["verdict"] == "revoke":
        for one in gate.decisions:
            if one.void == REVOKED and one.instead_of is not None and actor in (one.actor, one.seat):
                whom |= {one.actor, one.seat}
    for each in sorted(whom):
        _tell(outside, telling, "confirmed", each, happened)


def _tell_affected(outside: Outside, telling: _Telling, amended: Event) -> None:
    """Tell everybody whose answer or link counts no longer, in one mail each."""
    for actor in sorted(asking.affected(outside, telling.launch, amended)):
        _tell(outside, telling, "amended", actor, amended)


def _tell_of_offer(outside: Outside, telling: _Telling, offered: Event) -> None:
    if _is_offered(telling.launch, offered):
        _tell_askers(outside, telling, "offered", offered)


def _tell_of_end(outside: Outside, telling: _Telling, expiring: Event) -> None:
    if _is_expiring(telling.launch, expiring):
        _tell_askers(outside, telling, "expiring", expiring)


def _tell_of_extension(outside: Outside, telling: _Telling, extended: Event) -> None:
    """Tell whoever asked for the launch, and whoever had its lease extended."""
    by = msgspec.convert(extended.data["actor"], Actor)
    for actor in sorted({*telling.launch.askers, by}):
        _tell(outside, telling, "extended", actor, extended)


def _tell_members(outside: Outside, telling: _Telling, broken: Event) -> None:
    for actor in sorted(telling.members(outside, broken.data["groups"])):
        _tell(outside, telling, "glass_broken", actor, broken)


def _tell_askers(outside: Outside, telling: _Telling, topic: Topic, happened: Event) -> None:
    for actor in sorted(telling.launch.askers):
        _tell(outside, telling, topic, actor, happened)


_TELLERS: dict[str, Callable[[Outside, _Telling, Event], None]] = {
    events.GateOpened.type: lambda outside, telling, _happened: _ask(outside, telling),
    events.GateEscalated.type: lambda outside, telling, _happened: _ask(outside, telling),
    events.ApproverReminded.type: _remind,
    events.GateClosed.type: _tell_others,
    events.GateDecided.type: _confirm,
    events.LaunchAmended.type: _tell_affected,
    events.LaunchOffered.type: _tell_of_offer,
    events.GlassBroken.type: _tell_members,
    events.LeaseExpiring.type: _tell_of_end,
    events.LeaseExtended.type: _tell_of_extension,
}
"""What each other event of a launch makes somebody be told."""


def _tell_of_delegation(outside: Outside, telling: _Telling, delegation: Delegation, happened: Event) -> None:
    """Tell whoever stands in, and for whom if somebody else said so; and ask of every gate that waits for them."""
    said = msgspec.convert(happened.data, events.ApproverDelegated)
    _tell(outside, telling, "delegated", said.to, happened)
    if said.by != said.actor:
        _tell(outside, telling, "delegated", said.actor, happened)
    if delegation.to != said.to or not delegation.holds(outside.now()):
        return
    cursor: str | None = None
    while True:
        page = outside.items.feed(Waiting, f"inbox#{said.actor.key}", cursor=cursor, limit=PAGE)
        launches = outside.items.get_many(Launch, sorted({one.launch for one in page.items}))
        for launch in launches.values():
            about = _Telling(launch, telling.in_force, telling.channel, telling.send, telling.until)
            _ask(outside, about, only=said.to)
        cursor = page.cursor
        if cursor is None:
            return


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
    if whom is None or channel not in (asking_channels(whom) if topic == "decide" else channels_of(whom)):
        return
    now = outside.now()
    about = telling.about
    delivery = deliveries.new(
        launch="" if isinstance(about, Delegation) else about.id,
        delegation=about.id if isinstance(about, Delegation) else None,
        topic=topic,
        actor=actor,
        channels=channels_of(whom),
        at=now,
        gate=gate.name if gate else None,
        round=gate.round if gate and topic in ASKING else 0,
        event=happened.seq if happened else 0,
    )
    mine = now < telling.until and deliveries.sendable(delivery, channel, now)
    if mine:
        delivery = deliveries.claimed(delivery, channel, now).changed(version=1)
    try:
        delivery = outside.items.add(delivery)
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
    still = delivery.topic not in ASKING or still_asked(
        telling.launch, delivery, lambda gate: telling.undecided(outside, gate)
    )

    def command(this: Delivery) -> Delivery:
        nonlocal taken
        now = outside.now()
        if not still:
            taken = False
            return deliveries.closed(this, now)
        taken = now < telling.until and deliveries.sendable(this, telling.channel, now)
        return deliveries.claimed(this, telling.channel, now) if taken else this

    delivery = saving.change(outside.items, delivery, command)
    if taken:
        _send_claimed(outside, telling, delivery)


def still_asked(launch: Launch, delivery: Delivery, undecided: Callable[[Gate], asking.Places]) -> bool:
    """Tell whether its reader can still decide what a notice asks for; `undecided` is who can decide a gate."""
    gate = asking.gate_of(launch, delivery.gate)
    return gate is not None and gate.round == delivery.round and delivery.actor in undecided(gate)


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
    about, channel = telling.about, telling.channel
    whom = telling.person(outside, delivery.actor)
    if whom is None or channel not in channels_of(whom):
        raise RefusedError("Unreachable", "policy knows no way to reach this person any more")
    happened = next((one for one in about.history if one.seq == delivery.event), None)
    if delivery.event and happened is None:
        raise RefusedError("TooLate", "what it tells of has left the history")
    if isinstance(about, Delegation):
        return Notice(
            id=delivery.id,
            topic=delivery.topic,
            person=whom,
            delegation=about,
            happened=happened,
            at=outside.now(),
            link=outside.public_url,
            people=telling.policy.people,
        )
    launch, name = about, delivery.gate or (happened.data.get("gate") if happened else None)
    gate = asking.gate_of(launch, name)
    gone = happened is not None and delivery.topic == "offered" and not _is_offered(launch, happened)
    if gone or (name is not None and gate is None):
        raise RefusedError("Amended", "the launch was amended since")
    if happened is not None and delivery.topic == "expiring" and not _is_expiring(launch, happened):
        raise RefusedError("Extended", "the lease was extended since, or the launch has ended")
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
        instead_of=(
            telling.undecided(outside, gate).get(delivery.actor, ())
            if gate is not None and delivery.topic in ASKING
            else ()
        ),
    )


def _code(
    outside: Outside, launch: Launch, delivery: Delivery, gate: Gate | None, whom: Person, channel: Channel
) -> str | None:
    """Return the code to decide with, for whom and over a channel that may carry one.

    A hook is decided with the hook key's, by whichever webhook, and never by mail. Of a human gate, mail
    carries the people key's, a private webhook the hook key's; everything else gets a pointer. A
    confirmation carries the code by which it can be taken back, while there is something to take back.
    """
    if gate is None or gate.login or gate.expires_at is None:
        return None
    if delivery.topic == "confirmed":
        if not asking.can_be_taken_back(launch, gate, delivery.actor):
            return None
    elif delivery.topic not in ASKING:
        return None
    keys: Keyring = "people"
    if channel == "webhook":
        if whom.webhook is None or (gate.kind != "hook" and not whom.webhook.private):
            return None
        keys = "hook"
    elif gate.kind == "hook":
        return None
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
