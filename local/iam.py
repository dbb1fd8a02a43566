"""Judges a call as IAM does: a deny wins, and without an allow the answer is no.

Known is what gonogo's roles and the policies of its key, bus and roles use, and little besides: Effect, Principal,
Action, Resource, and of conditions the operators of texts and ARNs, Null, ForAllValues, ForAnyValue and IfExists.
Anything else is an error, not a guess. moto's own enforcement takes every statement with a condition for a deny.
Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

Facts = Mapping[str, tuple[str, ...]]
"""The condition keys of a call in small letters, with their values."""

ANYTHING = "?"
"""The resource of a call whose resource is not known: it is judged by its action alone."""
PARTS = 6
"""An ARN is arn:partition:service:region:account:resource."""
POLICY_DECIDES = {"kms", "sts"}
"""Services whose resources have a policy that must allow, whatever roles say: keys, and roles that are taken.

Source: KMS developer guide, "Key policies"; IAM user guide, "Cross-account policy evaluation logic".
"""


class Call(msgspec.Struct, frozen=True):
    """One thing that is asked of AWS, as IAM sees it: the action, on what, and condition keys."""

    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def facts(self) -> Facts:
        """The condition keys of the call, with their values."""
        return {key.lower(): values for key, values in self.context}


class Statement(msgspec.Struct, frozen=True):
    """One statement of a role, or of a resource's policy: then it says of whom."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    denies: bool = False
    principals: tuple[str, ...] = ()

    @classmethod
    def read(cls, one: Mapping[str, Any]) -> Statement:
        """Read a statement of a policy whose intrinsic functions are worked out."""
        unknown = one.keys() - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        if unknown:
            raise NotImplementedError(f"a statement with {', '.join(sorted(unknown))}: {one}")
        principals = one.get("Principal", ())
        if isinstance(principals, Mapping):
            principals = [name for names in principals.values() for name in _list(names)]
        return cls(
            sid=one.get("Sid", ""),
            actions=tuple(_list(one["Action"])),
            resources=tuple(_list(one.get("Resource", "*"))),
            conditions=tuple(
                (operator, key, tuple(_list(wanted)))
                for operator, keys in one.get("Condition", {}).items()
                for key, wanted in keys.items()
            ),
            denies={"Allow": False, "Deny": True}[one["Effect"]],
            principals=tuple(_list(principals)),
        )

    def meets(self, call: Call) -> bool:
        """Tell whether this statement speaks of the call."""
        return (
            any(like(call.action.lower(), pattern.lower()) for pattern in self.actions)
            and (call.resource == ANYTHING or any(is_arn(call.resource, one) for one in self.resources))
            and all(holds(*condition, call.facts) for condition in self.conditions)
        )

    def allows(self, call: Call) -> bool:
        """Tell whether this statement, alone, allows the call."""
        return not self.denies and self.meets(call)

    def names(self, principal: str) -> bool:
        """Tell whether this statement of a resource's policy speaks of a principal."""
        return "*" in self.principals or principal in self.principals

    def parts(self) -> list[Statement]:
        """Return the statement taken apart: one for each action, resource and value of a condition."""
        conditions = [
            [(operator, key, (value,)) for value in wanted] for operator, key, wanted in self.conditions
        ]
        return [
            msgspec.structs.replace(self, actions=(action,), resources=(resource,), conditions=chosen)
            for action in self.actions
            for resource in self.resources
            for chosen in itertools.product(*conditions)
        ]


def refusal(call: Call, role: str, own: Iterable[Statement], policy: Sequence[Statement] = ()) -> str | None:
    """Tell why a role may not make a call, in AWS's own words; None if it may.

    `own` are the statements of the role, `policy` those of the policy of what is asked about, if it has one.
    """
    call = msgspec.structs.replace(call, context=(*call.context, ("aws:PrincipalArn", (role,))))
    account = role.split(":")[4]
    mine = [one for one in own if one.meets(call)]
    there = [one for one in policy if one.meets(call)]
    for kind, found in (("an identity", mine), ("a resource", [one for one in there if one.names(role)])):
        if any(one.denies for one in found):
            return f"with an explicit deny in {kind}-based policy"
    allows = [one for one in there if not one.denies]
    named = any(one.names(role) for one in allows)
    trusted = named or (bool(mine) and any(one.names(f"arn:aws:iam::{account}:root") for one in allows))
    elsewhere = call.resource.split(":")[4:5] not in ([account], [""], [])
    if call.action.split(":")[0] in POLICY_DECIDES:
        if not trusted:
            return f"because no resource-based policy allows the {call.action} action"
        may = named and not elsewhere
    else:
        may = trusted and not elsewhere
    if may or mine:
        return None
    return f"because no identity-based policy allows the {call.action} action"


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
    return re.compile("".join(parts), re.DOTALL)


def like(value: str, pattern: str) -> bool:
    """Tell whether a value matches a pattern of IAM's, where * is anything and ? any one character."""
    return _pattern(pattern).fullmatch(value) is not None


def is_arn(value: str, pattern: str) -> bool:
    """Tell whether an ARN matches a pattern, each of its six parts by itself."""
    if pattern == "*":
        return True
    values, patterns = value.split(":", PARTS - 1), pattern.split(":", PARTS - 1)
    return len(values) == len(patterns) and all(map(like, values, patterns))


OPERATORS = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": like,
    "ArnEquals": is_arn,
    "ArnLike": is_arn,
}
"""What each operator asks of one value and one that is wanted."""
OPPOSITES = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def holds(operator: str, key: str, wanted: tuple[str, ...], facts: Facts) -> bool:
    """Tell whether one condition holds.

    A key that the call has not fails it, unless it is Null, ForAllValues, IfExists or the opposite of another. Of
    several values that are wanted one is enough; the opposite of an operator wants none of them.
    """
    values = facts.get(key.lower(), ())
    if operator == "Null":
        return (not values) == (wanted == ("true",))
    each, _, plain = operator.rpartition(":")
    optional, plain = plain.endswith("IfExists"), plain.removesuffix("IfExists")
    is_opposite = plain in OPPOSITES
    matches = OPERATORS.get(OPPOSITES.get(plain, plain))
    if matches is None or each not in ("", "ForAllValues", "ForAnyValue"):
        raise NotImplementedError(f"condition {operator} on {key}")
    met = [any(matches(value, one) for one in wanted) != is_opposite for value in values]
    if each == "ForAnyValue":
        return any(met)
    if not met:
        return each == "ForAllValues" or optional or is_opposite
    return all(met)


def _list(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
