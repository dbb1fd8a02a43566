"""One version of the policy: a folder of text files, known by its digest, and what stands in it.

Files: `policies.cedar`, `schema.cedarschema`, `gates.toml`, `people.toml`, `prices.toml`, `templates/*.toml`,
and optionally `budgets.toml`, `tests.toml` and what templates launch by CloudFormation, `stacks/*`. `bundle_rules`
reads one, and refuses it if it breaks a rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import jsonschema_rs
import msgspec

from gonogo.core import canonical
from gonogo.core.actor import Actor
from gonogo.core.budget import BudgetRule
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.gates import Kind, OnReject, Place
from gonogo.core.plan import Account, Lease, PriceTable
from gonogo.core.window import Window

_PLACES: dict[Kind, Place] = {"human": "approval", "hook": "before_approval", "timer": "before_launch"}
ACTIONS = ("launch", "request", "approve", "act_for", "break_glass", "extend", "delegate", "change_policy")
GATED = ("request", "break_glass")
"""The actions whose permits name a gate with @gate."""
UNCLAIMED = ("launch", "break_glass", "extend")
"""The actions whose permits may not read what the client says, nor the budget, whose cost center it says."""
FILES = ("policies.cedar", "schema.cedarschema", "gates.toml", "people.toml", "prices.toml")
BUDGETS = "budgets.toml"
POLICY_GATE = "policy"
"""The gate that a change of policy waits for; no template has that name."""
MOST_FAULTS = 20
LONGEST_FAULT = 200
"""How many faults of a request are named, and in how many characters: an answer stays small, whatever is sent."""
LONGEST_GATE = "7d"
"""An approval link lives as long as its gate, and no link may live longer than this."""
LONGEST_LEASE = "3650d"
"""No calendar overflows with it, whenever the launch starts."""
MOST_CHOICES = 10
"""How many choices a template may name besides its spec: all of them are in the digest, and are read."""
STACKS = "stacks/"
"""The folder of CloudFormation templates that templates name."""
LARGEST_STACK = 51_200
"""Bytes of a file of stacks/: of a TemplateBody (CloudFormation API reference, CreateStack)."""
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
    """Somebody, or with `service` something, that acts; how to reach it.

    `owner` (issuer#subject) is who answers for a service: what it asks for, its owner does not approve.
    """

    name: str
    issuer: str
    subject: str
    groups: tuple[str, ...] = ()
    mail: str | None = None
    webhook: Webhook | None = None
    service: bool = False
    owner: str | None = None

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
    """A gate: `quorum` different people (human) or systems (hook) must say go within `expires_after`, or time.

    A timer waits for so long (`wait`), or for its change window. `place` is `approval` for people unless it
    says otherwise, `before_approval` for systems, `before_launch` for timers.
    """

    title: str
    kind: Kind = "human"
    place: Place | None = None
    stage: int = 1
    quorum: int = 1
    reject_quorum: int = 1
    services: bool = False
    expires_after: str = "3d"
    login: bool = False
    remind_every: str | None = None
    escalate_after: str | None = None
    escalate_to: str | None = None
    valid_for: str | None = None
    on_expiry: Literal["reject", "approve", "escalate"] | None = None
    on_reject: OnReject = "warn"
    wait: str | None = None
    window: Window | None = None

    @property
    def stands(self) -> Place:
        """Where it stands."""
        return self.place or _PLACES[self.kind]


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be launched: the engine's spec, with holes that checked parameters fill.

    `wait` is how long a request may wait for its gates, `launch_within` how long until it must be launched.
    Each of `choices` says what of the spec is otherwise, to be tried in their order where there is no capacity
    for it. With `partial`, what could be made is kept; otherwise all is made, or nothing stays.
    """

    title: str
    engine: str
    region: str
    lease: Lease
    parameters: dict[str, Any]
    spec: dict[str, Any]
    description: str = ""
    wait: str | None = None
    launch_within: str | None = None
    account: Account | None = None
    choices: tuple[dict[str, Any], ...] = ()
    partial: bool = False


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One Cedar policy, as far as we look into it."""

    id: str
    effect: str
    action: str | None
    annotations: dict[str, str]

    @property
    def label(self) -> str:
        """How people know it: its `@id` if it has one."""
        return self.annotations.get("id") or self.id


class Bundle(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A checked bundle, ready to judge.

    `takes` has the actions that its schema knows, and `ACTION.budget` where that action's context takes one.
    """

    digest: str
    files: dict[str, str]
    people: dict[Actor, Person]
    groups: dict[str, str]
    claims: tuple[ClaimGroup, ...]
    gates: dict[str, GateRule]
    templates: dict[str, Template]
    prices: PriceTable
    budgets: dict[str, BudgetRule]
    takes: frozenset[str]
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
