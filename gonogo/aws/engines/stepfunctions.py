"""Engine `stepfunctions`: one execution of one version of a standard state machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NoReturn

import msgspec
import rfc8785
from msgspec import Meta

from gonogo.aws.accounts import Clients
from gonogo.aws.clients import call
from gonogo.aws.engines import specs
from gonogo.aws.engines.priced import Priced, units_of
from gonogo.core.errors import Fault, InvalidError, LaterError, RefusedError
from gonogo.core.launch import InstanceState
from gonogo.core.plan import Place, Plan, Unit
from gonogo.ports import Files, Seen

LARGEST_INPUT = 262_144
"""Bytes of an execution's input, in UTF-8 (Step Functions API reference, StartExecution)."""


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What StartExecution is called with. In a plan the ARN is that of a version, which never changes."""

    state_machine_arn: Annotated[
        str,
        Meta(
            pattern=r"^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[A-Za-z0-9_-]{1,80}"
            r"(:[A-Za-z0-9_.-]{1,80})?\Z"
        ),
    ]
    units: Annotated[tuple[Priced, ...], Meta(min_length=1, max_length=20)]
    input: Any = msgspec.field(default_factory=dict)


class StepFunctionsResolver:
    """`ports.Resolver` of stepfunctions: a state machine, or an alias of it, becomes one version of it."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Return the spec with the ARN of the newest version, unless it names one, and its input whole."""
        del files
        asked = specs.read(spec, Spec, "stepfunctions")
        _, _, _, region, account, *_ = asked.state_machine_arn.split(":")
        if region != place.region or (place.account is not None and account != place.account.number):
            raise _wrong("region", "the state machine is of another region or account than the template")
        _require_input(asked)
        whole = msgspec.structs.replace(asked, state_machine_arn=self._version(asked, place))
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        return plain, units_of(whole.units)

    def _version(self, asked: Spec, place: Place) -> str:
        """Return the ARN of the version that is meant today.

        Raises:
            InvalidError: there is none, or its executions cannot be started exactly once.
        """
        arn = asked.state_machine_arn
        machine, qualifier = _apart(arn)
        states = self._clients("stepfunctions", place)
        try:
            if qualifier is None:
                arn = _newest(states, machine)
            elif not qualifier.isdecimal():
                arn = _behind(states, arn)
            kind = call(states.describe_state_machine, stateMachineArn=arn)["type"]
        except RefusedError as error:
            raise _wrong("version", f"no state machine by {arn!r}: {error}") from error
        if kind != "STANDARD":
            raise _wrong(
                "type", f"{machine!r} is of type {kind}: only STANDARD ones are started exactly once"
            )
        return arn


class StepFunctions(StepFunctionsResolver):
    """`ports.Engine` on Step Functions. The token is the execution's name, which is taken for 90 days."""

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Start the plan's execution, or adopt the one of this name; executions have no tags."""
        del tags, files
        spec = msgspec.convert(plan.spec, Spec)
        try:
            answer = call(
                self._clients("stepfunctions", plan.place).start_execution,
                stateMachineArn=spec.state_machine_arn,
                name=token,
                input=input_of(spec),
            )
        except RefusedError as error:
            if error.code != "ExecutionAlreadyExists":
                raise
            found = self.find(plan, token=token)
            if not found:
                raise LaterError(f"{error}; the execution cannot be seen now") from error
            return found
        return (str(answer["executionArn"]),)

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return the execution of this name, after holding it against the plan, whether it has ended or not."""
        spec = msgspec.convert(plan.spec, Spec)
        machine, _ = _apart(spec.state_machine_arn)
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{token}"
        found = _described(self._clients("stepfunctions", plan.place), arn)
        if found is None:
            return ()
        same = found.get("stateMachineVersionArn") == spec.state_machine_arn
        if not same or "input" not in found or json.loads(found["input"]) != json.loads(input_of(spec)):
            raise RefusedError("NotThePlan", f"{arn} has this name, and is not what the plan says")
        return (str(found["executionArn"]),)

    def stop(self, plan: Plan, resources: Sequence[str]) -> NoReturn:
        """Refuse: an execution cannot go on where it was stopped."""
        del plan, resources
        raise RefusedError(
            "NotStoppable", "an execution is not stopped for a while: it is terminated, or runs"
        )

    def start(self, plan: Plan, resources: Sequence[str]) -> NoReturn:
        """Refuse, as `stop`."""
        del plan, resources
        raise RefusedError("NotStoppable", "an execution is not started again: ask for another launch")

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Stop executions for good; one that has ended, or that nobody remembers, is no error."""
        for one in resources:
            try:
                call(self._clients("stepfunctions", plan.place).stop_execution, executionArn=one)
            except RefusedError as error:
                if error.code != "ExecutionDoesNotExist":
                    raise


