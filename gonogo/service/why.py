"""Why a launch waits: which policies matched, who can decide each gate, who did, what is missing, why not you."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gonogo.core import policy
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.gates import Decision, Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.policy import Principal
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import budgets, decide, saving
from gonogo.service.identity import SignedIn


class Deciders(msgspec.Struct, frozen=True, kw_only=True):
    """Who could still say something of a gate: in their own right, and in whose place; and what is missing.

    `missing` is how many more must say go; 0 where it is decided, or time decides. `until` is when the clock
    does something to it next.
    """

    gate: Gate
    can: tuple[Actor, ...]
    instead: dict[str, tuple[Actor, ...]]
    decided: tuple[Decision, ...]
    missing: int
    waits_for: str
    until: datetime | None


class YouAndGate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the reader can decide a gate now; if not, why not."""

    gate: str
    can: bool
    why_not: str | None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; `policies` are the names of those that decided when the launch was judged."""

    launch: Launch
    outcome: str
    policies: tuple[str, ...]
    gates: tuple[Deciders, ...]
    you: tuple[YouAndGate, ...]
    budget: Standing | None


def why(outside: Outside, reader: SignedIn, launch_id: str) -> Why:
    """Answer for one launch, as things stand now.

    Raises:
        NotFoundError: there is no such launch.
        PolicyMissingError: the bundle that judged it is missing: then nobody gets through, and that is why.
    """
    launch = saving.load(outside.items, launch_id)
    pinned, current = outside.policies.pinned(launch.bundle), reader.policy
    budget = budgets.standing(outside, current, launch.question) if _is_open(launch) else None
    asker = Principal(launch.question.requester, launch.groups)
    judgement = policy.judge(pinned, asker, launch.question, budget)
    return Why(
        launch=launch,
        outcome=judgement.outcome,
        policies=judgement.policies,
        gates=tuple(_deciders(outside, launch, gate, current) for gate in launch.gates),
        you=tuple(_you(outside, launch, gate, reader, pinned) for gate in launch.gates),
        budget=budget,
    )


def _is_open(launch: Launch) -> bool:
    return launch.state in (State.PENDING_APPROVAL, State.PENDING)


def _deciders(outside: Outside, launch: Launch, gate: Gate, current: Bundle) -> Deciders:
    undecided = gate.state in (GateState.OPEN, GateState.WAITING)
    can: frozenset[Actor] = frozenset()
    instead: dict[str, tuple[Actor, ...]] = {}
    if undecided and gate.kind != "timer":
        may = decide.eligible(outside, launch, gate.name, current)
        can = frozenset(one for one in may if gate.decision_of(one) is None)
        for one in decide.delegations(outside, launch, can):
            stands_in = one.to not in launch.barred and gate.decision_of(one.to) is None
            if stands_in and decide.may_stand_in(outside, launch, gate, one.to, current):
                instead[one.to.key] = (*instead.get(one.to.key, ()), one.actor)
    missing = max(gate.quorum - gate.approvals, 0) if undecided and gate.kind != "timer" else 0
    return Deciders(
        gate=gate,
        can=tuple(sorted(can)),
        instead=instead,
        decided=gate.counting,
        missing=missing,
        waits_for=waits_for(
            launch, gate, missing, len(can | {one for who in instead.values() for one in who})
        ),
        until=min(gate.clocks(), default=None),
    )


def waits_for(launch: Launch, gate: Gate, missing: int, able: int) -> str:
    """Return in one sentence what the gate waits for."""
    if gate.state is GateState.WAITING:
        ahead = [one.title for one in launch.gates if one.rank < gate.rank and one.state is not GateState.GO]
        if gate.is_after and not ahead:
            return "Opens when it runs."
        return f"Opens when these are GO: {', '.join(ahead)}." if ahead else "Opens when its turn comes."
    if gate.state is not GateState.OPEN:
        return gate.passed.capitalize() + "." if gate.passed else "Nothing: it is decided."
    if gate.kind == "timer":
        return "The clock."
    if able < missing:
        return f"{missing} more to say go, but policy lets only {able} do so now: it cannot say go as things stand."
    whom = "system" if gate.kind == "hook" else "person"
    return f"{missing} more {whom}{'s' if missing > 1 else ''} to say go, of {able} who can."


def _you(outside: Outside, launch: Launch, gate: Gate, reader: SignedIn, pinned: Bundle) -> YouAndGate:
    reason = _why_not(outside, launch, gate, reader, pinned)
    return YouAndGate(gate=gate.name, can=reason is None, why_not=reason)


def _why_not(outside: Outside, launch: Launch, gate: Gate, reader: SignedIn, pinned: Bundle) -> str | None:
    """Return why the reader cannot decide this gate now; None if they can."""
    you = reader.actor
    if gate.kind == "timer":
        return "The clock decides it."
    if you in launch.barred:
        return _barred(launch, you)
    if not decide.rights(outside, launch, gate.name, you, reader.policy).has(you):
        then = policy.why_not_approve(pinned, you, gate.rule, launch.question)
        now = policy.why_not_approve(reader.policy, you, gate.rule, launch.question)
        return then or now or "The gate is of another kind in the policy in force."
    before = gate.decision_of(you)
    if before is not None:
        whose = "You have" if before.actor == you else "Somebody in your place has"
        return f"{whose} decided it already: {before.verdict}."
    if gate.state is not GateState.OPEN:
        return f"It is not open: it is {gate.state}."
    return None


def _barred(launch: Launch, you: Actor) -> str:
    if you == launch.question.requester:
        return "You asked for this launch."
    if you == launch.question.on_behalf_of:
        return "This launch is asked for you."
    if you in launch.amended_by:
        return "You changed this launch."
    if launch.question.extends_lease:
        return "You have a part in what is to run for longer, or answer for the service that asks."
    return "You answer for the service that asks for this launch."
