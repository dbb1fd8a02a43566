"""Notes what each Lambda function asks of AWS while it runs, as IAM sees it: by its own role, or by one it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from botocore.client import BaseClient

from tests.roles import ACCOUNT, Call

Parameters = Mapping[str, Any]


class Where(msgspec.Struct, frozen=True):
    """The region that is asked, and the account whose things it is asked about."""

    region: str
    account: str

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of something there."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"


class Recorder:
    """Collects the calls of functions, by the function's logical id.

    Inside `listening()` each call that any botocore client makes is noted for the function whose `playing()`
    block is open; a call outside such a block is the test's own. What a function asks by a role of another account
    is noted under that role's ARN instead: there its own role counts for nothing.
    """

    def __init__(self) -> None:
        """Nothing has been heard yet."""
        self.calls: dict[str, set[Call]] = {}
        self._function: str | None = None
        self._tags: dict[str, dict[str, str]] = {}
        self._taken: dict[str, str] = {}

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
                signer: Any = client._request_signer  # type: ignore[attr-defined]
                role = self._taken.get(signer._credentials.access_key)
                where = Where(client.meta.region_name, role.split(":")[4] if role else ACCOUNT)
                seen = self._seen(service, operation, parameters, where)
                self.calls.setdefault(role or self._function, set()).update(seen)
            # What is asked while AWS answers is asked by who plays AWS here.
            before, self._function = self._function, None
            try:
                answer = ask(client, operation, parameters)
            finally:
                self._function = before
            if (service, operation) == ("ec2", "RunInstances"):
                self._remember(answer)
            if (service, operation) == ("sts", "AssumeRole"):
                self._taken[answer["Credentials"]["AccessKeyId"]] = parameters["RoleArn"]
            return answer

        BaseClient._make_api_call = heard  # type: ignore[attr-defined]
        try:
            yield
        finally:
            BaseClient._make_api_call = ask  # type: ignore[attr-defined]

    def _seen(self, service: str, operation: str, parameters: Parameters, where: Where) -> list[Call]:
        if (service, operation) in TAGGED:
            calls = [
                Call(f"ec2:{operation}", _ec2(where, "instance", name), _tags_of(self._tags.get(name, {})))
                for name in parameters["InstanceIds"]
            ]
        else:
            calls = CALLS[service, operation](operation, parameters, where)
        asked = ("aws:RequestedRegion", (where.region,))
        return [msgspec.structs.replace(one, context=(*one.context, asked)) for one in calls]

    def _remember(self, answer: Mapping[str, Any]) -> None:
        for instance in answer["Instances"]:
            self._tags[instance["InstanceId"]] = {
                tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())
            }


def _table(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """DynamoDB on one table or index; the first key of each item is what dynamodb:LeadingKeys holds."""
    arn = where.arn("dynamodb", f"table/{parameters['TableName']}")
    if "IndexName" in parameters:
        arn += f"/index/{parameters['IndexName']}"
    item = parameters.get("Item") or parameters.get("Key")
    context = (("dynamodb:LeadingKeys", (item["pk"]["S"],)),) if item else ()
    return [Call(f"dynamodb:{operation}", arn, context)]


def _tables(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    return [
        Call(f"dynamodb:{operation}", where.arn("dynamodb", f"table/{table}"))
        for table in parameters["RequestItems"]
    ]


def _put_events(_operation: str, parameters: Parameters, where: Where) -> list[Call]:
    buses = {entry.get("EventBusName", "default") for entry in parameters["Entries"]}
    return [Call("events:PutEvents", where.arn("events", f"event-bus/{bus}")) for bus in buses]


def _queue(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    return [Call(f"sqs:{operation}", where.arn("sqs", parameters["QueueUrl"].rsplit("/", 1)[-1]))]


def _key(operation: str, parameters: Parameters, _where: Where) -> list[Call]:
    """KMS by a key's ARN; gonogo names none by id or alias."""
    return [Call(f"kms:{operation}", parameters["KeyId"])]


