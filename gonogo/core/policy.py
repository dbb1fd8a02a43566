"""Who may do what: Cedar decides, deny wins, no permit means no, and any error means no."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from typing import Any, Literal

import cedarpy
import msgspec

from gonogo.core import bundle as bundles
from gonogo.core import duration
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle, entities_of
from gonogo.core.errors import BundleRefusedError, Fault, NotPermittedError
from gonogo.core.event import Price
from gonogo.core.gates import Gate
from gonogo.core.plan import Question

MOST = Decimal("922337203685477.5807")
"""The largest Cedar decimal (Cedar language reference, "decimal")."""


class Principal(msgspec.Struct, frozen=True):
    """Somebody who asks, with the groups that their token gave them by the bundle's mapping."""

    actor: Actor
    groups: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What Cedar said of one question: the labels of the policies that decided, and errors, which mean no."""

    allowed: bool
    forbidden: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Launch now, launch after these gates, or no (with a sentence why)."""

    outcome: Literal["direct", "gates", "refused"]
    gates: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    reason: str = ""


def accept(files: Mapping[str, str]) -> Bundle:
    """Read and check a bundle whole, its gates' quorums included.

    Raises:
        BundleRefusedError: it breaks rules.
    """
    bundle = bundles.load(files)
    faults = [
        Fault(
            "gates.toml",
            "quorum",
            f"gate {name!r} asks for {rule.quorum}; policy lets {most} people decide it",
        )
        for name, rule in bundle.gates.items()
        if (most := _most_deciders(bundle, name)) < rule.quorum
    ]
    if faults:
        raise BundleRefusedError(*faults)
    return bundle


def judge(bundle: Bundle, asker: Principal, question: Question) -> Judgement:
    """Answer whether the launch may happen: now, after gates, or not.

    A launch on behalf of somebody is judged for both, and the stricter answer holds.
    """
    judgements = [_judge_one(bundle, asker, question)]
    other = question.on_behalf_of
    if other is not None and other != asker.actor:
        if other not in bundle.people:
            return Judgement(outcome="refused", reason="The policy knows nobody by that issuer and subject.")
        acts_for = ("Person", other.key)
        answer = _ask(bundle, Principal(asker.actor), "act_for", acts_for, {}, also=Principal(other))
        if not answer.allowed:
            return Judgement(outcome="refused", policies=answer.policies, reason=_why_not("act_for", answer))
        judgements.append(_judge_one(bundle, Principal(other), question))
    for judgement in judgements:
        if judgement.outcome == "refused":
            return judgement
    gates = tuple(dict.fromkeys(gate for one in judgements for gate in one.gates))
    policies = tuple(dict.fromkeys(label for one in judgements for label in one.policies))
    return Judgement(outcome="gates" if gates else "direct", gates=gates, policies=policies)


def may_launch_directly(bundle: Bundle, actor: Principal, question: Question) -> bool:
    """Tell whether the actor could have launched this without a gate: such people may also stop it."""
    return _judge_one(bundle, actor, question).outcome == "direct"


def eligible(bundle: Bundle, gate: str, question: Question) -> frozenset[Actor]:
    """Return the people who may decide this gate of this launch; whoever asked is never among them.

    A gate that the bundle does not have may be decided by nobody. Services fill no human seat.
    """
    if gate not in bundle.gates:
        return frozenset()
    return frozenset(
        actor
        for actor in _deciders(bundle, gate, question.price)
        if actor not in (question.requester, question.on_behalf_of)
    )


def gates_for(bundle: Bundle, judgement: Judgement, question: Question) -> tuple[Gate, ...]:
    """Return the gates that the judgement names, by stage and name, not yet open.

    Raises:
        NotPermittedError: a gate can never say go, because too few people may decide it.
    """
    made: list[Gate] = []
    for name in judgement.gates:
        rule = bundle.gates[name]
        approvers = tuple(sorted(eligible(bundle, name, question)))
        if len(approvers) < rule.quorum:
            raise NotPermittedError(
                f"The gate {name!r} needs {rule.quorum} to say go, and besides those who ask only"
                f" {len(approvers)} may: nobody could ever approve this."
            )
        made.append(
            Gate(
                name=name,
                title=rule.title,
                stage=rule.stage,
                quorum=rule.quorum,
                expires_after=rule.expires_after,
                login=rule.login,
                approvers=approvers,
            )
        )
    return tuple(sorted(made, key=lambda gate: (gate.stage, gate.name)))


def cedar_decimal(amount: Decimal) -> dict[str, Any]:
    """Return the amount for Cedar: rounded up to its four places, so that no policy errs over a fifth.

    Raises:
        NotPermittedError: it is more than Cedar can hold.
    """
    if amount > MOST:
        raise NotPermittedError("It costs more than policy can reckon with.")
    rounded = amount.quantize(Decimal("0.0001"), rounding=ROUND_UP)
    return {"__extn": {"fn": "decimal", "arg": str(rounded)}}


