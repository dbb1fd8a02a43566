"""Notes what each Lambda function asks of AWS while it runs, as IAM sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.client import BaseClient

from tests.roles import ACCOUNT, REGION, Call

Parameters = Mapping[str, Any]


class Recorder:
    """Collects the calls of functions, by the function's logical id.

    Inside `listening()` each call that any botocore client makes is noted for the function whose `playing()`
    block is open; a call outside such a block is the test's own.
    """

    def __init__(self) -> None:
        """Nothing has been heard yet."""
        self.calls: dict[str, set[Call]] = {}
        self._function: str | None = None
        self._tags: dict[str, dict[str, str]] = {}

    @contextmanager
    def playing(self, function: str) -> Iterator[None]:
        """Note calls for `function`."""
        before, self._function = self._function, function
        self.calls.setdefault(function, set())
        try:
            yield
        finally:
            self._function = before

    def wrap(self, function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Return the handler, its calls noted for `function`."""

        def played(*arguments: Any, **options: Any) -> Any:
            with self.playing(function):
                return handler(*arguments, **options)

        return played

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear every call that is made through botocore."""
        ask = BaseClient._make_api_call  # type: ignore[attr-defined]

        def heard(client: BaseClient, operation: str, parameters: Parameters) -> Any:
            service = client.meta.service_model.service_name
            if self._function is not None:
                self.calls[self._function].update(self._seen(service, operation, parameters))
            # What is asked while AWS answers is asked by who plays AWS here.
            before, self._function = self._function, None
            try:
                answer = ask(client, operation, parameters)
            finally:
                self._function = before
            if (service, operation) == ("ec2", "RunInstances"):
                self._remember(answer)
            return answer

        BaseClient._make_api_call = heard  # type: ignore[attr-defined]
        try:
            yield
        finally:
            BaseClient._make_api_call = ask  # type: ignore[attr-defined]

    def _seen(self, service: str, operation: str, parameters: Parameters) -> list[Call]:
        if (service, operation) in TAGGED:
            return [
                Call(f"ec2:{operation}", _ec2("instance", name), _resource_tags(self._tags.get(name, {})))
                for name in parameters["InstanceIds"]
            ]
        return CALLS[service, operation](operation, parameters)

    def _remember(self, answer: Mapping[str, Any]) -> None:
        for instance in answer["Instances"]:
            self._tags[instance["InstanceId"]] = {
                tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())
            }


def _table(operation: str, parameters: Parameters) -> list[Call]:
    """DynamoDB on one table or index; the first key of each item is what dynamodb:LeadingKeys holds."""
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{parameters['TableName']}"
    if "IndexName" in parameters:
        arn += f"/index/{parameters['IndexName']}"
    item = parameters.get("Item") or parameters.get("Key")
    context = (("dynamodb:LeadingKeys", (item["pk"]["S"],)),) if item else ()
    return [Call(f"dynamodb:{operation}", arn, context)]


def _tables(operation: str, parameters: Parameters) -> list[Call]:
    return [
        Call(f"dynamodb:{operation}", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}")
        for table in parameters["RequestItems"]
    ]


def _put_events(_operation: str, parameters: Parameters) -> list[Call]:
    buses = {entry.get("EventBusName", "default") for entry in parameters["Entries"]}
    return [Call("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}") for bus in buses]


def _queue(operation: str, parameters: Parameters) -> list[Call]:
    name = parameters["QueueUrl"].rsplit("/", 1)[-1]
    return [Call(f"sqs:{operation}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")]


def _key(operation: str, parameters: Parameters) -> list[Call]:
    """KMS by a key's ARN; gonogo names none by id or alias."""
    return [Call(f"kms:{operation}", parameters["KeyId"])]


