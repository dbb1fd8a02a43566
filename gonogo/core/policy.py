"""Who may do what: Cedar decides, deny wins, no permit means no, and any error means no."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from typing import Any, Literal

import cedarpy
import msgspec

from gonogo.core import bundle_rules
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import POLICY_GATE, Bundle, GateRule, entities_of
from gonogo.core.bundle_lines import TomlFile
from gonogo.core.errors import BundleRefusedError, Fault, NotPermittedError
from gonogo.core.event import Price
from gonogo.core.gates import Gate
from gonogo.core.plan import Question, lease_length

MOST = Decimal("922337203685477.5807")
"""The largest Cedar decimal (Cedar language reference, "decimal")."""
_ASKED_AFTER_REQUEST = ("launch", "extend")
"""The actions of which the same question was put as `request` just before."""


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
    """Launch now, launch after these gates, or no (with a sentence why).

    A broken glass launches now: its `gates` come after, and the groups that `tells` names are told at once.
    """

    outcome: Literal["direct", "gates", "break_glass", "refused"]
    gates: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    reason: str = ""
    tells: tuple[str, ...] = ()


def accept(files: Mapping[str, str]) -> Bundle:
    """Read and check a bundle whole, its gates' quorums included.

    Raises:
        BundleRefusedError: it breaks rules.
    """
    bundle = bundle_rules.load(files)
    file = TomlFile(bundle_rules.GATES, files[bundle_rules.GATES])
    faults = [
        Fault(file.at(name, rule_name), rule_name, detail)
        for name, rule in bundle.gates.items()
        if rule.kind != "timer"
        for rule_name, detail in _quorum_faults(name, rule, _most_deciders(bundle, name))
    ]
    if faults:
        raise BundleRefusedError(*faults)
    return bundle


def _quorum_faults(name: str, rule: GateRule, most: int) -> Iterator[tuple[str, str]]:
    whom = "systems" if rule.kind == "hook" else "people"
    if most < rule.quorum:
        yield "quorum", f"gate {name!r} asks for {rule.quorum}; policy lets {most} {whom} decide it"
    elif most < rule.reject_quorum:
        yield (
            "reject_quorum",
            f"gate {name!r} asks {rule.reject_quorum} to reject; policy lets {most} {whom} decide it",
        )


def judge(bundle: Bundle, asker: Principal, question: Question, budget: Standing | None = None) -> Judgement:
    """Answer whether the launch may happen: now, after gates, or not.

    A launch on behalf of somebody is judged for both, and the stricter answer holds. `budget` is how it
    would stand to the budget of its cost center, where that has one. An extension that `extend` permits is
    made at once, and is otherwise judged as any launch.
    """
    if question.changes_policy:
        return _judge_policy(bundle, asker, question)
    judge_one = _judge_glass if question.break_glass else _judge_one
    judgements = [judge_one(bundle, asker, question, budget)]
    other = question.on_behalf_of
    if other is not None and other != asker.actor:
        if other not in bundle.people:
            return Judgement(outcome="refused", reason="The policy knows nobody by that issuer and subject.")
        acts_for = ("Person", other.key)
        answer = _ask(bundle, _unclaimed(asker), "act_for", acts_for, {}, also=Principal(other))
        if not answer.allowed:
            return Judgement(outcome="refused", policies=answer.policies, reason=_why_not("act_for", answer))
        judgements.append(judge_one(bundle, Principal(other), question, budget))
    for judgement in judgements:
        if judgement.outcome == "refused":
            return judgement
    gates = tuple(dict.fromkeys(gate for one in judgements for gate in one.gates))
    policies = tuple(dict.fromkeys(label for one in judgements for label in one.policies))
    if question.break_glass:
        tells = tuple(sorted({group for one in judgements for group in one.tells}))
        return Judgement(outcome="break_glass", gates=gates, policies=policies, tells=tells)
    return Judgement(outcome="gates" if gates else "direct", gates=gates, policies=policies)


def may_launch_directly(bundle: Bundle, actor: Principal, question: Question) -> bool:
    """Tell whether the actor could have launched this without a gate: such people may also stop it."""
    if question.changes_policy or question.extends_lease:
        return False
    return _judge_one(bundle, actor, question, None).outcome == "direct"


def may_delegate_for(bundle: Bundle, actor: Principal, whom: Actor) -> bool:
    """Tell whether the actor may say who decides in somebody's place: everybody may for themselves."""
    if actor.actor == whom:
        return True
    also = Principal(whom)
    return whom in bundle.people and (
        _ask(bundle, _unclaimed(actor), "delegate", ("Person", whom.key), {}, also=also).allowed
    )


