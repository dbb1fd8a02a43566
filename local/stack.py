"""Makes the resources of infra/template.yaml in moto, and tells what the template wires to which function.

A resource is made when something first refers to it, so the order in the file does not matter. A type that is
neither made nor left out on purpose is an error: whoever adds one decides what it means on one machine.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from local.aws import ACCOUNT, REGION, Arn, client
from local.template import TemplateError, Values

NAME: Final = "gonogo"


def pseudo(region: str) -> Mapping[str, str]:
    """Return CloudFormation's pseudo parameters for a stack of this region."""
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{NAME}/local",
        "AWS::StackName": NAME,
        "AWS::URLSuffix": "amazonaws.com",
    }


LEFT_OUT: Final = frozenset(
    {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Events::EventBusPolicy",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",  # moto's would swallow the records; local/pump.py plays them
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::LogStream",
        "AWS::Logs::MetricFilter",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::WAFv2::WebACL",
        "AWS::WAFv2::WebACLAssociation",
    }
)
"""Types that watch, permit or log: nothing that gonogo does on one machine depends on them."""

RATE = re.compile(r"rate\((\d+) (second|minute|hour|day)s?\)")

Attributes = Mapping[str, Any]
"""What Fn::GetAtt answers by name, and under "Ref" what Ref does."""


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """One event-source mapping: which function gets the records of which stream or queue, and how."""

    function: str
    source: str
    batch: int
    reports_failures: bool
    bisects: bool
    attempts: int
    filters: tuple[Mapping[str, Any], ...]
    on_failure: str | None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that fires by the clock, with its ARN."""

    rule: str
    function: str
    every: timedelta


class Stack:
    """The resources of one template, made in moto as they are asked for."""

    def __init__(
        self, template: Mapping[str, Any], parameters: Mapping[str, str], region: str = REGION
    ) -> None:
        """Take a template as `template.read` returns it, and the parameters that differ from its defaults."""
        self._template = template
        self._region = region
        self._pseudo = pseudo(region)
        self._resources: Mapping[str, Any] = template["Resources"]
        self._made: dict[str, Attributes] = {}
        self._making: set[str] = set()
        self._values = Values(template, parameters, self.look)

    def make(self) -> None:
        """Make every resource; raise TemplateError for one whose type is not known here."""
        for logical_id, resource in self._resources.items():
            kind = resource.get("Type")
            if kind is not None and kind not in LEFT_OUT and self._wanted(logical_id):
                self.look(logical_id, None)

    def look(self, logical_id: str, attribute: str | None) -> Any:
        """Return what Ref (attribute None) or Fn::GetAtt gives; the resource is made first if need be."""
        if logical_id in self._pseudo:
            return self._pseudo[logical_id]
        if logical_id not in self._made:
            self._made[logical_id] = self._attributes(logical_id)
        attributes = self._made[logical_id]
        if (attribute or "Ref") not in attributes:
            message = f"{logical_id} has no {attribute} here"
            raise TemplateError(message)
        return attributes[attribute or "Ref"]

    def environment(self) -> dict[str, str]:
        """Return what the functions find in their environment, all in one: here they are one process.

        Raises TemplateError when two functions are told different things under one name.
        """
        found: dict[str, str] = {}
        shared = self._template.get("Globals", {}).get("Function", {})
        told = [shared, *(self._resources[name].get("Properties", {}) for name in self.functions())]
        for properties in told:
            variables = properties.get("Environment", {}).get("Variables", {})
            for name, value in self._values.of(variables).items():
                if found.setdefault(name, str(value)) != str(value):
                    message = f"{name} differs between functions, which are one process here"
                    raise TemplateError(message)
        return found

    def functions(self) -> list[str]:
        """Return the logical ids of what Chalice makes and the template adds to, functions among them."""
        return [
            name
            for name, resource in self._resources.items()
            if "Type" not in resource and self._wanted(name)
        ]

    def wires(self) -> list[Wire]:
        """Return every event-source mapping."""
        return [_wire(properties) for _, properties in self._of_type("AWS::Lambda::EventSourceMapping")]

    def schedules(self) -> list[Schedule]:
        """Return every rule that fires by the clock and has a function for its target."""
        return [
            Schedule(
                rule=self.look(logical_id, "Arn"),
                function=Arn.read(target["Arn"]).resource.removeprefix("function:"),
                every=_rate(properties["ScheduleExpression"]),
            )
            for logical_id, properties in self._of_type("AWS::Events::Rule")
            if "ScheduleExpression" in properties
            for target in properties["Targets"]
            if target["Arn"].startswith("arn:aws:lambda:")
        ]

    def _of_type(self, kind: str) -> list[tuple[str, Any]]:
        return [
            (name, self._values.of(resource.get("Properties", {})))
            for name, resource in self._resources.items()
            if resource.get("Type") == kind and self._wanted(name)
        ]

    def _wanted(self, logical_id: str) -> bool:
        return self._values.wanted(self._resources[logical_id])

    def _attributes(self, logical_id: str) -> Attributes:
        resource = self._resources.get(logical_id, {})
        kind = resource.get("Type")
        if kind is None or kind in LEFT_OUT:
            return _elsewhere(logical_id, kind, self._region)
        if kind not in MAKERS:
            message = f"{logical_id} is of type {kind}, which local/stack.py neither makes nor leaves out"
            raise TemplateError(message)
        if logical_id in self._making:
            message = f"{logical_id} refers to itself in a circle"
            raise TemplateError(message)
        self._making.add(logical_id)
        made = MAKERS[kind](self._region, logical_id, self._values.of(resource.get("Properties", {})))
        self._making.remove(logical_id)
        return made


def _elsewhere(logical_id: str, kind: str | None, region: str) -> Attributes:
    """Return plausible names for what only exists on AWS: functions, roles, what is left out."""
    if logical_id.endswith("Role"):
        arn = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-{logical_id}"
    elif kind == "AWS::Logs::LogGroup":
        arn = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{NAME}-{logical_id}:*"
    else:
        arn = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{logical_id}"
    return {"Ref": logical_id, "Arn": arn}


def _wire(properties: Mapping[str, Any]) -> Wire:
    filters = properties.get("FilterCriteria", {}).get("Filters", [])
    return Wire(
        function=properties["FunctionName"].rsplit(":", 1)[-1],
        source=properties["EventSourceArn"],
        batch=int(properties.get("BatchSize", 10)),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        bisects=_true(properties.get("BisectBatchOnFunctionError", False)),
        attempts=int(properties.get("MaximumRetryAttempts", -1)),
        filters=tuple(json.loads(one["Pattern"]) for one in filters),
        on_failure=properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
    )


def _rate(expression: str) -> timedelta:
    match = RATE.fullmatch(expression)
    if match is None:
        message = f"{expression!r} is not a rate; local/ plays no other schedule"
        raise TemplateError(message)
    return timedelta(**{f"{match[2]}s": int(match[1])})


def _true(value: object) -> bool:
    return str(value).lower() == "true"


def _table(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    known = (
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
    )
    asked = {name: properties[name] for name in known if name in properties}
    if "StreamSpecification" in properties:
        asked["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    name = properties.get("TableName", f"{NAME}-{logical_id}")
    made = client("dynamodb", region).create_table(TableName=name, **asked)["TableDescription"]
    return {"Ref": name, "Arn": made["TableArn"], "StreamArn": made.get("LatestStreamArn")}


def _bus(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    name = properties.get("Name", f"{NAME}-{logical_id}")
    made = client("events", region).create_event_bus(Name=name)
    return {"Ref": name, "Name": name, "Arn": made["EventBusArn"]}


def _rule(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    events = client("events", region)
    name = properties.get("Name", f"{NAME}-{logical_id}")
    bus = {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}
    asked = {
        key: properties[key] for key in ("Description", "ScheduleExpression", "State") if key in properties
    }
    if "EventPattern" in properties:
        asked["EventPattern"] = json.dumps(properties["EventPattern"])
    made = events.put_rule(Name=name, **bus, **asked)
    targets = [
        {key: target[key] for key in target if key != "RetryPolicy"} for target in properties["Targets"]
    ]
    events.put_targets(Rule=name, Targets=targets, **bus)
    return {"Ref": name, "Arn": made["RuleArn"]}


def _queue(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    sqs = client("sqs", region)
    name = properties.get("QueueName", f"{NAME}-{logical_id}")
    texts = {
        key: json.dumps(value) if isinstance(value, dict) else str(value)
        for key, value in properties.items()
        if key not in ("QueueName", "SqsManagedSseEnabled", "Tags")
    }
    url = sqs.create_queue(QueueName=name, Attributes=texts)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return {"Ref": url, "Arn": arn, "QueueName": name, "QueueUrl": url}


def _topic(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    name = properties.get("TopicName", f"{NAME}-{logical_id}")
    arn = client("sns", region).create_topic(Name=name)["TopicArn"]
    return {"Ref": arn, "TopicArn": arn, "TopicName": name}


def _key(region: str, _logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    asked = {key: properties[key] for key in ("Description", "KeySpec", "KeyUsage") if key in properties}
    made = client("kms", region).create_key(**asked)["KeyMetadata"]
    return {"Ref": made["KeyId"], "KeyId": made["KeyId"], "Arn": made["Arn"]}


def _alias(region: str, _logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    client("kms", region).create_alias(
        AliasName=properties["AliasName"], TargetKeyId=properties["TargetKeyId"]
    )
    return {"Ref": properties["AliasName"]}


def _bucket(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    s3 = client("s3", region)
    name = properties.get("BucketName", f"{NAME}-{logical_id}".lower())
    locks = _true(properties.get("ObjectLockEnabled", False))
    where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != REGION else {}
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks, **where)
    if locks:
        s3.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration=_object_lock(properties["ObjectLockConfiguration"])
        )
    elif "VersioningConfiguration" in properties:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
    return {"Ref": name, "Arn": f"arn:aws:s3:::{name}"}


def _object_lock(configured: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration as the API takes it, days as a number."""
    default = configured["Rule"]["DefaultRetention"]
    rule = {"DefaultRetention": {**default, "Days": int(default["Days"])}}
    return {**configured, "Rule": rule}


def _files(region: str, logical_id: str, properties: Mapping[str, Any]) -> Attributes:
    known = ("DeliveryStreamType", "ExtendedS3DestinationConfiguration")
    name = properties.get("DeliveryStreamName", f"{NAME}-{logical_id}")
    made = client("firehose", region).create_delivery_stream(
        DeliveryStreamName=name, **{key: properties[key] for key in known if key in properties}
    )
    return {"Ref": name, "Arn": made["DeliveryStreamARN"]}


MAKERS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Attributes]] = {
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::EventBus": _bus,
    "AWS::Events::Rule": _rule,
    "AWS::KMS::Alias": _alias,
    "AWS::KMS::Key": _key,
    "AWS::KinesisFirehose::DeliveryStream": _files,
    "AWS::S3::Bucket": _bucket,
    "AWS::SNS::Topic": _topic,
    "AWS::SQS::Queue": _queue,
}