class StepFunctionsObserver:
    """`ports.Observer` on Step Functions. Executions are looked at one by one; there is no survey of them."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def look(self, resource: str, place: Place) -> Seen | None:
        """Describe one execution; it is shown for 90 days after it ended.

        Nobody can tag an execution, so only the launch's own record says whose it is.
        """
        try:
            found = _described(self._clients("stepfunctions", place), resource)
        except RefusedError as error:
            raise LaterError(str(error)) from error
        if found is None:
            return None
        return Seen(
            id=str(found["executionArn"]),
            kind="execution",
            state=_STATES.get(found["status"], "terminated"),
            client_token=str(found["name"]),
            launch=None,
            began_at=found["startDate"],
            changed_at=found.get("stopDate"),
        )

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Return nothing: executions that nobody approved are not looked for."""
        del place, ours
        return iter(())


_STATES: dict[str, InstanceState] = {"RUNNING": "running", "PENDING_REDRIVE": "running"}
"""What has not ended (Step Functions API reference, DescribeExecution)."""


def input_of(spec: Spec) -> str:
    """Return the input as RFC 8785 JSON: the same bytes each time, as StartExecution compares them."""
    return rfc8785.dumps(spec.input).decode()


def _require_input(asked: Spec) -> None:
    try:
        size = len(input_of(asked).encode())
    except rfc8785.CanonicalizationError as error:
        raise InvalidError(
            Fault("/template/input", "json", f"is not JSON as all read it: {error}")
        ) from error
    if size > LARGEST_INPUT:
        raise InvalidError(
            Fault("/template/input", "maximum", f"has {size:,} bytes of JSON; {LARGEST_INPUT:,} at most")
        )


def _apart(arn: str) -> tuple[str, str | None]:
    """Return the ARN of the state machine itself, and the version or alias after it."""
    parts = re.fullmatch(r"(.*:stateMachine:[^:]+)(?::(.+))?", arn)
    assert parts is not None  # noqa: S101 - Spec's pattern holds it
    return parts[1], parts[2]


def _newest(states: Any, machine: str) -> str:
    """Return the newest version; ListStateMachineVersions names the newest first."""
    found = call(states.list_state_machine_versions, stateMachineArn=machine)["stateMachineVersions"]
    if not found:
        raise _wrong(
            "version", f"{machine!r} has no version: publish one, for what has none may change after approval"
        )
    arns = (str(one["stateMachineVersionArn"]) for one in found)
    return max(arns, key=lambda arn: int(arn.rpartition(":")[2]))


def _behind(states: Any, alias: str) -> str:
    """Return the one version that an alias leads to."""
    routes = call(states.describe_state_machine_alias, stateMachineAliasArn=alias)["routingConfiguration"]
    taken = [one for one in routes if one["weight"]]
    if len(taken) != 1:
        raise _wrong(
            "version", f"{alias!r} leads to several versions: which one it is would be left to chance"
        )
    return str(taken[0]["stateMachineVersionArn"])


def _wrong(rule: str, words: str) -> InvalidError:
    return InvalidError(Fault("/template/state_machine_arn", rule, words))


def _described(states: Any, arn: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = call(states.describe_execution, executionArn=arn)
    except RefusedError as error:
        if error.code in ("ExecutionDoesNotExist", "InvalidArn"):
            return None
        raise
    return found