def owners(bundle: Bundle, question: Question) -> frozenset[Actor]:
    """Return who answers for the services that ask, or are asked for: what those ask for they do not approve."""
    found = (bundle.people.get(one) for one in (question.requester, question.on_behalf_of) if one)
    return frozenset(Actor.parse(one.owner) for one in found if one is not None and one.owner is not None)


def eligible(bundle: Bundle, gate: str, question: Question, *, escalated: bool = False) -> frozenset[Actor]:
    """Return who may decide this gate of this launch; whoever asked is never among them, nor owns who asked.

    A gate that the bundle does not have, or a timer, may be decided by nobody. Systems decide hooks, and
    fill a human seat only where the gate says so. Once a gate is `escalated`, its reserve may decide too.
    """
    rule = bundle.gates.get(gate)
    if rule is None or rule.kind == "timer":
        return frozenset()
    found = _deciders(bundle, gate, question.price)
    if escalated:
        found |= reserve(bundle, gate, question)
    return found - {question.requester, question.on_behalf_of} - owners(bundle, question)


def reserve(bundle: Bundle, gate: str, question: Question) -> frozenset[Actor]:
    """Return the members of the group that a human gate escalates to, but for whom policy forbids to approve."""
    rule = bundle.gates.get(gate)
    if rule is None or rule.kind != "human" or rule.escalate_to is None:
        return frozenset()
    found = (
        actor
        for actor, person in bundle.people.items()
        if rule.escalate_to in person.groups and (rule.services or not person.service)
    )
    context = _costs(question.price)
    answers = {one: _ask(bundle, Principal(one), "approve", ("Gate", gate), context) for one in found}
    may = frozenset(one for one, answer in answers.items() if not answer.forbidden and not answer.errors)
    return may - {question.requester, question.on_behalf_of} - owners(bundle, question)


def may_stand_in(bundle: Bundle, actor: Actor, gate: str, question: Question) -> bool:
    """Tell whether the actor may decide a gate in the place of whoever may: a person whom nothing forbids it."""
    person = bundle.people.get(actor)
    if person is None or person.service or actor in owners(bundle, question):
        return False
    answer = _ask(bundle, Principal(actor), "approve", ("Gate", gate), _costs(question.price))
    return not answer.forbidden and not answer.errors


def members(bundles: Iterable[Bundle], groups: Collection[str]) -> frozenset[Actor]:
    """Return the people of any of these groups in any of these bundles, by people.toml only."""
    return frozenset(
        actor
        for bundle in bundles
        for actor, person in bundle.people.items()
        if not set(person.groups).isdisjoint(groups)
    )


def why_not_approve(bundle: Bundle, actor: Actor, gate: str, question: Question) -> str | None:
    """Return in one sentence why a bundle does not let somebody decide a gate; None if it does."""
    rule, person = bundle.gates.get(gate), bundle.people.get(actor)
    if rule is None:
        return f"The policy has no gate {gate!r}."
    if rule.kind == "timer":
        return f"The gate {gate!r} is decided by the clock."
    if person is None:
        return "people.toml does not have you: a token's groups count to launch and to request only."
    if rule.kind == "hook" and not person.service:
        return f"The gate {gate!r} is decided by systems."
    if person.service and rule.kind == "human" and not rule.services:
        return f"The gate {gate!r} is decided by people."
    answer = _ask(bundle, Principal(actor), "approve", ("Gate", gate), _costs(question.price))
    return None if answer.allowed else _why_not("approve", answer)


