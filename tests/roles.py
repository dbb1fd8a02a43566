"""Works out from the template what each function may do on AWS, and whether that covers a call it made.

Only what gonogo's roles use is known here: exact actions, resources with wildcards, and the conditions
StringEquals, StringLike (with ForAllValues) and Null. Anything else in a role is an error, not a guess.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from local.template import Values

REGION = "us-east-1"
ACCOUNT = "123456789012"

ROLES = {
    "APIHandler": "ApiHandlerRole",
    "Publish": "PublishRole",
    "Notify": "NotifyRole",
    "Deliver": "DeliverRole",
    "Launch": "LaunchRole",
    "Observe": "ObserveRole",
    "Wake": "WakeRole",
    "Anchor": "AnchorRole",
}
"""The role of each function, by their logical ids."""

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "gonogo",
    "AWS::URLSuffix": "amazonaws.com",
}

SERVICES = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::Events::EventBus": ("events", "event-bus/"),
    "AWS::IAM::Role": ("iam", "role/"),
    "AWS::KMS::Key": ("kms", "key/"),
    "AWS::Logs::LogGroup": ("logs", "log-group:"),
    "AWS::S3::Bucket": ("s3", ""),
    "AWS::SQS::Queue": ("sqs", ""),
}
"""How the ARN of what roles refer to is built: the service, and what stands before the name."""


class Call(msgspec.Struct, frozen=True):
    """One thing that is asked of AWS, as IAM sees it: the action, on what, and condition keys."""

    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def facts(self) -> dict[str, tuple[str, ...]]:
        """The condition keys of the call, with their values."""
        return dict(self.context)


class Statement(msgspec.Struct, frozen=True):
    """One Allow of a role, or of a key's policy in favour of a role."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def allows(self, call: Call) -> bool:
        """Tell whether this statement, alone, allows the call."""
        return (
            call.action in self.actions
            and any(like(call.resource, pattern) for pattern in self.resources)
            and all(holds(*condition, call.facts) for condition in self.conditions)
        )

    def parts(self) -> list[Statement]:
        """Return the statement taken apart: one for each action, resource and value of a condition."""
        conditions = [
            [(operator, key, (value,)) for value in wanted] for operator, key, wanted in self.conditions
        ]
        return [
            Statement(self.sid, (action,), (resource,), chosen)
            for action in self.actions
            for resource in self.resources
            for chosen in itertools.product(*conditions)
        ]


def like(value: str, pattern: str) -> bool:
    """Tell whether a value matches a pattern of IAM's, where * is anything and ? any one character."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def holds(operator: str, key: str, wanted: tuple[str, ...], facts: Mapping[str, tuple[str, ...]]) -> bool:
    """Tell whether one condition holds; a key that the call has not fails all but Null and ForAllValues."""
    values = facts.get(key, ())
    if operator == "Null":
        return (not values) == (wanted == ("true",))
    if operator == "ForAllValues:StringLike":
        return all(any(like(value, pattern) for pattern in wanted) for value in values)
    if operator == "StringEquals":
        return bool(values) and all(value in wanted for value in values)
    raise NotImplementedError(f"condition {operator} on {key}")


class Roles:
    """What each function may do, by the packaged template; or each role, by another template.

    `names` gives the physical name (for a queue and a key: the last part of its ARN) of resources that exist
    somewhere; all others are named by their logical id. `parameters` are those of the stack.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        names: Mapping[str, str],
        account: str = ACCOUNT,
    ) -> None:
        """Take the template before SAM's transform."""
        self._resources: Mapping[str, Any] = template["Resources"]
        self._names = names
        self._account = account
        self._values = Values(template, parameters, self._look)

    def arn(self, logical_id: str) -> str:
        """Return the ARN of a resource."""
        service, prefix = SERVICES[self._resources[logical_id]["Type"]]
        if service == "s3":  # whose names are the whole partition's
            return f"arn:aws:s3:::{self._names.get(logical_id, logical_id)}"
        region = "" if service == "iam" else REGION
        suffix = ":*" if service == "logs" else ""
        name = self._names.get(logical_id, logical_id)
        return f"arn:aws:{service}:{region}:{self._account}:{prefix}{name}{suffix}"

    def statements(self, function: str) -> list[Statement]:
        """Return all that allows something to the role of a function."""
        role = ROLES[function]
        found = self.statements_of(role)
        for name, resource in self._resources.items():
            if resource["Type"] == "AWS::KMS::Key":
                found += [
                    _statement({**one, "Resource": self.arn(name)})
                    for one in self._values.of(resource["Properties"]["KeyPolicy"]["Statement"])
                    if one["Principal"]["AWS"] == self.arn(role)
                ]
        return found

    def statements_of(self, role: str) -> list[Statement]:
        """Return all that a role's own policies allow it."""
        return [
            _statement(one)
            for policy in self._values.of(self._resources[role]["Properties"]["Policies"])
            for one in policy["PolicyDocument"]["Statement"]
        ]

    def of(self, value: Any) -> Any:
        """Return a value of the template, worked out."""
        return self._values.of(value)

    def made_by_lambda(self, function: str) -> list[Call]:
        """Return what Lambda itself does in the function's name: logs, reading its source, putting aside.

        Source: AWS Lambda developer guide, "Lambda execution role" and, for each kind of event source, its
        execution role permissions.
        """
        properties = self._resources[function]["Properties"]
        logs = self.arn(properties["LoggingConfig"]["LogGroup"]["Ref"])
        calls = [Call("logs:CreateLogStream", logs), Call("logs:PutLogEvents", logs)]
        for mapping in self._resources.values():
            wiring = mapping.get("Properties", {})
            if (
                mapping["Type"] != "AWS::Lambda::EventSourceMapping"
                or wiring["FunctionName"]["Ref"] != function
            ):
                continue
            source = str(self._values.of(wiring["EventSourceArn"]))
            if ":sqs:" in source:
                calls += [
                    Call(f"sqs:{action}", source)
                    for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
                ]
            else:
                calls += [
                    Call(f"dynamodb:{action}", source)
                    for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
                ]
            aside = wiring.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            if aside is not None:
                calls.append(Call("sqs:SendMessage", str(self._values.of(aside))))
        return calls

    def _look(self, logical_id: str, attribute: str | None) -> str:
        if logical_id == "AWS::AccountId":
            return self._account
        if logical_id in PSEUDO:
            return PSEUDO[logical_id]
        if attribute == "Arn":
            return self.arn(logical_id)
        if attribute == "StreamArn":
            return f"{self.arn(logical_id)}/stream/2026-01-01T00:00:00.000"
        return self._names.get(logical_id, logical_id)


def _statement(one: Mapping[str, Any]) -> Statement:
    if one["Effect"] != "Allow":
        raise NotImplementedError(f"a role's statement that is no Allow: {one}")
    return Statement(
        sid=one["Sid"],
        actions=tuple(_list(one["Action"])),
        resources=tuple(_list(one["Resource"])),
        conditions=tuple(
            (operator, key, tuple(_list(wanted)))
            for operator, keys in one.get("Condition", {}).items()
            for key, wanted in keys.items()
        ),
    )


def _list(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