def _judge_one(bundle: Bundle, asker: Principal, question: Question) -> Judgement:
    resource = ("Template", question.plan.template)
    context = _context(question)
    request = _ask(bundle, asker, "request", resource, context)
    if request.errors or request.forbidden:
        return Judgement(outcome="refused", policies=request.policies, reason=_why_not("request", request))
    launch = _ask(bundle, asker, "launch", resource, context)
    if launch.errors:
        return Judgement(outcome="refused", policies=launch.policies, reason=_why_not("launch", launch))
    if launch.allowed:
        return Judgement(outcome="direct", policies=_labels(bundle, launch.policies))
    if not request.allowed:
        return Judgement(outcome="refused", reason=_why_not("request", request))
    gates = {bundle.policies[name].annotations.get("gate", "") for name in request.policies}
    if not gates or gates - set(bundle.gates):
        return Judgement(
            outcome="refused", reason="Policy names a gate that it does not have, so nothing is permitted."
        )
    return Judgement(outcome="gates", gates=tuple(sorted(gates)), policies=_labels(bundle, request.policies))


def _labels(bundle: Bundle, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(bundle.policies[name].label for name in names))


def _why_not(action: str, answer: Answer) -> str:
    if answer.errors:
        return f"Policy could not be evaluated for {action!r}, and that means no: {'; '.join(answer.errors)}"
    if answer.forbidden:
        return f"Policy forbids {action!r}: {', '.join(answer.policies)}."
    return f"No policy permits you to {action!r} this."


@lru_cache(maxsize=512)
def _deciders(bundle: Bundle, gate: str, price: Price) -> frozenset[Actor]:
    """Return the people who may decide the gate at this price; what may decide depends on nothing else."""
    context = _costs(price)
    return frozenset(
        actor
        for actor, person in bundle.people.items()
        if not person.service and _ask(bundle, Principal(actor), "approve", ("Gate", gate), context).allowed
    )


def _most_deciders(bundle: Bundle, gate: str) -> int:
    """Return how many people may decide the gate at most: tried for something free, dear, and very dear."""
    return max(
        len(
            _deciders(
                bundle, gate, Price(currency="", version="", hourly=cost, monthly=cost, worst_case=cost)
            )
        )
        for cost in (Decimal(0), Decimal(1000), Decimal(1000000))
    )


def _costs(price: Price) -> dict[str, Any]:
    return {
        "hourly_cost": cedar_decimal(price.hourly),
        "monthly_cost": cedar_decimal(price.monthly),
        "worst_case_cost": cedar_decimal(price.worst_case),
    }


def _context(question: Question) -> dict[str, Any]:
    """Return what Cedar may reckon with: derived by the server, and under `claimed` what the client says.

    What is begun counts whole: part of an hour is an hour, so that no lease slips under a limit.
    """
    plan = question.plan
    return {
        **_costs(question.price),
        "engine": plan.engine,
        "region": plan.region,
        "units": [unit.kind for unit in plan.units],
        "quantity": sum(unit.quantity for unit in plan.units),
        "lease_hours": -(-duration.parse(question.lease) // timedelta(hours=1)),
        "claimed": {
            "cost_center": question.cost_center,
            "reason": question.reason,
            "name": question.name or "",
        },
    }


def _ask(
    bundle: Bundle,
    asker: Principal,
    action: str,
    resource: tuple[str, str],
    context: dict[str, Any],
    also: Principal | None = None,
) -> Answer:
    """Put one question to Cedar; an error, whatever it is of, means no."""
    try:
        result = cedarpy.is_authorized(
            {
                "principal": {"type": "Person", "id": asker.actor.key},
                "action": {"type": "Action", "id": action},
                "resource": {"type": resource[0], "id": resource[1]},
                "context": context,
            },
            bundle.policy_set,
            _entities(bundle, *(one for one in (asker, also) if one is not None)),
            bundle.schema,
        )
    except ValueError as error:
        return Answer(allowed=False, forbidden=False, policies=(), errors=(str(error),))
    reasons, errors = tuple(sorted(result.diagnostics.reasons)), tuple(result.diagnostics.errors)
    denied = result.decision is cedarpy.Decision.Deny
    return Answer(
        allowed=result.allowed and not errors,
        forbidden=denied and bool(reasons),
        policies=tuple(bundle.policies[name].label for name in reasons) if denied else reasons,
        errors=errors,
    )


def _entities(bundle: Bundle, *principals: Principal) -> Any:
    """Return the entities that a question speaks of: everybody's are ready, a token's groups are added."""
    if all(one.actor in bundle.people and not one.groups for one in principals):
        return bundle.everybody
    found: list[dict[str, Any]] = []
    for one in principals:
        person = bundle.people.get(one.actor)
        groups = {*(person.groups if person else ()), *one.groups} & set(bundle.groups)
        found += entities_of(one.actor, sorted(groups), service=person.service if person else False)
    return found
