"""One version of the policy: a folder of text files, read and checked whole, known by its digest.

Files: `policies.cedar`, `schema.cedarschema`, `gates.toml`, `people.toml`, `prices.toml`, `templates/*.toml`,
and optionally `tests.toml`. Nothing is taken on trust: a bundle that breaks a rule is refused.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import cedarpy
import jsonschema_rs
import msgspec

from gonogo.core import canonical, duration
from gonogo.core.actor import Actor
from gonogo.core.errors import BundleRefusedError, Fault, InvalidError
from gonogo.core.plan import Lease, PriceTable

_T = TypeVar("_T")
ACTIONS = ("launch", "request", "approve", "act_for")
FILES = ("policies.cedar", "schema.cedarschema", "gates.toml", "people.toml", "prices.toml")
MOST_FAULTS = 20
LONGEST_FAULT = 200
"""How many faults of a request are named, and in how many characters: an answer stays small, whatever is sent."""
LONGEST_GATE = "7d"
"""An approval link lives as long as its gate, and no link may live longer than this."""
LONGEST_LEASE = "3650d"
"""No calendar overflows with it, whenever the launch starts."""
LONGEST_NAME = {"issuer": 512, "subject": 255, "gate": 64}
"""Characters that the names in an approval code may have, so that the code stays one that is read."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to post a person's notices. `secret` is the name of the parameter that holds the signing secret.

    Only a `private` webhook, which nobody but the person reads, is sent a code to decide with.
    """

    url: str
    secret: str
    private: bool = False


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody, or with `service` something, that acts; how to reach it."""

    name: str
    issuer: str
    subject: str
    groups: tuple[str, ...] = ()
    mail: str | None = None
    webhook: Webhook | None = None
    service: bool = False

    @property
    def actor(self) -> Actor:
        """Who it is to policy."""
        return Actor(self.issuer, self.subject)


class ClaimGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever's token from `issuer` lists `value` in `claim` is in `group`, to launch and to request."""

    issuer: str
    claim: str
    value: str
    group: str


class GateRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A human gate: `quorum` different people must say go within `expires_after`."""

    title: str
    kind: str = "human"
    stage: int = 1
    quorum: int = 1
    expires_after: str = "3d"
    login: bool = False


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be launched: the engine's spec, with holes that checked parameters fill."""

    title: str
    engine: str
    region: str
    lease: Lease
    parameters: dict[str, Any]
    spec: dict[str, Any]
    description: str = ""


