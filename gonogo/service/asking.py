"""Who is to be asked of a gate now, who was asked, and what can still be taken back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gonogo.core import delivery as deliveries
from gonogo.core import event as events
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.course import STARTED
from gonogo.core.delegation import Delegation, delegation_id
from gonogo.core.delivery import Delivery
from gonogo.core.event import Event
from gonogo.core.gates import Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import decide, saving

Places = dict[Actor, tuple[Actor, ...]]
"""Whoever may decide; for those who only stand in for others, in whose place."""


def gate_of(launch: Launch, name: str | None) -> Gate | None:
    """Return the gate of this name; None if the launch has none such, any more."""
    return next((gate for gate in launch.gates if gate.name == name), None)


def undecided(outside: Outside, launch: Launch, gate: Gate, current: Bundle) -> Places:
    """Return who may decide a gate now, and has not; nobody where it takes no decisions.

    Nobody stands in for a system.
    """
    if gate.state is not GateState.OPEN or gate.kind == "timer":
        return {}
    may = decide.eligible(outside, launch, gate.name, current)
    found: Places = {one: () for one in sorted(may) if gate.decision_of(one) is None}
    if gate.kind == "hook":
        return found
    for one in decide.delegations(outside, launch, frozenset(found)):
        if one.to in may or one.to in launch.barred or gate.decision_of(one.to) is not None:
            continue
        if decide.may_stand_in(outside, launch, gate, one.to, current):
            found[one.to] = (*found.get(one.to, ()), one.actor)
    return found


def asked(outside: Outside, launch: Launch, gate: str, round_: int) -> list[Delivery]:
    """Return the notices that asked for a decision on a gate in one round, open or not.

    The gate itself may be gone: its events name who could be asked.
    """
    now = gate_of(launch, gate)
    whom = set(now.approvers) if now else set()
    for opened, of, actors in _opened(launch):
        if (opened, of) == (gate, round_):
            whom |= actors
    whom |= _stand_ins(outside, whom)
    ids = (deliveries.delivery_id(launch.id, "decide", one, gate, round_) for one in whom)
    return sorted(saving.load_many(outside.items, Delivery, ids).values(), key=lambda one: one.actor)


def ever_asked(outside: Outside, launch: Launch) -> dict[tuple[str, int], set[Actor]]:
    """Return who could be asked of each gate in each round that the launch's history has.

    Whoever stands in for one of them may have been asked of any.
    """
    found: dict[tuple[str, int], set[Actor]] = {}
    for gate, round_, actors in _opened(launch):
        found.setdefault((gate, round_), set()).update(actors)
    stand_ins = _stand_ins(outside, set().union(*found.values()))
    return {key: actors | stand_ins for key, actors in found.items()}


def _opened(launch: Launch) -> Iterator[tuple[str, int, set[Actor]]]:
    for one in launch.history:
        if one.type in _NAMES_APPROVERS:
            actors = msgspec.convert(one.data["approvers"], tuple[Actor, ...])
            yield str(one.data["gate"]), int(one.data["round"]), set(actors)


_NAMES_APPROVERS = (events.GateOpened.type, events.GateEscalated.type)


def _stand_ins(outside: Outside, whom: set[Actor]) -> set[Actor]:
    """Return everybody who ever stood in for these, as far as it is on record."""
    found: set[Actor] = set()
    for one in saving.load_many(outside.items, Delegation, (delegation_id(who) for who in whom)).values():
        found.add(one.to)
        found |= {msgspec.convert(past.data["to"], Actor) for past in one.history if "to" in past.data}
    return found


def affected(outside: Outside, launch: Launch, amended: Event) -> set[Actor]:
    """Return whose answer or link an amendment made void: of this one, and none before.

    Whoever's offer was accepted is not among them: their GO counts.
    """
    before = [one for one in launch.history if one.seq < amended.seq]
    last = max((one.seq for one in before if one.type == amended.type), default=0)
    found: set[Actor] = set()
    for one in before:
        if one.seq < last:
            continue
        if one.type == events.GateDecided.type and one.data["verdict"] != "revoke":
            found |= {msgspec.convert(one.data[key], Actor) for key in _DECIDERS if one.data.get(key)}
        if one.type == events.GateClosed.type and one.data["outcome"] == "amended":
            told = asked(outside, launch, one.data["gate"], one.data["round"])
            found |= {each.actor for each in told if maybe_sent(each)}
    kept = {
        decision.actor for gate in launch.gates for decision in gate.counting if decision.channel == "offer"
    }
    return found - kept - launch.askers


_DECIDERS = ("actor", "instead_of")


def maybe_sent(delivery: Delivery) -> bool:
    """Tell whether it went out on a channel, or may have."""
    return any(one.tries for one in delivery.channels.values())


def can_be_taken_back(launch: Launch, gate: Gate, actor: Actor) -> bool:
    """Tell whether what an actor said, or somebody in their place, counts and may be taken back."""
    if gate.decision_of(actor) is None:
        return False
    if gate.is_after:
        return launch.state in STARTED and gate.state is GateState.OPEN
    return launch.state is State.PENDING_APPROVAL
