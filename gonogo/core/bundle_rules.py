"""What a bundle must hold to: each rule, and the reading of a bundle by which all of them are checked.

Nothing is taken on trust: a bundle that breaks a rule is refused, when it is published and whenever it is read.
Every fault names its file, and the line where there is one.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import cedarpy
import jsonschema_rs
import msgspec

from gonogo.core import bundle_schema, duration
from gonogo.core.actor import Actor
from gonogo.core.budget import BudgetRule
from gonogo.core.bundle import (
    ACTIONS,
    BUDGETS,
    FILES,
    GATED,
    LARGEST_STACK,
    LONGEST_GATE,
    LONGEST_LEASE,
    LONGEST_NAME,
    MOST_CHOICES,
    POLICY_GATE,
    STACKS,
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
from gonogo.core.bundle_lines import CedarFile, Key, TomlFile
from gonogo.core.errors import BundleRefusedError, Fault
from gonogo.core.gates import Kind, Place
from gonogo.core.plan import NEVER, UNNAMED_ENGINES, PriceTable, lease_length

POLICIES, SCHEMA = "policies.cedar", bundle_schema.FILE
GATES, PEOPLE, PRICES = "gates.toml", "people.toml", "prices.toml"
_T = TypeVar("_T")
_Said = tuple[tuple[Key, ...], str, str]
"""Which key of a file breaks a rule, which rule, and what is wrong in words."""


class _People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    people: tuple[Person, ...]
    groups: dict[str, str]
    claims: tuple[ClaimGroup, ...] = ()

    @property
    def peopled(self) -> frozenset[str]:
        """The groups that somebody is in."""
        return frozenset(group for person in self.people for group in person.groups)


class _Cedar(msgspec.Struct, frozen=True, kw_only=True):
    """The policies as far as we look into them, their JSON form, and where each stands."""

    file: CedarFile
    policies: dict[str, Policy]
    documents: dict[str, Any]


_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]|\r(?!\n)")
"""What would let an approver of the policy see other lines than those that Cedar and TOML read."""


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
    faults = [Fault(name, "required", "is missing") for name in FILES if name not in files]
    faults += [
        Fault(name, "unseen", "has a control character, or an end of line that is none in Cedar or TOML")
        for name, text in files.items()
        if _UNSEEN.search(text)
    ]
    if faults:
        raise BundleRefusedError(*faults)
    people = _toml(files, PEOPLE, _People, faults)
    gates = _toml(files, GATES, dict[str, GateRule], faults)
    prices = _toml(files, PRICES, PriceTable, faults)
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
    cedar = _cedar(files[POLICIES], faults)
    schema = _schema(files[SCHEMA], faults)
    if faults or None in (people, gates, prices, budgets, cedar, schema):
        raise BundleRefusedError(*faults)
    assert people is not None  # noqa: S101 - and the others: it was just looked at
    assert gates is not None  # noqa: S101
    assert prices is not None  # noqa: S101
    assert budgets is not None  # noqa: S101
    assert cedar is not None  # noqa: S101
    takes = bundle_schema.takes_of(schema)
    known = {
        "Action": set(ACTIONS),
        "Group": set(people.groups),
        "Gate": set(gates),
        "Person": {person.actor.key for person in people.people},
        "Template": set(templates),
    }
    faults += _placed(files, PEOPLE, _people_faults(people))
    faults += _placed(files, GATES, _gate_faults(gates, people))
    faults += _placed(files, PRICES, _price_faults(prices))
    faults += _placed(files, BUDGETS, _budget_faults(budgets))
    faults += bundle_schema.faults(files[SCHEMA], schema, takes, budgets)
    faults += _policy_faults(cedar, known, gates, people)
    validators: dict[str, Any] = {}
    ready = {name: _closed(template) for name, template in templates.items() if template is not None}
    for name, template in ready.items():
        where = f"templates/{name}.toml"
        faults += _placed(files, where, _template_faults(name, template, prices, validators))
        faults += _placed(files, where, _stack_faults(template, files))
    faults += _stack_file_faults(files)
    faults += _validation_faults(files, cedar)
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
        policies=cedar.policies,
        policy_set=cedarpy.PolicySet.from_str(files[POLICIES]),
        schema=schema,
        everybody=_everybody(files[SCHEMA], people, schema),
        validators=validators,
    )


def _placed(files: Mapping[str, str], path: str, said: Iterator[_Said]) -> Iterator[Fault]:
    """Yield what is wrong in a file as faults that name the line."""
    file = TomlFile(path, files.get(path, ""))
    for keys, rule, detail in said:
        yield Fault(file.at(*keys), rule, detail)


# Reading


def _toml(files: Mapping[str, str], path: str, kind: type[_T], faults: list[Fault]) -> _T | None:
    found, fault = read_toml(path, files[path], kind)
    if fault is not None:
        faults.append(fault)
    return found


def read_toml(path: str, text: str, kind: type[_T]) -> tuple[_T | None, Fault | None]:
    """Return what a file of TOML says, or the fault for which it says nothing."""
    file = TomlFile(path, text)
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, Fault(file.at_error(error), "toml", str(error))
    try:
        return msgspec.convert(said, kind), None
    except msgspec.ValidationError as error:
        return None, Fault(file.at(*_keys_of(said, kind, error)), "shape", str(error))


def _keys_of(said: Any, kind: Any, error: msgspec.ValidationError) -> tuple[Key, ...]:
    """Return which key an error is about: msgspec writes `[...]` for a key that it does not know beforehand.

    That one is found by leaving its neighbours out: the same error comes only with it.
    """
    path = re.search(r" - at `\$(.*)`$", str(error))
    unknown = re.search(r"unknown field `(.*?)`", str(error))
    keys: tuple[Key, ...] = ()
    for part in re.findall(r"\.([^.\[]+)|\[([0-9]+)\]|(\[\.\.\.\])", path[1] if path else ""):
        name, index, any_key = part
        if any_key:
            keys += (_culprit(said, keys, kind, str(error)),)
        else:
            keys += (name or int(index),)
    return keys + ((unknown[1],) if unknown else ())


def _culprit(said: Any, keys: tuple[Key, ...], kind: Any, error: str) -> Key:
    for name in _inner(said, keys):
        try:
            msgspec.convert(_narrowed(said, keys, name), kind)
        except msgspec.ValidationError as again:
            if str(again) == error:
                return str(name)
    return ""


def _inner(said: Any, keys: tuple[Key, ...]) -> Any:
    for key in keys:
        said = said[key]
    return said


def _narrowed(said: Any, keys: tuple[Key, ...], name: Key) -> Any:
    """Return what is said with only one of the keys of the table at `keys`."""
    if not keys:
        return {name: said[name]}
    if isinstance(said, list):
        return [_narrowed(one, keys[1:], name) if index == keys[0] else one for index, one in enumerate(said)]
    return {**said, keys[0]: _narrowed(said[keys[0]], keys[1:], name)}


def _cedar(text: str, faults: list[Fault]) -> _Cedar | None:
    file = CedarFile(POLICIES, text)
    try:
        found = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        faults.append(Fault(_unreadable(file, cedarpy.policies_to_json_str), "cedar", str(error)))
        return None
    faults += [
        Fault(file.at(name), "slot", "a policy with a ?slot decides nothing: name whom it is for")
        for name in found["templates"]
    ]
    documents: dict[str, Any] = found["staticPolicies"]
    policies: dict[str, Policy] = {}
    for name, document in documents.items():
        action = document["action"]
        only = (
            action["entity"]["id"] if action["op"] == "==" and action["entity"]["type"] == "Action" else None
        )
        annotations = {key: str(value or "") for key, value in document.get("annotations", {}).items()}
        policies[name] = Policy(id=name, effect=document["effect"], action=only, annotations=annotations)
    return _Cedar(file=file, policies=policies, documents=documents)


def _unreadable(file: CedarFile, parse: Callable[[str], object]) -> str:
    """Return where the first statement stands that cannot be read by itself: Cedar does not say."""
    for where, statement in file.statements:
        try:
            parse(statement)
        except ValueError as error:
            if not str(error).startswith("failed to resolve"):
                return where
    return file.path


def _schema(text: str, faults: list[Fault]) -> Any:
    file = CedarFile(SCHEMA, text)
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        unresolved = re.search(r"failed to resolve types?: (\w+)|`(\w+)` is declared twice", str(error))
        where = file.path
        if unresolved is not None:
            where = file.at_word(unresolved[1] or unresolved[2])
        elif (said := _unreadable(file, cedarpy.Schema.from_str)) != file.path:
            where = said
        faults.append(Fault(where, "cedar", str(error)))
        return None


def _validation_faults(files: Mapping[str, str], cedar: _Cedar) -> Iterator[Fault]:
    """Yield what Cedar has against each policy, by the name by which people know it; Cedar has no order."""
    errors = cedarpy.validate_policies(files[POLICIES], files[SCHEMA]).errors
    for number, policy in cedar.policies.items():
        for words in sorted(str(one.error) for one in errors if one.policy_id == number):
            yield Fault(cedar.file.at(number), "schema", words.replace(f"`{number}`", f"`{policy.label}`", 1))


def _everybody(text: str, people: _People, schema: Any) -> Any:
    """Return everybody of people.toml as Cedar entities, parsed once a bundle."""
    found = {
        json.dumps(entity["uid"]): entity
        for person in people.people
        for entity in entities_of(person.actor, person.groups, service=person.service)
    }
    try:
        return cedarpy.Entities.from_json_str(json.dumps(list(found.values())), schema)
    except ValueError as error:
        where = CedarFile(SCHEMA, text).at_word("entity", "Person")
        raise BundleRefusedError(
            Fault(where, "entities", f"does not take people as they are: {error}")
        ) from error


# People


def _people_faults(people: _People) -> Iterator[_Said]:
    seen: set[Actor] = set()
    keys = {one.actor.key: one for one in people.people}
    for index, person in enumerate(people.people):
        if person.actor in seen:
            yield (
                ("people", index),
                "unique",
                f"{person.name!r} has the issuer and subject of somebody else",
            )
        seen.add(person.actor)
        for field, rule, detail in _person_faults(person, people, keys):
            yield ("people", index, field), rule, f"{person.name!r} {detail}"
    for index, claim in enumerate(people.claims):
        if claim.group not in people.groups:
            yield (
                ("claims", index, "group"),
                "group",
                f"a claim maps to {claim.group!r}, which is not under [groups]",
            )


def _person_faults(
    person: Person, people: _People, keys: Mapping[str, Person]
) -> Iterator[tuple[str, str, str]]:
    if not person.issuer or not person.subject or "#" in person.issuer:
        yield (
            "issuer" if person.subject else "subject",
            "actor",
            "needs a subject, and an issuer without a fragment",
        )
    if len(person.issuer) > LONGEST_NAME["issuer"] or len(person.subject) > LONGEST_NAME["subject"]:
        yield "subject", "maximum", "has a longer issuer or subject than a code holds"
    for group in sorted(set(person.groups) - set(people.groups)):
        yield "groups", "group", f"is in {group!r}, which is not under [groups]"
    if person.mail is not None and (
        person.mail.count("@") != 1 or any(c in person.mail for c in "\r\n ,;<>")
    ):
        yield "mail", "mail", f"has {person.mail!r}, which is not one mail address"
    if person.owner is not None:
        owner = keys.get(person.owner)
        if not person.service or owner is None or owner.service:
            yield (
                "owner",
                "owner",
                f"has the owner {person.owner!r}: a service has one, who is a person of people.toml",
            )


# Gates


def _gate_faults(gates: Mapping[str, GateRule], people: _People) -> Iterator[_Said]:
    for name, gate in gates.items():
        for field, rule, detail in _gate_faults_of(name, gate, gates, people):
            yield (name, field), rule, f"gate {name!r} {detail}"


def _gate_faults_of(
    name: str, gate: GateRule, gates: Mapping[str, GateRule], people: _People
) -> Iterator[tuple[str, str, str]]:
    """Yield (field, rule, words) of what is wrong with one gate."""
    yield from _kind_faults(gate)
    yield from _span_faults(gate)
    if gate.kind == "timer":
        yield from _timer_faults(gate)
    if gate.kind == "hook":
        yield from _hook_faults(gate, gates)
    if gate.kind == "human":
        yield from _escalation_faults(gate, people)
    if not 0 < len(name) <= LONGEST_NAME["gate"]:
        yield "", "maximum", "has a longer name than a code holds, or none"
    for field in ("quorum", "stage", "reject_quorum"):
        if getattr(gate, field) < 1:
            yield field, "minimum", "needs quorums and a stage of at least 1"
    if name == POLICY_GATE and (gate.kind != "human" or gate.stands != "approval"):
        yield "kind", "policy", "is what a change of policy waits for: people decide it, before it is made"


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


def _kind_faults(gate: GateRule) -> Iterator[tuple[str, str, str]]:
    for field, kinds in _ONLY_FOR.items():
        default = GateRule.__struct_defaults__[GateRule.__struct_fields__.index(field) - 1]
        if gate.kind not in kinds and getattr(gate, field) != default:
            yield field, "kind", f"has {field!r}, which a {gate.kind} gate does not have"
    if gate.stands not in _PLACES_FOR[gate.kind]:
        places = " or ".join(_PLACES_FOR[gate.kind])
        yield "place", "place", f"is a {gate.kind} gate: it stands at {places}"
    if gate.on_reject != "warn" and gate.stands != "after_launch":
        yield "on_reject", "on_reject", "has 'on_reject', which gates after the launch have"
    if gate.valid_for is not None and gate.stands == "after_launch":
        yield "valid_for", "valid_for", "has 'valid_for', which gates before the launch have"


def _span_faults(gate: GateRule) -> Iterator[tuple[str, str, str]]:
    for field in ("remind_every", "escalate_after", "valid_for", "wait", "expires_after"):
        span = getattr(gate, field)
        try:
            length = duration.parse(span) if span is not None else None
        except ValueError as error:
            yield field, "duration", f"has {field!r}: {error}"
            continue
        if field == "expires_after" and length is not None and length > duration.parse(LONGEST_GATE):
            yield field, "maximum", f"may wait {LONGEST_GATE} at most, as its links do"


def _timer_faults(gate: GateRule) -> Iterator[tuple[str, str, str]]:
    if (gate.wait is None) == (gate.window is None):
        yield "wait", "timer", "is a timer: it has either 'wait' or 'window'"
    fault = gate.window.fault() if gate.window is not None else None
    if fault is not None:
        yield "window", "window", f"has a window in which {fault}"


def _hook_faults(gate: GateRule, gates: Mapping[str, GateRule]) -> Iterator[tuple[str, str, str]]:
    if (gate.on_expiry == "escalate") != (gate.escalate_to is not None):
        yield (
            "escalate_to",
            "escalate_to",
            "names with 'escalate_to' who decides on 'on_expiry = \"escalate\"', and only then",
        )
    elif gate.escalate_to is not None:
        other = gates.get(gate.escalate_to)
        if other is None or other.kind != "human":
            yield (
                "escalate_to",
                "escalate_to",
                f"escalates to {gate.escalate_to!r}, which is no human gate of gates.toml",
            )


def _escalation_faults(gate: GateRule, people: _People) -> Iterator[tuple[str, str, str]]:
    after, to = gate.escalate_after, gate.escalate_to
    if after is None or to is None:
        if after != to:
            yield "escalate_to", "escalate_to", "needs both 'escalate_after' and 'escalate_to', or neither"
        return
    if to not in people.groups:
        yield (
            "escalate_to",
            "group",
            f"escalates to {to!r}, which is not under [groups] of people.toml",
        )
    elif not any(to in one.groups and (gate.services or not one.service) for one in people.people):
        yield (
            "escalate_to",
            "group",
            f"escalates to {to!r}, which has no members in people.toml who could decide it",
        )
    try:
        late = duration.parse(after) >= duration.parse(gate.expires_after)
    except ValueError:
        return
    if late:
        yield "escalate_after", "escalate_after", "would escalate only when it has expired"


# Money


_MOST_MONEY = Decimal(1_000_000_000_000)
"""No budget is larger: what is left of it, and what is asked of it, stays within a Cedar decimal."""


def _budget_faults(budgets: Mapping[str, BudgetRule]) -> Iterator[_Said]:
    for name, rule in budgets.items():
        amounts = [
            (("monthly",), rule.monthly),
            *((("months", one), rule.months[one]) for one in rule.months),
        ]
        for keys, amount in amounts:
            if not amount.is_finite() or amount < 0 or amount > _MOST_MONEY:
                yield (name, *keys), "amount", f"{name!r} has {amount}, which is no amount"
        for month in rule.months:
            if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
                yield (
                    (name, "months", month),
                    "month",
                    f"{name!r} has {month!r}, which is not a month such as 2026-11",
                )


def _price_faults(prices: PriceTable) -> Iterator[_Said]:
    for engine, regions in prices.hourly.items():
        for region, units in regions.items():
            for kind, price in units.items():
                if not price.is_finite() or price < 0:
                    yield (
                        ("hourly", engine, region, kind),
                        "price",
                        f"{engine} {region} {kind!r} costs {price}, which is no price",
                    )
    for engine, least in prices.minimum.items():
        try:
            duration.parse(least)
        except ValueError as error:
            yield ("minimum", engine), "minimum", f"[minimum] {engine}: {error}"


# Policies


_WHERE_KNOWN = {
    "Action": f"what gonogo asks: {', '.join(ACTIONS)}",
    "Group": "[groups] of people.toml",
    "Gate": "gates.toml",
    "Person": "people.toml as issuer#subject",
    "Template": "templates/",
}


def _policy_faults(
    cedar: _Cedar, known: Mapping[str, set[str]], rules: Mapping[str, GateRule], people: _People
) -> Iterator[Fault]:
    labels: set[str] = set()
    for policy in cedar.policies.values():
        where, document = cedar.file.at(policy.id), cedar.documents[policy.id]
        found = [
            *_name_faults(document, known),
            *_annotation_faults(policy),
            *(_permit_faults(policy, document, rules, people) if policy.effect == "permit" else ()),
        ]
        for rule, detail in found:
            yield Fault(where, rule, f"{policy.label}: {detail}")
        if "id" in policy.annotations and policy.label in labels:
            yield Fault(where, "unique", f"{policy.label}: is the @id of another policy too")
        labels.add(policy.label)


def _name_faults(document: Any, known: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield (rule, words) of what the policy names and is not there: it would never hold, and say nothing."""
    for kind, uid in sorted(set(entities(document))):
        if kind not in known:
            yield "type", f"{kind}::{uid!r} is of no type that gonogo gives"
        elif kind == "Action":
            permits_it = document["effect"] == "permit" and document["action"]["op"] == "=="
            if uid not in known[kind] and not permits_it:
                yield "action", f"Action::{uid!r} is not in {_WHERE_KNOWN[kind]}"
        elif uid not in known[kind]:
            yield kind.lower(), f"{kind}::{uid!r} is not in {_WHERE_KNOWN[kind]}"


