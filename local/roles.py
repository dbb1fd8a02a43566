"""Reads off the template what each function may do on AWS: by its own role, and by roles that it takes elsewhere.

The policies of keys, of the bus and of other accounts' roles are read too, which say in turn whom they let in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gonogo.core.bundle import Template
from gonogo.core.plan import Account
from local import template as templates
from local.aws import REGION
from local.iam import Call, Statement, refusal
from local.template import Values

ROLES: Final = {
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

LOOKING: Final = ("ObserveRole", "WakeRole", "ApiHandlerRole")
"""Who takes another account's role that may only look; the output ObserverRoleArns has them."""
THERE: Final = Path(__file__).resolve().parent.parent / "infra" / "account.yaml"


class Roles:
    """What each function may do, by infra/template.yaml; or each role, by another template.

    `look` gives what Ref and Fn::GetAtt are of the template's resources, `parameters` are those of the stack.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        look: Callable[[str, str | None], Any],
    ) -> None:
        """Take the template before SAM's transform."""
        self._resources: Mapping[str, Any] = template["Resources"]
        self._look = look
        self._values = Values(template, parameters, look)

    def arn(self, logical_id: str) -> str:
        """Return the ARN of a resource."""
        return str(self._look(logical_id, "Arn"))

    def of(self, value: Any) -> Any:
        """Return a value of the template, worked out."""
        return self._values.of(value)

    def functions(self) -> list[str]:
        """Return the functions that there are, by the stack's parameters."""
        return [name for name, role in ROLES.items() if self._values.wanted(self._resources[role])]

    def statements(self, function: str) -> list[Statement]:
        """Return all that allows something to the role of a function, in the policies of keys too."""
        role = ROLES[function]
        found = self.statements_of(role)
        for policy in self.policies().values():
            found += [one for one in policy if self.arn(role) in one.principals]
        return found

    def statements_of(self, role: str) -> list[Statement]:
        """Return all that a role's own policies say."""
        return [
            Statement.read(one)
            for policy in self._values.of(self._resources[role]["Properties"]["Policies"])
            for one in policy["PolicyDocument"]["Statement"]
        ]

    def trust_of(self, role: str) -> list[Statement]:
        """Return who may take a role."""
        document = self._resources[role]["Properties"]["AssumeRolePolicyDocument"]
        return [Statement.read(one) for one in self._values.of(document)["Statement"]]

    def policies(self) -> dict[str, list[Statement]]:
        """Return the policies of keys and buses, by the ARN of what each belongs to."""
        found: dict[str, list[Statement]] = {}
        for name, resource in self._resources.items():
            if resource.get("Type") == "AWS::KMS::Key":
                arn = self.arn(name)
                document = self._values.of(resource["Properties"]["KeyPolicy"])
                found[arn] = [Statement.read({**one, "Resource": arn}) for one in document["Statement"]]
            if resource.get("Type") == "AWS::Events::EventBusPolicy":
                statement = self._values.of(resource["Properties"]["Statement"])
                found.setdefault(statement["Resource"], []).append(Statement.read(statement))
        return found

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
                mapping.get("Type") != "AWS::Lambda::EventSourceMapping"
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


class Rights:
    """Who may do what: the functions by their roles, and whoever took a role of another account by that."""

    def __init__(self, home: Roles, elsewhere: Mapping[str, tuple[Roles, str]]) -> None:
        """Take gonogo's own account, and the roles of others by their ARNs: whose they are, and their logical ids."""
        functions = home.functions()
        self.role_of: Final = {function: home.arn(ROLES[function]) for function in functions}
        self.own: Final = {self.role_of[one]: home.statements_of(ROLES[one]) for one in functions}
        self.policies: Final = home.policies()
        self.by_lambda: Final = {function: home.made_by_lambda(function) for function in functions}
        for arn, (roles, role) in elsewhere.items():
            self.own[arn] = roles.statements_of(role)
            self.policies[arn] = roles.trust_of(role)

    def refusal(self, role: str, call: Call) -> str | None:
        """Tell why a role may not make a call, in AWS's own words; None if it may. What is not known may nothing."""
        return refusal(call, role, self.own.get(role, ()), self.policies.get(call.resource, ()))


def rights(
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    look: Callable[[str, str | None], Any],
    bundled: Collection[Template],
) -> Rights:
    """Return who may do what where the stack was deployed for these templates of a policy, and other accounts too."""
    needed = parameters_for(bundled)
    home = Roles(template, {**parameters, **needed}, look)
    elsewhere: dict[str, tuple[Roles, str]] = {}
    for account in {one.account for one in bundled if one.account is not None}:
        told = {
            "ExternalId": account.external_id,
            "GonogoLaunchRoleArn": home.arn("LaunchRole"),
            "GonogoObserverRoleArns": ",".join(map(home.arn, LOOKING)),
        }
        shared = ("LaunchRegions", "InstanceRoleArns", "StackRoleArns", "StateMachineArns")
        told |= {name: needed[name] for name in shared if name in needed}
        roles = Roles(templates.read(THERE), told, _elsewhere(account))
        elsewhere |= {account.role: (roles, "LaunchRole"), account.observer: (roles, "ObserverRole")}
    return Rights(home, elsewhere)


def parameters_for(bundled: Iterable[Template]) -> dict[str, str]:
    """Return the parameters of the stack by which a policy's templates can be launched: docs/deploy.md has them."""
    regions, found = {REGION}, dict[str, set[str]]()
    for one in bundled:
        regions.add(one.region)
        if one.account is not None:
            found.setdefault("LaunchRoleArns", set()).add(one.account.role)
            found.setdefault("ObserverRoleArns", set()).add(one.account.observer)
        for text in _texts(msgspec.to_builtins([one.spec, one.choices, one.parameters])):
            if ":instance-profile/" in text:
                # A profile holds one role; those that EC2's console makes have the profile's name.
                role = text.replace(":instance-profile/", ":role/")
                found.setdefault("InstanceRoleArns", set()).add(role)
            elif text.startswith("arn:") and ":role/" in text:
                found.setdefault("StackRoleArns", set()).add(text)
            elif text.startswith("arn:") and ":stateMachine:" in text:
                found.setdefault("StateMachineArns", set()).add(":".join(text.split(":")[:7]))
    if regions != {REGION}:
        found["LaunchRegions"] = regions
    return {name: ",".join(sorted(values)) for name, values in found.items()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


PSEUDO: Final = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "gonogo",
    "AWS::URLSuffix": "amazonaws.com",
}


def _elsewhere(account: Account) -> Callable[[str, str | None], Any]:
    return lambda name, _attribute: {**PSEUDO, "AWS::AccountId": account.number}[name]