def gates_for(
    bundle: Bundle,
    judgement: Judgement,
    question: Question,
    barred: frozenset[Actor] = frozenset(),
) -> tuple[Gate, ...]:
    """Return the gates that the judgement names, in the order in which they open, not yet open.

    `barred` may decide none of them, besides those who ask: whoever has amended the launch.

    Raises:
        NotPermittedError: a gate can never say go, because too few may decide it.
    """
    made = [_gate(bundle, name, question, barred) for name in judgement.gates]
    return tuple(sorted(made, key=lambda gate: (*gate.rank, gate.name)))


def _gate(bundle: Bundle, name: str, question: Question, barred: frozenset[Actor]) -> Gate:
    rule = bundle.gates[name]
    approvers = tuple(sorted(eligible(bundle, name, question) - barred))
    if rule.kind != "timer" and len(approvers) < rule.quorum:
        raise NotPermittedError(
            f"The gate {name!r} needs {rule.quorum} to say go, and besides those who ask only"
            f" {len(approvers)} may: nobody could ever approve this."
        )
    people = rule.escalate_to if rule.kind == "hook" else None
    return Gate(
        name=name,
        title=rule.title,
        kind=rule.kind,
        place=rule.stands,
        stage=rule.stage,
        quorum=rule.quorum,
        reject_quorum=rule.reject_quorum,
        services=rule.services,
        expires_after=rule.expires_after,
        login=rule.login,
        approvers=approvers,
        reserve=tuple(sorted(reserve(bundle, name, question) - barred)),
        remind_every=rule.remind_every,
        escalate_after=rule.escalate_after,
        escalate_to=rule.escalate_to,
        valid_for=rule.valid_for,
        on_expiry=rule.on_expiry or ("reject" if rule.kind == "hook" else "expire"),
        on_reject=rule.on_reject,
        fallback=_gate(bundle, people, question, barred) if people is not None else None,
        wait=rule.wait,
        window=rule.window,
    )


def _unclaimed(asker: Principal) -> Principal:
    """Return somebody without the groups of their token, which count to launch and to request only."""
    return Principal(asker.actor)


def cedar_decimal(amount: Decimal) -> dict[str, Any]:
    """Return the amount for Cedar, rounded away from zero to its four places: no policy errs over a fifth.

    Raises:
        NotPermittedError: it is more than Cedar can hold.
    """
    if abs(amount) > MOST:
        raise NotPermittedError("It costs more than policy can reckon with.")
    rounded = amount.quantize(Decimal("0.0001"), rounding=ROUND_UP)
    return {"__extn": {"fn": "decimal", "arg": str(rounded)}}


def _judge_policy(bundle: Bundle, asker: Principal, question: Question) -> Judgement:
    """Judge a change of policy: whoever may ask for it waits for the gate `policy` of the bundle in force."""
    gate = POLICY_GATE
    if question.on_behalf_of is not None or question.break_glass:
        return Judgement(outcome="refused", reason="A change of policy is asked for by oneself, and waits.")
    if gate not in bundle.gates:
        return Judgement(
            outcome="refused",
            reason=f"The policy in force has no gate {gate!r}, so nobody could approve a change of it.",
        )
    if bundle.gates[gate].kind != "human" or bundle.gates[gate].stands != "approval":
        return Judgement(outcome="refused", reason=f"The gate {gate!r} does not let people approve.")
    answer = _ask(bundle, _unclaimed(asker), "change_policy", ("Gate", gate), {})
    if not answer.allowed:
        return Judgement(
            outcome="refused", policies=answer.policies, reason=_why_not("change_policy", answer)
        )
    return Judgement(outcome="gates", gates=(gate,), policies=_labels(bundle, answer.policies))