def _annotation_faults(policy: Policy) -> Iterator[tuple[str, str]]:
    permits = policy.action if policy.effect == "permit" else None
    if "gate" in policy.annotations and permits not in GATED:
        yield "gate", "@gate stands on a permit of request or break_glass only"
    if "tell" in policy.annotations and permits != "break_glass":
        yield "tell", "@tell stands on a permit of break_glass only"


def _permit_faults(
    policy: Policy, document: Any, rules: Mapping[str, GateRule], people: _People
) -> Iterator[tuple[str, str]]:
    gate = policy.annotations.get("gate")
    if policy.action not in ACTIONS:
        yield "action", f"a permit names exactly one action with ==, one of {', '.join(ACTIONS)}"
    if policy.action == "request" and gate not in rules:
        yield "gate", "a permit of request names a gate of gates.toml with @gate"
    if policy.action == "break_glass":
        rule = rules.get(gate or "")
        if rule is None or rule.kind != "human" or rule.stands != "after_launch":
            yield (
                "gate",
                "a permit of break_glass names with @gate a human gate that stands after_launch, to review it",
            )
        if policy.annotations.get("tell") not in people.peopled:
            yield (
                "tell",
                "a permit of break_glass names with @tell a group that has members, to be told at once",
            )
    if policy.action in UNCLAIMED and reads_claimed(document["conditions"]):
        said = f"a permit of {policy.action} may not read context.claimed, nor context.budget"
        yield "claimed", f"{said} (whose cost center the client says); a forbid may"


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