def _parameter(operation: str, parameters: Parameters) -> list[Call]:
    """AWS's own parameters belong to no account (Systems Manager guide, public parameters)."""
    name = parameters["Name"]
    account = "" if name.startswith("/aws/service/") else ACCOUNT
    return [Call(f"ssm:{operation}", f"arn:aws:ssm:{REGION}:{account}:parameter{name}")]


def _mail(operation: str, parameters: Parameters) -> list[Call]:
    """SES checks SendRawEmail when SendEmail of its second version is given a whole message."""
    action = "ses:SendRawEmail" if "Raw" in parameters["Content"] else f"ses:{operation}"
    sender = parameters["FromEmailAddress"]
    identity = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/{sender}"
    return [Call(action, identity, (("ses:FromAddress", (sender,)),))]


def _ec2(kind: str, name: str) -> str:
    account = "" if kind == "image" else ACCOUNT
    return f"arn:aws:ec2:{REGION}:{account}:{kind}/{name}"


def _resource_tags(tags: Mapping[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((f"aws:ResourceTag/{key}", (value,)) for key, value in sorted(tags.items()))


def _run_instances(_operation: str, parameters: Parameters) -> list[Call]:
    """RunInstances is checked on each thing it makes or uses, and once more for each kind of thing it tags.

    Source: Service Authorization Reference, Amazon EC2; EC2 user guide, "Grant permission to tag resources
    during creation".
    """
    tags = {one["ResourceType"]: one["Tags"] for one in parameters.get("TagSpecifications", ())}

    def asked(kind: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return tuple((f"aws:RequestTag/{tag['Key']}", (tag["Value"],)) for tag in tags.get(kind, ()))

    calls = [Call("ec2:RunInstances", _ec2("image", parameters["ImageId"]))]
    calls += [
        Call("ec2:RunInstances", _ec2(kind, "new"), asked(kind))
        for kind in ("instance", "network-interface", "volume")
    ]
    calls.append(Call("ec2:RunInstances", _ec2("subnet", parameters.get("SubnetId", "subnet-default"))))
    calls += [
        Call("ec2:RunInstances", _ec2("security-group", group))
        for group in parameters.get("SecurityGroupIds", ["sg-default"])
    ]
    if "KeyName" in parameters:
        calls.append(Call("ec2:RunInstances", _ec2("key-pair", parameters["KeyName"])))
    calls += [
        Call("ec2:CreateTags", _ec2(kind, "new"), (("ec2:CreateAction", ("RunInstances",)), *asked(kind)))
        for kind in tags
    ]
    if "IamInstanceProfile" in parameters:
        # A profile holds one role; those that EC2's console makes have the profile's name.
        role = parameters["IamInstanceProfile"]["Arn"].replace(":instance-profile/", ":role/")
        calls.append(Call("iam:PassRole", role, (("iam:PassedToService", ("ec2.amazonaws.com",)),)))
    return calls


def _describe(operation: str, _parameters: Parameters) -> list[Call]:
    return [Call(f"ec2:{operation}", "*")]


TAGGED = {("ec2", "StartInstances"), ("ec2", "StopInstances"), ("ec2", "TerminateInstances")}
"""Operations whose permission depends on the tags of what they change."""

CALLS: Mapping[tuple[str, str], Callable[[str, Parameters], list[Call]]] = {
    ("dynamodb", "BatchGetItem"): _tables,
    ("dynamodb", "GetItem"): _table,
    ("dynamodb", "PutItem"): _table,
    ("dynamodb", "Query"): _table,
    ("dynamodb", "UpdateItem"): _table,
    ("ec2", "DescribeInstances"): _describe,
    ("ec2", "RunInstances"): _run_instances,
    ("events", "PutEvents"): _put_events,
    ("kms", "GenerateMac"): _key,
    ("kms", "VerifyMac"): _key,
    ("sesv2", "SendEmail"): _mail,
    ("sqs", "SendMessage"): _queue,
    ("ssm", "GetParameter"): _parameter,
}
"""What IAM checks for an operation. A function that calls another one needs a line here, and in its role."""