def _judge_glass(bundle: Bundle, asker: Principal, question: Question, budget: Standing | None) -> Judgement:
    """Judge a broken glass: what forbids a mere request does not forbid it, what forbids it by name does."""
    resource = ("Template", question.plan.template)
    context = _context(bundle, "break_glass", question, budget)
    answer = _ask(bundle, _unclaimed(asker), "break_glass", resource, context)
    if not answer.allowed:
        return Judgement(outcome="refused", policies=answer.policies, reason=_why_not("break_glass", answer))
    notes = [bundle.policies[name].annotations for name in answer.policies]
    gates = {one.get("gate", "") for one in notes}
    if not gates or gates - set(bundle.gates):
        return Judgement(
            outcome="refused", reason="Policy names no gate to review it, so it is not permitted."
        )
    return Judgement(
        outcome="break_glass",
        gates=tuple(sorted(gates)),
        policies=_labels(bundle, answer.policies),
        tells=tuple(sorted({one["tell"] for one in notes if "tell" in one})),
    )


def _judge_one(bundle: Bundle, asker: Principal, question: Question, budget: Standing | None) -> Judgement:
    resource = ("Template", question.plan.template)
    context = _context(bundle, "request", question, budget)
    request = _ask(bundle, asker, "request", resource, context)
    if request.errors or request.forbidden:
        return Judgement(outcome="refused", policies=request.policies, reason=_why_not("request", request))
    at_once = _at_once(bundle, asker, question, budget)
    if at_once is not None:
        return at_once
    if not request.allowed:
        return Judgement(outcome="refused", reason=_why_not("request", request))
    gates = {bundle.policies[name].annotations.get("gate", "") for name in request.policies}
    if not gates or gates - set(bundle.gates):
        return Judgement(
            outcome="refused", reason="Policy names a gate that it does not have, so nothing is permitted."
        )
    return Judgement(outcome="gates", gates=tuple(sorted(gates)), policies=_labels(bundle, request.policies))


def _at_once(
    bundle: Bundle, asker: Principal, question: Question, budget: Standing | None
) -> Judgement | None:
    """Return that no gate is asked, or that this could not be told, which means no; None where gates are asked."""
    resource = ("Template", question.plan.template)
    extends = question.extends_lease and "extend" in bundle.takes
    for action in ("extend", "launch") if extends else ("launch",):
        answer = _ask(bundle, asker, action, resource, _context(bundle, action, question, budget))
        if answer.errors:
            return Judgement(outcome="refused", policies=answer.policies, reason=_why_not(action, answer))
        if answer.allowed:
            return Judgement(outcome="direct", policies=_labels(bundle, answer.policies))
    return None


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
    """Return who may decide the gate at this price, of the kind that it is for; nothing else matters."""
    context = _costs(price)
    rule = bundle.gates[gate]
    return frozenset(
        actor
        for actor, person in bundle.people.items()
        if (person.service if rule.kind == "hook" else rule.services or not person.service)
        and _ask(bundle, Principal(actor), "approve", ("Gate", gate), context).allowed
    )


def _most_deciders(bundle: Bundle, gate: str) -> int:
    """Return how many may decide the gate at most: tried for something free, dear, and very dear."""
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