# Templates


def _elsewhere(uri: str) -> Any:
    """Refuse to fetch a schema: a bundle is whole."""
    raise ValueError(f"Retrieval is disabled, for a bundle is whole: {uri}")


def _closed(template: Template) -> Template:
    """Refuse parameters that the template does not name, unless it says otherwise itself."""
    parameters = {"type": "object", "additionalProperties": False, **template.parameters}
    return msgspec.structs.replace(template, parameters=parameters)


def _template_faults(
    name: str, template: Template, prices: PriceTable, validators: dict[str, Any]
) -> Iterator[_Said]:
    try:
        validators[name] = jsonschema_rs.validator_for(template.parameters, retriever=_elsewhere)
    except ValueError as error:
        yield ("parameters",), "parameters", f"is not a JSON Schema: {str(error).splitlines()[0]}"
        return
    if name == POLICY_GATE:
        yield (), "name", "is the name by which a change of policy goes"
    if template.engine in UNNAMED_ENGINES:
        yield ("engine",), "engine", f"{template.engine!r} is none that a template can name"
    if template.parameters["type"] != "object":
        yield ("parameters", "type"), "parameters", "must be of type object"
    if template.region not in prices.hourly.get(template.engine, {}):
        yield (
            ("region",),
            "price",
            f"prices.toml has none for engine {template.engine!r} in {template.region!r}",
        )
    yield from _spec_faults(template)
    yield from _length_faults(template)