def _parameter(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """AWS's own parameters belong to no account (Systems Manager guide, public parameters)."""
    name = parameters["Name"]
    if name.startswith("/aws/service/"):
        where = Where(where.region, "")
    return [Call(f"ssm:{operation}", where.arn("ssm", f"parameter{name}"))]


def _mail(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """SES checks SendRawEmail when SendEmail of its second version is given a whole message."""
    action = "ses:SendRawEmail" if "Raw" in parameters["Content"] else f"ses:{operation}"
    sender = parameters["FromEmailAddress"]
    return [Call(action, where.arn("ses", f"identity/{sender}"), (("ses:FromAddress", (sender,)),))]


def _object(operation: str, parameters: Parameters, _where: Where) -> list[Call]:
    """Ask S3 for more rights than to write where a call says how long, or for whom, the object is kept.

    Source: Service Authorization Reference, Amazon S3; S3 API reference, PutObject.
    """
    arn = f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}"
    more = {"ACL": "PutObjectAcl", "ObjectLockMode": "PutObjectRetention", "Tagging": "PutObjectTagging"}
    return [
        Call(f"s3:{name}", arn)
        for name in (operation, *(action for key, action in more.items() if key in parameters))
    ]


def _role(operation: str, parameters: Parameters, _where: Where) -> list[Call]:
    said = (("sts:ExternalId", (parameters["ExternalId"],)),)
    return [Call(f"sts:{operation}", parameters["RoleArn"], said)]


def _ec2(where: Where, kind: str, name: str) -> str:
    """Return the ARN of a thing of EC2's; an image's names no account."""
    return (Where(where.region, "") if kind == "image" else where).arn("ec2", f"{kind}/{name}")


def _tags_of(tags: Mapping[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((f"aws:ResourceTag/{key}", (value,)) for key, value in sorted(tags.items()))


def _run_instances(_operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """RunInstances is checked on each thing it makes or uses, and once more for each kind of thing it tags.

    Source: Service Authorization Reference, Amazon EC2; EC2 user guide, "Grant permission to tag resources
    during creation".
    """
    tags = {one["ResourceType"]: one["Tags"] for one in parameters.get("TagSpecifications", ())}

    def asked(kind: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return tuple((f"aws:RequestTag/{tag['Key']}", (tag["Value"],)) for tag in tags.get(kind, ()))

    used = [
        ("image", parameters.get("ImageId", "ami-of-the-launch-template")),
        ("subnet", parameters.get("SubnetId", "subnet-default")),
        *(("security-group", group) for group in parameters.get("SecurityGroupIds", ["sg-default"])),
    ]
    if "KeyName" in parameters:
        used.append(("key-pair", parameters["KeyName"]))
    if "LaunchTemplate" in parameters:
        used.append(("launch-template", parameters["LaunchTemplate"]["LaunchTemplateId"]))
    calls = [Call("ec2:RunInstances", _ec2(where, kind, name)) for kind, name in used]
    calls += [
        Call("ec2:RunInstances", _ec2(where, kind, "new"), asked(kind))
        for kind in ("instance", "network-interface", "volume")
    ]
    calls += [
        Call(
            "ec2:CreateTags",
            _ec2(where, kind, "new"),
            (("ec2:CreateAction", ("RunInstances",)), *asked(kind)),
        )
        for kind in tags
    ]
    if "IamInstanceProfile" in parameters:
        # A profile holds one role; those that EC2's console makes have the profile's name.
        role = parameters["IamInstanceProfile"]["Arn"].replace(":instance-profile/", ":role/")
        calls.append(_passed(role, "ec2.amazonaws.com"))
    return calls


def _passed(role: str, service: str) -> Call:
    return Call("iam:PassRole", role, (("iam:PassedToService", (service,)),))


def _describe(operation: str, _parameters: Parameters, _where: Where) -> list[Call]:
    return [Call(f"ec2:{operation}", "*")]


def _stack(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """CloudFormation on a stack by its name or its id; CreateStack passes a role on.

    Source: Service Authorization Reference, AWS CloudFormation.
    """
    name = parameters["StackName"]
    arn = name if name.startswith("arn:") else where.arn("cloudformation", f"stack/{name}/id")
    role = parameters.get("RoleARN")
    context = (("cloudformation:RoleArn", (role,)),) if role else ()
    passed = [_passed(role, "cloudformation.amazonaws.com")] if role else []
    return [Call(f"cloudformation:{operation}", arn, context), *passed]


def _state_machine(operation: str, parameters: Parameters, _where: Where) -> list[Call]:
    """Step Functions on a machine: what stands behind its name is a condition key, and not part of the resource.

    Source: Step Functions developer guide, "Creating granular permissions" for versions and aliases.
    """
    arn = parameters.get("stateMachineArn") or parameters["stateMachineAliasArn"]
    return [Call(f"states:{operation}", ":".join(arn.split(":")[:7]))]


def _execution(operation: str, parameters: Parameters, _where: Where) -> list[Call]:
    return [Call(f"states:{operation}", parameters["executionArn"])]


TAGGED = {("ec2", "StartInstances"), ("ec2", "StopInstances"), ("ec2", "TerminateInstances")}
"""Operations whose permission depends on the tags of what they change."""

CALLS: Mapping[tuple[str, str], Callable[[str, Parameters, Where], list[Call]]] = {
    ("cloudformation", "CreateStack"): _stack,
    ("cloudformation", "DeleteStack"): _stack,
    ("cloudformation", "DescribeStackEvents"): _stack,
    ("cloudformation", "DescribeStacks"): _stack,
    ("cloudformation", "GetTemplate"): _stack,
    ("dynamodb", "BatchGetItem"): _tables,
    ("dynamodb", "GetItem"): _table,
    ("dynamodb", "PutItem"): _table,
    ("dynamodb", "Query"): _table,
    ("dynamodb", "UpdateItem"): _table,
    ("ec2", "DescribeInstances"): _describe,
    ("ec2", "DescribeLaunchTemplateVersions"): _describe,
    ("ec2", "RunInstances"): _run_instances,
    ("events", "PutEvents"): _put_events,
    ("kms", "GenerateMac"): _key,
    ("kms", "VerifyMac"): _key,
    ("s3", "PutObject"): _object,
    ("sesv2", "SendEmail"): _mail,
    ("sqs", "SendMessage"): _queue,
    ("ssm", "GetParameter"): _parameter,
    ("stepfunctions", "DescribeExecution"): _execution,
    ("stepfunctions", "DescribeStateMachine"): _state_machine,
    ("stepfunctions", "DescribeStateMachineAlias"): _state_machine,
    ("stepfunctions", "ListStateMachineVersions"): _state_machine,
    ("stepfunctions", "StartExecution"): _state_machine,
    ("stepfunctions", "StopExecution"): _execution,
    ("sts", "AssumeRole"): _role,
}
"""What IAM checks for an operation. A function that calls another one needs a line here, and in its role."""