def _context(bundle: Bundle, action: str, question: Question, budget: Standing | None) -> dict[str, Any]:
    """Return what Cedar may reckon with: derived by the server, and under `claimed` what the client says.

    The budget is in it if the cost center has one, and the bundle's schema knows of budgets.

    What is begun counts whole: part of an hour is an hour, so that no lease slips under a limit.
    """
    plan = question.plan
    known = budget if f"{action}.budget" in bundle.takes else None
    return {
        **({"budget": _budget(known)} if known is not None else {}),
        **_costs(question.price),
        "engine": plan.engine,
        "region": plan.region,
        "units": [unit.kind for unit in plan.units],
        "quantity": sum(unit.quantity for unit in plan.units),
        "lease_hours": -(-lease_length(question.lease) // timedelta(hours=1)),
        "claimed": {
            "cost_center": question.cost_center,
            "reason": question.reason,
            "name": question.name or "",
        },
    }


def _budget(standing: Standing) -> dict[str, Any]:
    return {
        "limit": cedar_decimal(standing.limit),
        "estimate": cedar_decimal(standing.estimate),
        "committed": cedar_decimal(standing.committed),
        "remaining": cedar_decimal(standing.remaining),
        "overrun": standing.overruns,
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
    policies = _policies_for(bundle, Principal(asker.actor, asker.groups), action, resource)
    if policies is None and action in _ASKED_AFTER_REQUEST:  # it was put as `request`, and validated there
        return Answer(allowed=False, forbidden=False, policies=(), errors=())
    try:
        result = cedarpy.is_authorized(
            {
                "principal": {"type": "Person", "id": asker.actor.key},
                "action": {"type": "Action", "id": action},
                "resource": {"type": resource[0], "id": resource[1]},
                "context": context,
            },
            policies if policies is not None else "",
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
        policies=tuple(bundle.policies[name].label for name in reasons) if denied or errors else reasons,
        errors=errors,
    )


@lru_cache(maxsize=2048)
def _policies_for(bundle: Bundle, asker: Principal, action: str, resource: tuple[str, str]) -> Any:
    """Return the policies whose scope could take the question, under their own names; None if there are none.

    Cedar looks at a policy's conditions only where its scope holds (Cedar language reference, "policy
    evaluation"), so that those left out could neither decide nor err: the answer is the same, and sooner.
    """
    groups = _groups(bundle, asker)
    kept = {
        name: document
        for name, document in _documents(bundle).items()
        if _may_be(document["action"], "Action", action)
        and _may_be(document["resource"], *resource)
        and _may_be(document["principal"], "Person", asker.actor.key)
        and not _is_in_another(document["principal"], groups)
    }
    if not kept:
        return None
    whole = {"staticPolicies": kept, "templates": {}, "templateLinks": []}
    return cedarpy.PolicySet.from_json_str(json.dumps(whole))


def _groups(bundle: Bundle, asker: Principal) -> frozenset[str]:
    """Return the groups of somebody that the bundle has: by people.toml, and by their token."""
    person = bundle.people.get(asker.actor)
    return frozenset({*(person.groups if person else ()), *asker.groups} & set(bundle.groups))


def _is_in_another(scope: dict[str, Any], groups: frozenset[str]) -> bool:
    """Tell whether a policy is for the members of a group that is none of these; groups are in no groups."""
    return scope["op"] == "in" and scope["entity"]["type"] == "Group" and scope["entity"]["id"] not in groups


@lru_cache(maxsize=16)
def _documents(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(bundle.files[bundle_rules.POLICIES]))
    return found["staticPolicies"]  # type: ignore[no-any-return]


def _may_be(scope: dict[str, Any], kind: str, uid: str) -> bool:
    """Tell whether a part of a policy's scope could be this entity: not if it is `==` another."""
    return scope["op"] != "==" or (scope["entity"]["type"], scope["entity"]["id"]) == (kind, uid)


def _entities(bundle: Bundle, *principals: Principal) -> Any:
    """Return the entities that a question speaks of: everybody's are ready, a token's groups are added."""
    if all(one.actor in bundle.people and not one.groups for one in principals):
        return bundle.everybody
    found: list[dict[str, Any]] = []
    for one in principals:
        person = bundle.people.get(one.actor)
        found += entities_of(
            one.actor, sorted(_groups(bundle, one)), service=person.service if person else False
        )
    return found
