"""The log of what people and systems were told, or could not be: where each notice is, and having it tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gonogo.core import delivery as deliveries
from gonogo.core import event as events
from gonogo.core import policy
from gonogo.core.actor import Actor
from gonogo.core.delivery import ASKING, Delivery, Topic, Trouble, Troubled, delivery_id
from gonogo.core.errors import ConflictError, NotFoundError, NotPermittedError
from gonogo.core.event import Event
from gonogo.core.launch import Launch
from gonogo.ports import Outside, Page
from gonogo.service import asking, notify, read, saving
from gonogo.service.change import may_run
from gonogo.service.identity import SignedIn


class Told(msgspec.Struct, frozen=True):
    """One notice; `shows_errors` is whether the reader may know what went wrong with it, and have it tried again."""

    delivery: Delivery
    shows_errors: bool


def in_trouble(
    outside: Outside, reader: SignedIn, trouble: Trouble, *, cursor: str | None, limit: int
) -> Page:
    """Return a page of the notices that were given up, or wait for another try: the latest made first.

    Each is as it is now: one that is in this trouble no longer is left out.
    """
    state = deliveries.trouble_state(trouble)
    page = outside.items.in_state(Troubled, state, cursor=cursor, limit=limit)
    found = outside.items.get_many(Delivery, [one.id for one in page.items])
    still = [found[one.id] for one in page.items if one.id in found and found[one.id].trouble == trouble]
    launches = saving.load_many(outside.items, Launch, {one.launch for one in still if one.launch})
    told = (Told(one, _may_act(reader, one, launches.get(one.launch))) for one in still)
    return Page(tuple(told), page.cursor)


def of_launch(outside: Outside, reader: SignedIn, launch_id: str) -> list[Told]:
    """Return every notice that was made of a launch, oldest first.

    What there can be follows from its history, so no index is needed that each notice would pay for.

    Raises:
        NotFoundError: there is no launch by that id.
    """
    launch = saving.load(outside.items, launch_id)
    history, _ = read.history(outside, launch_id)
    ids = _ids(outside, reader, launch.changed(history=tuple(history)))
    found = saving.load_many(outside.items, Delivery, ids).values()
    return [
        Told(one, _may_act(reader, one, launch)) for one in sorted(found, key=lambda one: (one.at, one.id))
    ]


def redeliver(outside: Outside, asker: SignedIn, id_: str) -> Delivery:
    """Have a notice tried again that was given up, or waits for its next try; return it.

    Nothing is sent here: the change is told as delivery.due, and goes the way of every other notice.

    Raises:
        NotFoundError: there is no notice by that id.
        NotPermittedError: the asker is neither whom it is for, nor asked for the launch, nor may launch it directly.
        ConflictError: it was sent, is being sent, or asks for what is decided by now; nothing is changed.
    """
    delivery = outside.items.get(Delivery, id_) if len(id_) <= saving.LONGEST_ID else None
    if delivery is None:
        raise NotFoundError("There is no notice by that id.")
    launch = outside.items.get(Launch, delivery.launch) if delivery.launch else None
    if not _may_act(asker, delivery, launch):
        raise NotPermittedError(
            "Only whom a notice is for, who asked for its launch, or who may launch it directly may have it"
            " sent again."
        )
    if delivery.topic in ASKING and (launch is None or not _still_asked(outside, launch, delivery, asker)):
        raise ConflictError("It asks for what is decided by now, or is asked of others.")

    def command(this: Delivery) -> Delivery:
        if this.trouble is None:
            raise ConflictError("It was sent, or is on its way: there is nothing to send again.")
        return deliveries.redelivered(this, outside.now())

    return saving.change(outside.items, delivery, command)


def _still_asked(outside: Outside, launch: Launch, delivery: Delivery, asker: SignedIn) -> bool:
    return notify.still_asked(
        launch, delivery, lambda gate: asking.undecided(outside, launch, gate, asker.policy)
    )


def _may_act(reader: SignedIn, delivery: Delivery, launch: Launch | None) -> bool:
    if reader.actor == delivery.actor:
        return True
    return launch is not None and may_run(reader, launch)


def _ids(outside: Outside, reader: SignedIn, launch: Launch) -> Iterator[str]:
    """Yield the id of every notice that its history can have made; most of them nobody needed."""
    everybody = asking.ever_asked(outside, launch)
    for (gate, round_), actors in everybody.items():
        for actor in actors:
            yield delivery_id(launch.id, "decide", actor, gate, round_)
    telling = _Readers(outside, reader, launch, everybody)
    for happened in launch.history:
        for topic, whom in _TOLD.get(happened.type, ()):
            of_gate = str(happened.data["gate"]) if topic in ("reminded", "closed") else None
            of_round = int(happened.data["round"]) if topic == "reminded" else 0
            for actor in whom(telling, happened):
                yield delivery_id(launch.id, topic, actor, of_gate, of_round, happened.seq)


class _Readers(msgspec.Struct, frozen=True):
    """Whom an event of a launch may have been told to."""

    outside: Outside
    reader: SignedIn
    launch: Launch
    asked: dict[tuple[str, int], set[Actor]]

    def askers(self, happened: Event) -> set[Actor]:
        """Return who asked for it, and who did this."""
        by = happened.data.get("actor")
        return {*self.launch.askers, *([msgspec.convert(by, Actor)] if by else ())}

    def of_gate(self, happened: Event) -> set[Actor]:
        """Return who was asked of the gate in this round."""
        return self.asked.get((str(happened.data["gate"]), int(happened.data["round"])), set())

    def approvers(self, _happened: Event) -> set[Actor]:
        """Return who was ever asked of any gate."""
        return set().union(*self.asked.values())

    def deciders(self, happened: Event) -> set[Actor]:
        """Return who decided and in whose place, or whom that may have been told to when it was taken back."""
        if happened.data["verdict"] == "revoke":
            return self.approvers(happened)
        said = (happened.data.get(name) for name in ("actor", "instead_of"))
        return {msgspec.convert(one, Actor) for one in said if one}

    def members(self, happened: Event) -> set[Actor]:
        """Return who is told of a broken glass."""
        bundles = (self.reader.policy, self.outside.policies.pinned(self.launch.bundle))
        return {*policy.members(bundles, happened.data["groups"])}


_Whom = Callable[[_Readers, Event], set[Actor]]
_TOLD: dict[str, tuple[tuple[Topic, _Whom], ...]] = {
    **{kind: ((topic, _Readers.askers),) for kind, topic in notify.ABOUT_THE_LAUNCH.items()},
    events.ApproverReminded.type: (("reminded", _Readers.of_gate),),
    events.GateClosed.type: (("closed", _Readers.of_gate), ("warned", _Readers.askers)),
    events.GateDecided.type: (("confirmed", _Readers.deciders),),
    events.LaunchAmended.type: (("amended", _Readers.approvers),),
    events.LaunchOffered.type: (("offered", _Readers.askers),),
    events.GlassBroken.type: (("glass_broken", _Readers.members),),
    events.LeaseExpiring.type: (("expiring", _Readers.askers),),
    events.LeaseExtended.type: (("extended", _Readers.askers),),
}
"""What each event of a launch may have been told as, and to whom."""