class _People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    people: tuple[Person, ...]
    groups: dict[str, str]
    claims: tuple[ClaimGroup, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One Cedar policy, as far as we look into it."""

    id: str
    effect: str
    action: str | None
    annotations: dict[str, str]

    @property
    def label(self) -> str:
        """How people know it: its `@id` if it has one."""
        return self.annotations.get("id", self.id)


class Bundle(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A checked bundle, ready to judge."""

    digest: str
    files: dict[str, str]
    people: dict[Actor, Person]
    groups: dict[str, str]
    claims: tuple[ClaimGroup, ...]
    gates: dict[str, GateRule]
    templates: dict[str, Template]
    prices: PriceTable
    policies: dict[str, Policy]
    policy_set: Any
    schema: Any
    everybody: Any
    validators: dict[str, Any]

    def check_parameters(self, template: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with the defaults of the template's JSON Schema put in.

        Raises:
            InvalidError: one or more break the schema; each fault has its JSON pointer under `/parameters`.
        """
        properties = self.templates[template].parameters.get("properties", {})
        defaults = {
            name: rule["default"]
            for name, rule in properties.items()
            if isinstance(rule, dict) and "default" in rule
        }
        whole = {**defaults, **parameters}
        faults = (
            Fault(_cut("/parameters" + pointer), str(error.schema_path[-1]), _said(error))
            for error in self.validators[template].iter_errors(whole)
            for pointer in _pointers(error)
        )
        named = tuple(islice(faults, MOST_FAULTS))
        if named:
            raise InvalidError(*named)
        return whole

    def groups_claimed(self, issuer: str, claims: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Return the groups that a token's list claims stand for by the bundle's mapping."""
        return tuple(
            sorted(
                {
                    one.group
                    for one in self.claims
                    if one.issuer == issuer and one.value in claims.get(one.claim, ())
                }
            )
        )


def _said(error: jsonschema_rs.ValidationError) -> str:
    """Return the fault in words that do not grow with what was sent."""
    keyword = str(error.schema_path[-1])
    if keyword in _IN_WORDS:
        return _IN_WORDS[keyword]
    return _cut(error.message)


_IN_WORDS = {"additionalProperties": "is not a parameter of this template", "required": "is missing"}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_FAULT else text[:LONGEST_FAULT] + "..."


def _pointers(error: jsonschema_rs.ValidationError) -> list[str]:
    """Return the RFC 6901 pointers of what is wrong: of the surplus or missing key, where it is one."""
    path = list(error.instance_path)
    keys: list[str | int] = list(getattr(error.kind, "unexpected", ()))
    missing = getattr(error.kind, "property", None)
    if missing is not None:
        keys.append(missing)
    return [_pointer([*path, key]) for key in keys] if keys else [_pointer(path)]


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def digest_of(files: Mapping[str, str]) -> str:
    """Return the digest that names a bundle of these files: path to text."""
    return canonical.digest(dict(files))


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
    templates = {
        path.removeprefix("templates/").removesuffix(".toml"): _toml(files, path, Template, faults)
        for path in sorted(files)
        if path.startswith("templates/") and path.endswith(".toml")
    }
    if not templates:
        faults.append(Fault("templates/", "required", "there is no template"))
    policies, documents = _policies(files["policies.cedar"], faults)
    schema = _schema(files["schema.cedarschema"], faults)
    if faults or people is None or gates is None or prices is None or schema is None:
        raise BundleRefusedError(*faults)
    known = {
        "Group": set(people.groups),
        "Gate": set(gates),
        "Person": {person.actor.key for person in people.people},
        "Template": set(templates),
    }
    faults += [*_people_faults(people), *_gate_faults(gates), *_price_faults(prices)]
    faults += _policy_faults(policies, documents, known)
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


def entities_of(actor: Actor, groups: Sequence[str], *, service: bool) -> list[dict[str, Any]]:
    """Return somebody and their groups as Cedar entities in JSON form."""
    return [
        {
            "uid": {"type": "Person", "id": actor.key},
            "attrs": {"issuer": actor.issuer, "subject": actor.subject, "service": service},
            "parents": [{"type": "Group", "id": group} for group in groups],
        },
        *({"uid": {"type": "Group", "id": group}, "attrs": {}, "parents": []} for group in groups),
    ]


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
    for claim in people.claims:
        if claim.group not in people.groups:
            yield Fault(
                "people.toml", "group", f"a claim maps to {claim.group!r}, which is not under [groups]"
            )


def _gate_faults(gates: Mapping[str, GateRule]) -> Iterator[Fault]:
    longest = duration.parse(LONGEST_GATE)
    for name, gate in gates.items():
        if gate.kind != "human":
            yield Fault(
                "gates.toml", "kind", f"gate {name!r} is of kind {gate.kind!r}; this version knows human"
            )
        if not 0 < len(name) <= LONGEST_NAME["gate"]:
            yield Fault(
                "gates.toml", "maximum", f"gate {name!r} has a longer name than a code holds, or none"
            )
        if gate.quorum < 1 or gate.stage < 1:
            yield Fault("gates.toml", "minimum", f"gate {name!r} needs a quorum and a stage of at least 1")
        try:
            if duration.parse(gate.expires_after) > longest:
                yield Fault(
                    "gates.toml", "maximum", f"gate {name!r} may wait {LONGEST_GATE} at most, as its links do"
                )
        except ValueError as error:
            yield Fault("gates.toml", "duration", f"gate {name!r}: {error}")


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
) -> Iterator[Fault]:
    where = "policies.cedar"
    gates = known["Gate"]
    for policy in policies.values():
        for kind, uid in sorted(set(entities(documents[policy.id]))):
            if kind in known and uid not in known[kind]:
                yield Fault(
                    where, kind.lower(), f"{policy.label}: {kind}::{uid!r} is not in {_WHERE_KNOWN[kind]}"
                )
        gate = policy.annotations.get("gate")
        if gate is not None and (policy.effect != "permit" or policy.action != "request"):
            yield Fault(where, "gate", f"{policy.label}: @gate stands on a permit of request only")
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
        if policy.action == "launch" and reads_claimed(documents[policy.id]["conditions"]):
            yield Fault(where, "claimed", f"{policy.label}: a permit of launch may not read context.claimed")


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

    `context` may be used only to take an attribute of it that is not `claimed`: used whole in any other way
    (compared, put in a record or set) it counts as read.
    """
    if node == _CONTEXT:
        return True
    if isinstance(node, dict):
        for operator in (".", "has"):
            inner = node.get(operator)
            if isinstance(inner, dict) and inner.get("left") == _CONTEXT:
                return bool(inner.get("attr") == "claimed")
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
