"""What IAM checks for an operation: one call of an API may be several questions, each with an action and a resource.

Source: Service Authorization Reference, for each service; what else it follows stands with each function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from moto.ec2.models import ec2_backends

from local.iam import ANYTHING, Call

Parameters = Mapping[str, Any]
PARTITION: Final = re.compile(r"^\(?[\w#]+ = (:\w+)")


class Where(msgspec.Struct, frozen=True):
    """The region that is asked, and the account whose things it is asked about."""

    region: str
    account: str

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of something there."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"


def asked(service: str, operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """Return what IAM checks for an operation of a service of botocore's, called with these parameters.

    An operation that is not known is checked as the action of its name, on whatever it is about.
    """
    known = CALLS.get((service, operation))
    found = known(operation, parameters, where) if known else [_by_its_name(service, operation)]
    region = ("aws:RequestedRegion", (where.region,))
    return [msgspec.structs.replace(one, context=(*one.context, region)) for one in found]


def _by_its_name(service: str, operation: str) -> Call:
    return Call(
        f"{ {'stepfunctions': 'states', 'sesv2': 'ses'}.get(service, service) }:{operation}", ANYTHING
    )


def _table(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """DynamoDB on one table or index; the first key of each item is what dynamodb:LeadingKeys holds.

    Source: DynamoDB developer guide, "Using IAM policy conditions for fine-grained access control".
    """
    arn = where.arn("dynamodb", f"table/{parameters['TableName']}")
    if "IndexName" in parameters:
        arn += f"/index/{parameters['IndexName']}"
    item = parameters.get("Item") or parameters.get("Key")
    leading = item["pk"]["S"] if item else _partition(parameters)
    return [Call(f"dynamodb:{operation}", arn, (("dynamodb:LeadingKeys", (leading,)),))]


def _partition(parameters: Parameters) -> str:
    """Return the partition that a query reads: what its condition, which begins with the first key, says it equals."""
    equals = PARTITION.search(parameters["KeyConditionExpression"])
    if equals is None:
        raise NotImplementedError(f"a query of no one partition: {parameters['KeyConditionExpression']}")
    value: str = parameters["ExpressionAttributeValues"][equals[1]]["S"]
    return value


def _tables(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    return [
        Call(
            f"dynamodb:{operation}",
            where.arn("dynamodb", f"table/{table}"),
            (("dynamodb:LeadingKeys", tuple(sorted({key["pk"]["S"] for key in wanted["Keys"]}))),),
        )
        for table, wanted in parameters["RequestItems"].items()
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


def _instances(operation: str, parameters: Parameters, where: Where) -> list[Call]:
    """EC2 on each of some instances, with the tags that it has."""
    tags = ec2_backends[where.account][where.region].tags
    return [
        Call(
            f"ec2:{operation}",
            _ec2(where, "instance", name),
            tuple((f"aws:ResourceTag/{key}", (value,)) for key, value in sorted(tags.get(name, {}).items())),
        )
        for name in parameters["InstanceIds"]
    ]


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
    context = tuple((f"aws:RequestTag/{tag['Key']}", (tag["Value"],)) for tag in parameters.get("Tags", ()))
    if role:
        context += (("cloudformation:RoleArn", (role,)),)
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
    ("ec2", "StartInstances"): _instances,
    ("ec2", "StopInstances"): _instances,
    ("ec2", "TerminateInstances"): _instances,
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