def _specs(template: Template) -> Iterator[tuple[tuple[Key, ...], dict[str, Any]]]:
    """Yield the spec and each choice, with the keys by which it stands in its file."""
    yield ("spec",), template.spec
    for index, one in enumerate(template.choices):
        yield ("choices", index), one


def _spec_faults(template: Template) -> Iterator[_Said]:
    if len(template.choices) > MOST_CHOICES:
        yield ("choices",), "choices", f"are more than {MOST_CHOICES}"
    known = set(template.parameters.get("properties", {}))
    for keys, spec in _specs(template):
        if set(spec) == {"parameter"}:
            yield keys, "spec", "must be a table of its own, not one parameter"
        for key, value in spec.items():
            for hole in sorted(set(_holes(value)) - known):
                yield (
                    (*keys, key),
                    "spec",
                    f"uses the parameter {hole!r}, which [parameters.properties] does not name",
                )


_STACK_FILE = re.compile(rf"{STACKS}[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}\.(yaml|yml|json)\Z", re.ASCII)


def _stack_file_faults(files: Mapping[str, str]) -> Iterator[Fault]:
    for path, text in files.items():
        if not path.startswith(STACKS):
            continue
        if not _STACK_FILE.match(path):
            yield Fault(path, "name", f"is in {STACKS}, where only NAME.yaml, NAME.yml and NAME.json are")
        if (size := len(text.encode())) > LARGEST_STACK:
            yield Fault(
                path, "maximum", f"has {size:,} bytes; CloudFormation takes {LARGEST_STACK:,} of a template"
            )


