"""Tells the default bus what became of stacks and executions, as CloudFormation and Step Functions do, unlike moto."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.stepfunctions.models import Execution, stepfunctions_backends

from local.aws import ACCOUNT, client
from local.pump import Outcome, Pump


class StackWatch(Pump):
    """Announces each status that a stack went through, in every region in use, once."""

    def __init__(self) -> None:
        super().__init__("CloudFormation", source="", look_anyway=0.2)
        self._told: dict[str, int] = {}

    def step(self) -> Outcome:
        """Announce what happened to stacks since it was last looked."""
        worked = Outcome.IDLE
        for region, stack in self._stacks():
            happened = [one for one in list(stack.events) if one.physical_resource_id == stack.stack_id]
            for one in happened[self._told.get(stack.stack_id, 0) :]:
                detail = {
                    "stack-id": stack.stack_id,
                    "status-details": {
                        "status": one.resource_status,
                        "status-reason": one.resource_status_reason or "",
                    },
                    "client-request-token": one.client_request_token or "",
                }
                _announce(
                    region,
                    "aws.cloudformation",
                    "CloudFormation Stack Status Change",
                    stack.stack_id,
                    one.timestamp.replace(tzinfo=UTC),
                    detail,
                )
                worked = Outcome.WORKED
            self._told[stack.stack_id] = len(happened)
        return worked

    @staticmethod
    def _stacks() -> Iterator[tuple[str, Any]]:
        for region, backend in list(cloudformation_backends[ACCOUNT].items()):
            for stack in [*backend.stacks.values(), *backend.deleted_stacks.values()]:
                yield region, stack


class ExecutionWatch(Pump):
    """Compares what DescribeExecution would show with what it showed before, in every region in use."""

    def __init__(self) -> None:
        super().__init__("Step Functions", source="", look_anyway=0.2)
        self._known: dict[str, str] = {}

    def step(self) -> Outcome:
        """Announce every execution whose status changed."""
        worked = Outcome.IDLE
        for region, one in self._executions():
            arn, status = one.execution_arn, one.status
            if self._known.get(arn) == status:
                continue
            if arn not in self._known and status != "RUNNING":
                self._tell(region, one, "RUNNING")
            self._tell(region, one, status)
            self._known[arn] = status
            worked = Outcome.WORKED
        return worked

    @staticmethod
    def _executions() -> Iterator[tuple[str, Execution]]:
        for region, backend in list(stepfunctions_backends[ACCOUNT].items()):
            for machine in list(backend.state_machines):
                for one in list(machine.executions):
                    yield region, one

    @staticmethod
    def _tell(region: str, one: Execution, status: str) -> None:
        ended = one.stop_date if status != "RUNNING" else None
        detail = {
            "executionArn": one.execution_arn,
            "stateMachineArn": one.state_machine_arn,
            "stateMachineVersionArn": vars(one).get("version_arn"),
            "stateMachineAliasArn": None,
            "name": one.name,
            "status": status,
            "startDate": _milliseconds(one.start_date),
            "stopDate": _milliseconds(ended) if ended is not None else None,
            "input": one.execution_input,
            "output": None,
            "error": None,
            "cause": None,
        }
        _announce(
            region,
            "aws.states",
            "Step Functions Execution Status Change",
            one.execution_arn,
            (ended or one.start_date).replace(tzinfo=UTC),
            detail,
        )


def _milliseconds(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)


def _announce(region: str, source: str, kind: str, resource: str, at: datetime, detail: Any) -> None:
    entry: Any = {
        "Source": source,
        "DetailType": kind,
        "Resources": [resource],
        "Time": at,
        "Detail": json.dumps(detail),
    }
    client("events", region).put_events(Entries=[entry])
