"""Delivers one event to one target of a rule, as EventBridge would.

Input, InputPath and InputTransformer are honoured as in the EventBridge user guide, "Target input
transformation"; a target that cannot be reached gets its event into the dead-letter queue of that target, and
nobody else hears of it. What goes on to another bus keeps the account and the region that it came from, whichever
account and region that bus is in.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends

from local.aws import Arn, client, queue_url

log = logging.getLogger(__name__)

Event = Mapping[str, Any]
Target = Mapping[str, Any]

STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\['([^']+)'\]")
VARIABLE = re.compile(r"<([\w.-]+)>")


class TargetError(Exception):
    """A target that this bus cannot reach; the text goes to its dead-letter queue."""


class Rule:
    """Who delivers: the name and ARN of a rule, as its targets may be told."""

    def __init__(self, name: str, arn: str) -> None:
        self.name = name
        self.arn = arn


def envelope(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event as subscribers get it, from moto's: nine fields, `time` in whole seconds."""
    return {
        "version": "0",
        "id": raw["id"],
        "detail-type": raw["detail-type"],
        "source": raw["source"],
        "account": raw["account"],
        "time": _time(raw["time"]),
        "region": raw["region"],
        "resources": list(raw.get("resources") or []),
        "detail": raw["detail"],
    }


def deliver(rule: Rule, target: Target, event: Event) -> None:
    """Send `event` to `target`; a failure ends in the log and in the target's dead-letter queue."""
    body = ""
    try:
        body = rendered(rule, target, event)
        _send(target, body, event)
    except Exception as error:  # noqa: BLE001  whatever it is, it is this target's alone
        arn = target["Arn"]
        log.warning("rule %s could not deliver to %s: %s", rule.name, arn, error)
        dead = target.get("DeadLetterConfig", {}).get("Arn")
        if dead:
            _bury(dead, rule, arn, body or json.dumps(event), error)


def rendered(rule: Rule, target: Target, event: Event) -> str:
    """Return the body that `target` is to get for `event`."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_at(event, target["InputPath"]))
    if "InputTransformer" in target:
        return _transformed(rule, target["InputTransformer"], event)
    return json.dumps(event)


def _time(value: object) -> str:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def _at(event: Any, path: str) -> Any:
    """Return what a JSON path of names and indexes points at; None where there is nothing."""
    if not path.startswith("$") or STEP.sub("", path[1:]):
        message = f"{path!r} is not a path such as $.detail.data or $.resources[0]"
        raise TargetError(message)
    for name, index, quoted in STEP.findall(path):
        try:
            event = event[int(index)] if index else event[name or quoted]
        except (KeyError, IndexError, TypeError):
            return None
    return event


def _transformed(rule: Rule, transformer: Mapping[str, Any], event: Event) -> str:
    values: dict[str, Any] = {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
    }
    for name, path in transformer.get("InputPathsMap", {}).items():
        values[name] = _at(event, path)
    template = str(transformer["InputTemplate"])

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        found = values[match[1]]
        if not _quoted(template[: match.start()]):
            return json.dumps(found)
        text = found if isinstance(found, str) else "" if found is None else json.dumps(found)
        return json.dumps(text)[1:-1]

    return VARIABLE.sub(value, template)


def _quoted(before: str) -> bool:
    """Tell whether the text that follows `before` stands within a JSON string."""
    return len(re.findall(r'(?<!\\)"', before)) % 2 == 1


def _send(target: Target, body: str, event: Event) -> None:
    arn = Arn.read(target["Arn"])
    if arn.service == "sqs":
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        _to_queue(arn, body, **({"MessageGroupId": group} if group else {}))
    elif arn.service == "sns":
        client("sns", arn.region).publish(TopicArn=target["Arn"], Message=body)
    elif arn.service == "firehose":
        _to_files(arn, body)
    elif arn.service == "events" and arn.resource.startswith("event-bus/"):
        arrive(arn, event)
    else:
        message = f"this bus delivers to SQS, SNS, Firehose and other buses only, not to {target['Arn']}"
        raise TargetError(message)


def _to_queue(arn: Arn, body: str, **extra: Any) -> None:
    client("sqs", arn.region).send_message(QueueUrl=queue_url(arn), MessageBody=body, **extra)


def _to_files(arn: Arn, body: str) -> None:
    """Put a record, ended as the stream's own processor would end it: moto's plays none."""
    firehose = client("firehose", arn.region)
    stream = arn.resource.removeprefix("deliverystream/")
    told = firehose.describe_delivery_stream(DeliveryStreamName=stream)["DeliveryStreamDescription"]
    processing = told["Destinations"][0]["ExtendedS3DestinationDescription"].get(
        "ProcessingConfiguration", {}
    )
    ended = any(one["Type"] == "AppendDelimiterToRecord" for one in processing.get("Processors", ()))
    data = f"{body}\n" if ended and processing.get("Enabled") else body
    firehose.put_record(DeliveryStreamName=stream, Record={"Data": data.encode()})


def arrive(arn: Arn, event: Event) -> None:
    """Let an event arrive at a bus of any account and region; its rules take it from there.

    What fills an archive is a rule of EventBridge's own, on the bus where an event was put.
    """
    bus = events_backends[arn.account][arn.region].describe_event_bus(arn.resource.removeprefix("event-bus/"))
    for rule in [one for one in bus.rules.values() if not one.managed_by]:
        told: Any = dict(event)
        rule.send_to_targets(told)


def _bury(dead: str, rule: Rule, target: str, body: str, error: Exception) -> None:
    told = {"RULE_ARN": rule.arn, "TARGET_ARN": target, "ERROR_CODE": type(error).__name__}
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in told.items()}
    try:
        _to_queue(Arn.read(dead), body, MessageAttributes=attributes)
    except Exception as lost:  # noqa: BLE001  as above
        log.warning("and its dead-letter queue %s did not take it: %s", dead, lost)