def _stack_faults(template: Template, files: Mapping[str, str]) -> Iterator[_Said]:
    """Yield what is wrong with how a template names its file of stacks/, which its engine reads."""
    if template.partial and template.engine in ("cloudformation", "stepfunctions"):
        yield ("partial",), "partial", f"{template.engine!r} makes all or nothing"
    if template.engine != "cloudformation":
        return
    for keys, spec in _specs(template):
        named = spec.get("template")
        if isinstance(named, str) and not (named.startswith(STACKS) and named in files):
            yield (*keys, "template"), "file", f"names {named!r}, which is no file in {STACKS}"


def _length_faults(template: Template) -> Iterator[_Said]:
    for field in ("wait", "launch_within"):
        span = getattr(template, field)
        try:
            if span is not None and duration.parse(span) > duration.parse(LONGEST_LEASE):
                yield (field,), "wait", f"{span} is longer than {LONGEST_LEASE}"
        except ValueError as error:
            yield (field,), "wait", str(error)
    try:
        if template.lease.warn is not None:
            duration.parse(template.lease.warn)
        longest = lease_length(template.lease.max)
        endless = template.lease.default == NEVER and template.lease.max != NEVER
        if endless or lease_length(template.lease.default) > longest:
            yield ("lease", "default"), "lease", "the default lease is longer than the longest"
        if longest > duration.parse(LONGEST_LEASE):
            yield ("lease", "max"), "lease", f"the longest lease is longer than {LONGEST_LEASE}"
    except ValueError as error:
        yield ("lease",), "lease", str(error)


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
