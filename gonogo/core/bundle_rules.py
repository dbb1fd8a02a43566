"""What a bundle must hold to: each rule, and the reading of a bundle by which all of them are checked.

Nothing is taken on trust: a bundle that breaks a rule is refused, when it is published and whenever it is read.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import cedarpy
import jsonschema_rs
import msgspec

from gonogo.core import duration
from gonogo.core.actor import Actor
from gonogo.core.budget import BudgetRule
from gonogo.core.bundle import (
    ACTIONS,
    BUDGETS,
    FILES,
    GATED,
    LONGEST_GATE,
    LONGEST_LEASE,
    LONGEST_NAME,
    POLICY_GATE,
    UNCLAIMED,
    Bundle,
    ClaimGroup,
    GateRule,
    Person,
    Policy,
    Template,
    digest_of,
    entities_of,
)
from gonogo.core.errors import BundleRefusedError, Fault
from gonogo.core.gates import Kind, Place
from gonogo.core.plan import PriceTable

_T = TypeVar("_T")


class _People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    people: tuple[Person, ...]
    groups: dict[str, str]
    claims: tuple[ClaimGroup, ...] = ()


def load(files: Mapping[str, str]) -> Bundle:
    """Read a bundle and check what can be seen in its text; `policy.accept` checks the rest.

    Args:
        files: relative path with `/` to text.

    Raises:
        BundleRefusedError: it breaks rules; every fault that could be found names its file.
    """
    try:
        return _load(files)
    except RecursionError:
        raise BundleRefusedError(Fault("", "depth", "is nested too deeply to be looked into")) from None


def _load(files: Mapping[str, str]) -> Bundle:
    faults: list[Fault] = []
    faults += [Fault(name, "required", "is missing") for name in FILES if name not in files]
    if faults:
        raise BundleRefusedError(*faults)
    people = _toml(files, "people.toml", _People, faults)
    gates = _toml(files, "gates.toml", dict[str, GateRule], faults)
    prices = _toml(files, "prices.toml", PriceTable, faults)
    budgets: dict[str, BudgetRule] | None = {}
    if BUDGETS in files:
        budgets = _toml(files, BUDGETS, dict[str, BudgetRule], faults)
    templates = {
        path.removeprefix("templates/").removesuffix(".toml"): _toml(files, path, Template, faults)
        for path in sorted(files)
        if path.startswith("templates/") and path.endswith(".toml")
    }
    if not templates:
        faults.append(Fault("templates/", "required", "there is no template"))
    policies, documents = _policies(files["policies.cedar"], faults)
    schema = _schema(files["schema.cedarschema"], faults)
    if faults or None in (people, gates, prices, budgets, schema):
        raise BundleRefusedError(*faults)
    assert people is not None  # noqa: S101 - and the others: it was just looked at
    assert gates is not None  # noqa: S101
    assert prices is not None  # noqa: S101
    assert budgets is not None  # noqa: S101
    takes = _takes(schema)
    known = {
        "Group": set(people.groups),
        "Gate": set(gates),
        "Person": {person.actor.key for person in people.people},
        "Template": set(templates),
    }
    faults += [*_people_faults(people), *_gate_faults(gates, people), *_price_faults(prices)]
    faults += _budget_faults(budgets, takes)
    faults += _policy_faults(policies, documents, known, gates, people)
    validators: dict[str, Any] = {}
    ready: dict[str, Template] = {}
    for name, template in templates.items():
        if template is not None:
            template = _closed(template)  # noqa: PLW2901 - the closed one is the template
            ready[name] = template
            faults += _template_faults(name, template, prices, validators)
    for error in cedarpy.validate_policies(files["policies.cedar"], files["schema.cedarschema"]).errors:
        faults.append(Fault("policies.cedar", "schema", str(error)))
    if faults:
        raise BundleRefusedError(*faults)
    return Bundle(
        digest=digest_of(files),
        files=dict(files),
        people={person.actor: person for person in people.people},
        groups=people.groups,
        claims=people.claims,
        gates=gates,
        templates=ready,
        prices=prices,
        budgets=budgets,
        takes=takes,
        policies=policies,
        policy_set=cedarpy.PolicySet.from_str(files["policies.cedar"]),
        schema=schema,
        everybody=_everybody(people, schema),
        validators=validators,
    )


def _toml(files: Mapping[str, str], path: str, kind: type[_T], faults: list[Fault]) -> _T | None:
    try:
        return msgspec.convert(tomllib.loads(files[path]), kind)
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(path, "toml", str(error)))
    except msgspec.ValidationError as error:
        faults.append(Fault(path, "shape", str(error)))
    return None


def _policies(text: str, faults: list[Fault]) -> tuple[dict[str, Policy], dict[str, Any]]:
    try:
        found = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        faults.append(Fault("policies.cedar", "cedar", str(error)))
        return {}, {}
    if found["templates"]:
        faults.append(
            Fault("policies.cedar", "slot", "a policy with a ?slot decides nothing: name whom it is for")
        )
    documents: dict[str, Any] = found["staticPolicies"]
    policies: dict[str, Policy] = {}
    for name, document in documents.items():
        action = document["action"]
        only = (
            action["entity"]["id"] if action["op"] == "==" and action["entity"]["type"] == "Action" else None
        )
        annotations = {key: str(value or "") for key, value in document.get("annotations", {}).items()}
        policies[name] = Policy(id=name, effect=document["effect"], action=only, annotations=annotations)
    return policies, documents


def _schema(text: str, faults: list[Fault]) -> Any:
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        faults.append(Fault("schema.cedarschema", "cedar", str(error)))
        return None


def _everybody(people: _People, schema: Any) -> Any:
    """Return everybody of people.toml as Cedar entities, parsed once a bundle."""
    found = {
        json.dumps(entity["uid"]): entity
        for person in people.people
        for entity in entities_of(person.actor, person.groups, service=person.service)
    }
    try:
        return cedarpy.Entities.from_json_str(json.dumps(list(found.values())), schema)
    except ValueError as error:
        raise BundleRefusedError(
            Fault("schema.cedarschema", "entities", f"does not take people as they are: {error}")
        ) from error


def _people_faults(people: _People) -> Iterator[Fault]:
    seen: set[Actor] = set()
    for person in people.people:
        if person.actor in seen:
            yield Fault(
                "people.toml", "unique", f"{person.name!r} has the issuer and subject of somebody else"
            )
        seen.add(person.actor)
        if not person.issuer or not person.subject or "#" in person.issuer:
            yield Fault(
                "people.toml", "actor", f"{person.name!r} needs a subject, and an issuer without a fragment"
            )
        if len(person.issuer) > LONGEST_NAME["issuer"] or len(person.subject) > LONGEST_NAME["subject"]:
            yield Fault(
                "people.toml", "maximum", f"{person.name!r} has a longer issuer or subject than a code holds"
            )
        for group in set(person.groups) - set(people.groups):
            yield Fault(
                "people.toml", "group", f"{person.name!r} is in {group!r}, which is not under [groups]"
            )
        if person.mail is not None and (
            person.mail.count("@") != 1 or any(c in person.mail for c in "\r\n ,;<>")
        ):
            yield Fault(
                "people.toml", "mail", f"{person.name!r} has {person.mail!r}, which is not one mail address"
            )
        owner = {one.actor.key: one for one in people.people}.get(person.owner or "")
        if person.owner is not None and (not person.service or owner is None or owner.service):
            yield Fault(
                "people.toml",
                "owner",
                f"{person.name!r} has the owner {person.owner!r}: a service has one, who is a person of people.toml",
            )
    for claim in people.claims:
        if claim.group not in people.groups:
            yield Fault(
                "people.toml", "group", f"a claim maps to {claim.group!r}, which is not under [groups]"
            )


def _gate_faults(gates: Mapping[str, GateRule], people: _People) -> Iterator[Fault]:
    longest = duration.parse(LONGEST_GATE)
    for name, gate in gates.items():
        for rule, detail in _kind_faults(gate, gates, people):
            yield Fault("gates.toml", rule, f"gate {name!r} {detail}")
        for span in (gate.remind_every, gate.escalate_after, gate.valid_for, gate.wait):
            try:
                if span is not None:
                    duration.parse(span)
            except ValueError as error:
                yield Fault("gates.toml", "duration", f"gate {name!r}: {error}")
        if not 0 < len(name) <= LONGEST_NAME["gate"]:
            yield Fault(
                "gates.toml", "maximum", f"gate {name!r} has a longer name than a code holds, or none"
            )
        if gate.quorum < 1 or gate.stage < 1 or gate.reject_quorum < 1:
            yield Fault("gates.toml", "minimum", f"gate {name!r} needs quorums and a stage of at least 1")
        try:
            if duration.parse(gate.expires_after) > longest:
                yield Fault(
                    "gates.toml", "maximum", f"gate {name!r} may wait {LONGEST_GATE} at most, as its links do"
                )
        except ValueError as error:
            yield Fault("gates.toml", "duration", f"gate {name!r}: {error}")


_ONLY_FOR: dict[str, tuple[Kind, ...]] = {
    "quorum": ("human", "hook"),
    "reject_quorum": ("human", "hook"),
    "services": ("human",),
    "login": ("human",),
    "remind_every": ("human",),
    "escalate_after": ("human",),
    "escalate_to": ("human", "hook"),
    "valid_for": ("human", "hook"),
    "on_expiry": ("hook",),
    "on_reject": ("human", "hook"),
    "wait": ("timer",),
    "window": ("timer",),
}
"""Which fields of a gate mean something for which kinds: elsewhere they would promise what is not kept."""
_PLACES_FOR: dict[Kind, tuple[Place, ...]] = {
    "human": ("approval", "after_launch"),
    "hook": ("before_approval", "before_launch", "after_launch"),
    "timer": ("before_approval", "approval", "before_launch"),
}


def _kind_faults(gate: GateRule, gates: Mapping[str, GateRule], people: _People) -> Iterator[tuple[str, str]]:
    """Yield (rule, words) of what does not go with the kind of gate."""
    for field, kinds in _ONLY_FOR.items():
        default = GateRule.__struct_defaults__[GateRule.__struct_fields__.index(field) - 1]
        if gate.kind not in kinds and getattr(gate, field) != default:
            yield "kind", f"has {field!r}, which a {gate.kind} gate does not have"
    if gate.stands not in _PLACES_FOR[gate.kind]:
        yield "place", f"is a {gate.kind} gate: it stands at {' or '.join(_PLACES_FOR[gate.kind])}"
    if gate.on_reject != "warn" and gate.stands != "after_launch":
        yield "on_reject", "has 'on_reject', which gates after the launch have"
    if gate.valid_for is not None and gate.stands == "after_launch":
        yield "valid_for", "has 'valid_for', which gates before the launch have"
    if gate.kind == "timer":
        if (gate.wait is None) == (gate.window is None):
            yield "timer", "is a timer: it has either 'wait' or 'window'"
        fault = gate.window.fault() if gate.window is not None else None
        if fault is not None:
            yield "window", f"has a window in which {fault}"
    if gate.kind == "hook":
        yield from _hook_faults(gate, gates)
    if gate.kind == "human":
        yield from _escalation_faults(gate, people)


def _hook_faults(gate: GateRule, gates: Mapping[str, GateRule]) -> Iterator[tuple[str, str]]:
    if (gate.on_expiry == "escalate") != (gate.escalate_to is not None):
        yield (
            "escalate_to",
            "names with 'escalate_to' who decides on 'on_expiry = \"escalate\"', and only then",
        )
    elif gate.escalate_to is not None:
        other = gates.get(gate.escalate_to)
        if other is None or other.kind != "human":
            yield "escalate_to", f"escalates to {gate.escalate_to!r}, which is no human gate of gates.toml"


def _escalation_faults(gate: GateRule, people: _People) -> Iterator[tuple[str, str]]:
    if (gate.escalate_after is None) != (gate.escalate_to is None):
        yield "escalate_to", "needs both 'escalate_after' and 'escalate_to', or neither"
        return
    if gate.escalate_to is None:
        return
    if gate.escalate_to not in people.groups:
        yield "group", f"escalates to {gate.escalate_to!r}, which is not under [groups] of people.toml"
    elif not any(gate.escalate_to in one.groups for one in people.people):
        yield "group", f"escalates to {gate.escalate_to!r}, which has no members in people.toml"
    try:
        late = duration.parse(gate.escalate_after or "") >= duration.parse(gate.expires_after)
    except ValueError:
        return
    if late:
        yield "escalate_after", "would escalate only when it has expired"


def _budget_faults(budgets: Mapping[str, BudgetRule], takes: frozenset[str]) -> Iterator[Fault]:
    if budgets and "request.budget" not in takes:
        yield Fault(
            "schema.cedarschema",
            "budget",
            "the context of request takes no budget, so nothing could be judged by budgets.toml: see policy/",
        )
    for name, rule in budgets.items():
        for amount in (rule.monthly, *rule.months.values()):
            if not amount.is_finite() or amount < 0 or amount > _MOST_MONEY:
                yield Fault(BUDGETS, "amount", f"{name!r} has {amount}, which is no amount")
        for month in rule.months:
            if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month, re.ASCII):
                yield Fault(BUDGETS, "month", f"{name!r} has {month!r}, which is not a month such as 2026-11")


_MOST_MONEY = Decimal(1_000_000_000_000)
"""No budget is larger: what is left of it, and what is asked of it, stays within a Cedar decimal."""


def _takes(schema: Any) -> frozenset[str]:
    """Return what the schema takes, by trying: the actions it knows, and whose context may have a budget.

    What a schema does not know is never asked with it, so that bundles that came before stay valid.
    """
    found = {action for action in ACTIONS if _tried(schema, action, {}) is not _Unknown.ACTION}
    budget = {"limit": _ZERO, "estimate": _ZERO, "committed": _ZERO, "remaining": _ZERO, "overrun": False}
    for action in ("launch", "request", "break_glass"):
        if action in found and _tried(schema, action, {"budget": budget}) is not _Unknown.BUDGET:
            found.add(f"{action}.budget")
    return frozenset(found)


_ZERO = {"__extn": {"fn": "decimal", "arg": "0.0"}}


class _Unknown(Enum):
    ACTION = "does not exist in the supplied schema"
    BUDGET = "`budget` should not exist according to the schema"


def _tried(schema: Any, action: str, context: dict[str, Any]) -> _Unknown | None:
    """Put a question to a policy that permits nothing, and return what the schema does not know of it."""
    kind = {"approve": "Gate", "change_policy": "Gate", "act_for": "Person", "delegate": "Person"}
    question = {
        "principal": {"type": "Person", "id": "x#x"},
        "action": {"type": "Action", "id": action},
        "resource": {"type": kind.get(action, "Template"), "id": "x"},
        "context": context,
    }
    try:
        errors = cedarpy.is_authorized(question, "", [], schema).diagnostics.errors
    except ValueError as error:
        errors = [str(error)]
    return next((one for one in _Unknown if any(one.value in error for error in errors)), None)


def _price_faults(prices: PriceTable) -> Iterator[Fault]:
    for engine, regions in prices.hourly.items():
        for region, units in regions.items():
            for kind, price in units.items():
                if not price.is_finite() or price < 0:
                    yield Fault(
                        "prices.toml", "price", f"{engine} {region} {kind!r} costs {price}, which is no price"
                    )


def _policy_faults(
    policies: Mapping[str, Policy],
    documents: Mapping[str, Any],
    known: Mapping[str, set[str]],
    rules: Mapping[str, GateRule],
    people: _People,
) -> Iterator[Fault]:
    where = "policies.cedar"
    gates = known["Gate"]
    peopled = {group for person in people.people for group in person.groups}
    for policy in policies.values():
        for kind, uid in sorted(set(entities(documents[policy.id]))):
            if kind in known and uid not in known[kind]:
                yield Fault(
                    where, kind.lower(), f"{policy.label}: {kind}::{uid!r} is not in {_WHERE_KNOWN[kind]}"
                )
        gate = policy.annotations.get("gate")
        if gate is not None and (policy.effect != "permit" or policy.action not in GATED):
            yield Fault(
                where, "gate", f"{policy.label}: @gate stands on a permit of request or break_glass only"
            )
        tell = policy.annotations.get("tell")
        if tell is not None and (policy.effect != "permit" or policy.action != "break_glass"):
            yield Fault(where, "tell", f"{policy.label}: @tell stands on a permit of break_glass only")
        if policy.effect != "permit":
            continue
        if policy.action not in ACTIONS:
            yield Fault(
                where,
                "action",
                f"{policy.label}: a permit names exactly one action with ==, one of {', '.join(ACTIONS)}",
            )
        if policy.action == "request" and gate not in gates:
            yield Fault(
                where, "gate", f"{policy.label}: a permit of request names a gate of gates.toml with @gate"
            )
        if policy.action == "break_glass":
            rule = rules.get(gate or "")
            if rule is None or rule.kind != "human" or rule.stands != "after_launch":
                yield Fault(
                    where,
                    "gate",
                    f"{policy.label}: a permit of break_glass names with @gate a human gate that stands"
                    " after_launch, to review it",
                )
            if tell not in peopled:
                yield Fault(
                    where,
                    "tell",
                    f"{policy.label}: a permit of break_glass names with @tell a group that has members,"
                    " to be told at once",
                )
        if policy.action in UNCLAIMED and reads_claimed(documents[policy.id]["conditions"]):
            yield Fault(
                where,
                "claimed",
                f"{policy.label}: a permit of {policy.action} may not read context.claimed, nor context.budget"
                " (whose cost center the client says); a forbid may",
            )


_WHERE_KNOWN = {
    "Group": "[groups] of people.toml",
    "Gate": "gates.toml",
    "Person": "people.toml as issuer#subject",
    "Template": "templates/",
}


def entities(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the (type, id) of each entity that a Cedar policy in JSON form names."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str) and isinstance(node.get("id"), str):
            yield node["type"], node["id"]
        for value in node.values():
            yield from entities(value)
    elif isinstance(node, list):
        for value in node:
            yield from entities(value)


_CONTEXT = {"Var": "context"}


def reads_claimed(node: Any) -> bool:
    """Tell whether a Cedar expression in JSON form could read what the client claims.

    `context` may be used only to take an attribute of it that is neither `claimed` nor `budget`, which is that
    of the cost center that the client says: used whole in any other way (compared, put in a record or set) it
    counts as read.
    """
    if node == _CONTEXT:
        return True
    if isinstance(node, dict):
        for operator in (".", "has"):
            inner = node.get(operator)
            if isinstance(inner, dict) and inner.get("left") == _CONTEXT:
                return inner.get("attr") in ("claimed", "budget")
        return any(reads_claimed(value) for value in node.values())
    if isinstance(node, list):
        return any(reads_claimed(value) for value in node)
    return False


def _elsewhere(uri: str) -> Any:
    """Refuse to fetch a schema: a bundle is whole."""
    raise ValueError(f"Retrieval is disabled, for a bundle is whole: {uri}")


def _closed(template: Template) -> Template:
    """Refuse parameters that the template does not name, unless it says otherwise itself."""
    parameters = {"type": "object", "additionalProperties": False, **template.parameters}
    return msgspec.structs.replace(template, parameters=parameters)


def _template_faults(
    name: str, template: Template, prices: PriceTable, validators: dict[str, Any]
) -> Iterator[Fault]:
    where = f"templates/{name}.toml"
    try:
        validators[name] = jsonschema_rs.validator_for(template.parameters, retriever=_elsewhere)
    except ValueError as error:
        yield Fault(where, "parameters", f"is not a JSON Schema: {str(error).splitlines()[0]}")
        return
    if name == POLICY_GATE:
        yield Fault(where, "name", "is the name by which a change of policy goes")
    for span in (template.wait, template.launch_within):
        try:
            if span is not None and duration.parse(span) > duration.parse(LONGEST_LEASE):
                yield Fault(where, "wait", f"{span} is longer than {LONGEST_LEASE}")
        except ValueError as error:
            yield Fault(where, "wait", str(error))
    properties = template.parameters.get("properties", {})
    if set(template.spec) == {"parameter"}:
        yield Fault(where, "spec", "must be a table of its own, not one parameter")
    for hole in set(_holes(template.spec)) - set(properties):
        yield Fault(
            where, "spec", f"uses the parameter {hole!r}, which [parameters.properties] does not name"
        )
    if template.parameters["type"] != "object":
        yield Fault(where, "parameters", "must be of type object")
    try:
        if duration.parse(template.lease.default) > duration.parse(template.lease.max):
            yield Fault(where, "lease", "the default lease is longer than the longest")
        if duration.parse(template.lease.max) > duration.parse(LONGEST_LEASE):
            yield Fault(where, "lease", f"the longest lease is longer than {LONGEST_LEASE}")
    except ValueError as error:
        yield Fault(where, "lease", str(error))
    if template.region not in prices.hourly.get(template.engine, {}):
        yield Fault(
            where, "price", f"prices.toml has none for engine {template.engine!r} in {template.region!r}"
        )


def _holes(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        if set(spec) == {"parameter"}:
            yield str(spec["parameter"])
        else:
            for value in spec.values():
                yield from _holes(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _holes(value)
