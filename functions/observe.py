"""An instance, a stack or an execution has changed: note it with its day, with its launch, and of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from functions import messages
from gonogo.bootstrap import gonogo
from gonogo.service import observe
from gonogo.service.observe import Said


class _Message(msgspec.Struct, frozen=True):
    """An event of AWS (Amazon EventBridge user guide, "AWS service event metadata")."""

    account: str
    region: str
    time: datetime
    detail: dict[str, Any]


class _What(msgspec.Struct, frozen=True):
    """What an event says of which resource; `said` is None for what is on its way from one state to another."""

    resource: str
    said: Said | None
    at: datetime


_EC2: Mapping[str, Said] = {"running": "running", "stopped": "stopped", "terminated": "terminated"}
_STACKS: Mapping[str, Said] = {"CREATE_COMPLETE": "running", "DELETE_COMPLETE": "terminated"}
_EXECUTIONS: Mapping[str, Said] = {
    "RUNNING": "running",
    **dict.fromkeys(("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"), "terminated"),
}


def _instance(message: _Message) -> _What:
    """Read "EC2 Instance State-change Notification" (Amazon EC2 user guide, "State change events")."""
    return _What(message.detail["instance-id"], _EC2.get(message.detail["state"]), message.time)


def _stack(message: _Message) -> _What:
    """Read "CloudFormation Stack Status Change" (CloudFormation user guide, "EventBridge event details")."""
    return _What(
        message.detail["stack-id"], _STACKS.get(message.detail["status-details"]["status"]), message.time
    )


def _execution(message: _Message) -> _What:
    """Read "Step Functions Execution Status Change" (Step Functions guide, "EventBridge"); times are in ms."""
    said = _EXECUTIONS.get(message.detail["status"])
    moment = message.detail["startDate" if said == "running" else "stopDate"]
    at = datetime.fromtimestamp(moment / 1000, UTC) if moment else message.time
    return _What(message.detail["executionArn"], said, at)


_ENGINES: Mapping[str, tuple[str, Callable[[_Message], _What]]] = {
    "aws.ec2": ("ec2", _instance),
    "aws.cloudformation": ("cloudformation", _stack),
    "aws.states": ("stepfunctions", _execution),
}


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Observe what a batch of messages names; states on the way from one to another are passed over."""
    return messages.each(event, one)


def one(message: dict[str, Any]) -> None:
    """Observe one resource, or all that a launch has made.

    Raises:
        KeyError, msgspec.ValidationError: it is no event that this knows.
    """
    if message.get("source") == "gonogo":
        observe.launched(gonogo(), messages.cue(message).subject)
        return
    engine, read = _ENGINES[str(message["source"])]
    event = msgspec.convert(message, _Message)
    what = read(event)
    if what.said is not None:
        observe.observe(
            gonogo(),
            what.resource,
            region=event.region,
            account=event.account,
            said=what.said,
            said_at=what.at,
            engine=engine,
        )
