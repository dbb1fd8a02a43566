"""Where moto differs from AWS in what gonogo relies on, and the patches that make it do as AWS does.

moto is pinned to one version, and a test holds the source of every function patched here against the one that
the patch was written for. What they restore:

- DynamoDB requests are atomic: without one lock round each, two conditional writers can both win.
- UpdateItem that creates an item makes one stream record; a write that changes nothing makes none.
- Query reads one partition, instead of sorting the whole table.
- RunInstances honours ClientToken: the same token adopts the instance, with other parameters it is refused.
- EC2 keeps time by the clock that gonogo has here, which can jump; so do CloudFormation and Step Functions.
- LaunchTime is when an instance was last started, a stop or an end is stamped once, in GMT, and nothing starts or
  stops what is terminated.
- CreateStack honours ClientRequestToken: the same token gives the stack of that name, with other parameters it is
  refused; IAM resources need a capability; a stack whose resources cannot be made rolls back.
- StartExecution takes the ARN of a version, whose executions tell it; versions can be listed.
- EventBridge matches by local/pattern.py and delivers by local/bus.py: disabled and scheduled rules do not
  fire on events, nothing in an event's text is substituted, and PutEvents never fails because a target did.
"""

import contextlib
import copy
import functools
import hashlib
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import moto.cloudformation.models
import moto.ec2.models.instances
import moto.ec2.utils
import moto.stepfunctions.models
from moto.cloudformation.exceptions import CloudFormationError
from moto.cloudformation.models import Event as StackEvent
from moto.cloudformation.models import Stack as MotoStack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamShard, Table
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodbstreams.responses import DynamoDBStreamsHandler
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState
from moto.ec2.responses.instances import InstanceResponse
from moto.events.exceptions import InvalidEventPatternException
from moto.events.models import EventPattern, EventPatternParser
from moto.events.models import Rule as MotoRule
from moto.events.responses import EventsHandler
from moto.sqs.models import Queue
from moto.stepfunctions.models import Execution, StateMachineVersion, StepFunctionBackend
from moto.stepfunctions.responses import StepFunctionResponse

from local import bus, pattern

Original = Callable[..., Any]


class Hooks:
    """What the patches tell the house (an ARN that has something new) and ask it (the time)."""

    def __init__(self) -> None:
        self.heard: Callable[[str], None]
        self.now: Callable[[], datetime]
        self.clear()

    def clear(self) -> None:
        """Tell nobody, and take the time from the machine's own clock."""
        self.heard = lambda _arn: None
        self.now = lambda: datetime.now(UTC)


class Patch:
    """One function of moto and what stands in its place, which gets the original as first argument."""

    def __init__(self, owner: type | ModuleType, name: str, written_for: str, replacement: Original) -> None:
        self.where = f"{owner.__name__}.{name}"
        self.written_for = written_for
        self._owner = owner
        self._name = name
        self._original: Original = getattr(owner, name)
        self._replacement = replacement

    def digest(self) -> str:
        """Return the first 16 digits of the SHA-256 of the original's source."""
        return hashlib.sha256(inspect.getsource(self._original).encode()).hexdigest()[:16]

    def apply(self) -> None:
        """Put the replacement in; doing it twice changes nothing."""
        original, replacement = self._original, self._replacement

        @functools.wraps(original)
        def patched(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs)

        setattr(self._owner, self._name, patched)


hooks = Hooks()
patches: list[Patch] = []


def install() -> None:
    """Patch moto in this process; call it before the first mock starts. Doing it twice changes nothing."""
    for each in patches:
        each.apply()
    # DescribeInstances filters by client-token on AWS; moto stores it and has no name for it
    moto.ec2.utils.filter_dict_attribute_mapping["client-token"] = "client_token"
    # ListStateMachineVersions is not in moto, which keeps versions
    StepFunctionResponse.list_state_machine_versions = _list_versions  # type: ignore[attr-defined]


def instead_of(owner: type | ModuleType, name: str, written_for: str) -> Callable[[Original], Original]:
    """Register the decorated function as the patch of `owner.name`."""

    def register(replacement: Original) -> Original:
        patches.append(Patch(owner, name, written_for, replacement))
        return replacement

    return register


# DynamoDB: one request at a time

_table_lock = threading.RLock()


@instead_of(DynamoHandler, "call_action", "ce5f57cf83cde340")
@instead_of(DynamoDBStreamsHandler, "call_action", "26076963fd17fd1a")
def _one_table_request(original: Original, handler: Any) -> Any:
    with _table_lock:
        return original(handler)


# DynamoDB: streams tell what changed, once


class _Update(threading.local):
    """The UpdateItem that this thread is in: whether it may make a stub, and the stub that it made."""

    running = False
    stub: Item | None = None


_update = _Update()


@instead_of(DynamoDBBackend, "update_item", "218984588dd689a5")
def _update_item(original: Original, backend: DynamoDBBackend, table_name: str, *args: Any, **kw: Any) -> Any:
    """Hide the stub that moto puts before it applies an update to an absent item; remove it if that fails."""
    _update.running, _update.stub = True, None
    try:
        return original(backend, table_name, *args, **kw)
    except Exception:
        if _update.stub is not None:
            _forget(backend.get_table(table_name), _update.stub)
        raise
    finally:
        _update.running, _update.stub = False, None


def _forget(table: Table, stub: Item) -> None:
    if stub.range_key is None:
        table.items.pop(stub.hash_key, None)
    else:
        table.items[stub.hash_key].pop(stub.range_key, None)


@instead_of(StreamShard, "add", "357dc6da267e5dd7")
def _stream_record(original: Original, shard: StreamShard, old: Item | None, new: Item | None) -> None:
    if old is None and new is not None and _update.running and _update.stub is None:
        _update.stub = new
        return
    if old is not None and new is not None and old.to_json() == new.to_json():
        return
    original(shard, old, new)
    hooks.heard(f"{shard.table.table_arn}/stream/{shard.table.latest_stream_label}")


# DynamoDB: a query reads its partition


class _Narrow(threading.local):
    """The partition that this thread's query is about."""

    partition: Any = None
    index = False


_narrow = _Narrow()
INDEX_NAME_POSITION = 6


@instead_of(Table, "query", "002b4d00be6df07c")
def _query(original: Original, table: Table, hash_key: Any, *args: Any, **kw: Any) -> Any:
    positional = args[INDEX_NAME_POSITION] if len(args) > INDEX_NAME_POSITION else None
    _narrow.partition, _narrow.index = hash_key, bool(kw.get("index_name") or positional)
    try:
        return original(table, hash_key, *args, **kw)
    finally:
        _narrow.partition, _narrow.index = None, False


@instead_of(Table, "all_items", "c80d2ee3c896acd0")
def _all_items(original: Original, table: Table) -> list[Item]:
    """Return every item, sorted; within a query only what it is about, as the query sorts by itself."""
    if _narrow.index:
        partitions: list[Any] = list(table.items.values())
    elif _narrow.partition is not None:
        partitions = [table.items[_narrow.partition]] if _narrow.partition in table.items else []
    else:
        return list(original(table))
    if table.range_key_attr is None:
        return partitions
    return [item for partition in partitions for item in partition.values()]


# SQS: say that a message came


@instead_of(Queue, "add_message", "f27c9231c1f20433")
def _add_message(original: Original, queue: Queue, message: Any) -> None:
    original(queue, message)
    hooks.heard(queue.queue_arn)


# EC2: client tokens and time


class IdempotentParameterMismatchError(EC2ClientError):
    """A ClientToken came again with other parameters (EC2 API reference, "Ensuring idempotency")."""

    __module__ = "moto.ec2.exceptions"  # moto finds the service of an error by its module

    def __init__(self) -> None:
        super().__init__(
            "IdempotentParameterMismatch",
            "The request uses the same client token as a previous, but non-identical request.",
        )


_launch_lock = threading.Lock()


@instead_of(InstanceResponse, "run_instances", "053f1ed0a0ec70d3")
def _run_instances(original: Original, response: InstanceResponse) -> Any:
    token = response._get_param("ClientToken")  # noqa: SLF001  moto's way to read a parameter
    if not token or response._get_param("DryRun"):  # noqa: SLF001
        return original(response)
    asked = {name: value for name, value in response.data.items() if name != "ClientToken"}
    signature = json.dumps(asked, sort_keys=True, default=str)
    with _launch_lock:
        # kept on the backend, so that it is gone with the instances when moto is reset
        launched: dict[str, tuple[str, Any]] = vars(response.ec2_backend).setdefault("launched_by_token", {})
        if token in launched:
            before, result = launched[token]
            if before != signature:
                raise IdempotentParameterMismatchError
            return result
        result = original(response)
        launched[token] = (signature, result)
        return result


@instead_of(moto.ec2.models.instances, "utcnow", "7b8bb404c4f6dc02")
@instead_of(moto.cloudformation.models, "utcnow", "7b8bb404c4f6dc02")
@instead_of(moto.stepfunctions.models, "utcnow", "7b8bb404c4f6dc02")
def _moto_now(_original: Original) -> datetime:
    return _now()


def _now() -> datetime:
    return hooks.now().astimezone(UTC).replace(tzinfo=None)


# EC2: instances that start, stop and end


class IncorrectInstanceStateError(EC2ClientError):
    """What is terminated can be neither started nor stopped (EC2 API reference, "Error codes")."""

    __module__ = "moto.ec2.exceptions"

    def __init__(self, instance: str, done: str) -> None:
        super().__init__(
            "IncorrectInstanceState",
            f"The instance '{instance}' is not in a state from which it can be {done}.",
        )


@instead_of(InstanceBackend, "start_instances", "d63bc0ad1d5b9c1c")
def _start_instances(original: Original, backend: InstanceBackend, instance_ids: list[str]) -> Any:
    _none_terminated(backend, instance_ids, "started")
    return original(backend, instance_ids)


@instead_of(InstanceBackend, "stop_instances", "122b72200b480039")
def _stop_instances(original: Original, backend: InstanceBackend, instance_ids: list[str]) -> Any:
    _none_terminated(backend, instance_ids, "stopped")
    return original(backend, instance_ids)


def _none_terminated(backend: InstanceBackend, instance_ids: list[str], done: str) -> None:
    for one in backend.get_multi_instances_by_id(instance_ids):
        if _state(one) == "terminated":
            raise IncorrectInstanceStateError(one.id, done)


@instead_of(Instance, "start", "59967ab3c8e7deb1")
def _start(original: Original, instance: Instance) -> InstanceState:
    if _state(instance) == "running":
        return copy.copy(instance._state)  # noqa: SLF001  as moto answers
    before: InstanceState = original(instance)
    instance.launch_time = _now()
    return before


@instead_of(Instance, "stop", "e6e7da70fc8a49d4")
@instead_of(Instance, "terminate", "b5e4ee68c4147215")
def _end(original: Original, instance: Instance) -> InstanceState:
    was, reason = _state(instance), instance._reason  # noqa: SLF001  moto has no other name for it
    before: InstanceState = original(instance)
    is_told = was == _state(instance)
    instance._reason = reason if is_told else f"User initiated ({_now():%Y-%m-%d %H:%M:%S} GMT)"  # noqa: SLF001
    return before


def _state(instance: Instance) -> str:
    return instance._state.name  # noqa: SLF001  moto has no other name for it


# CloudFormation: tokens, capabilities, roll-backs and time


class TokenAlreadyExistsError(CloudFormationError):
    """A ClientRequestToken came again with other parameters (CloudFormation API reference, CreateStack)."""

    __module__ = "moto.cloudformation.exceptions"
    code = "TokenAlreadyExistsException"


class InsufficientCapabilitiesError(CloudFormationError):
    """The template makes what was not acknowledged (CloudFormation API reference, CreateStack)."""

    __module__ = "moto.cloudformation.exceptions"
    code = "InsufficientCapabilitiesException"


_stack_lock = threading.Lock()
_ASKED = ("TemplateBody", "Parameters", "Tags", "RoleARN", "Capabilities", "OnFailure")
_FOR_IAM = {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}


@instead_of(CloudFormationResponse, "create_stack", "8067e0d9ef2abc23")
def _create_stack(original: Original, response: CloudFormationResponse) -> Any:
    def asked(name: str) -> Any:
        return response._get_param(name)  # noqa: SLF001  as for EC2

    token, signature = asked("ClientRequestToken"), json.dumps([asked(one) for one in _ASKED], default=str)
    types = {str(one.get("Type")) for one in _resources_of(asked("TemplateBody")).values()}
    if any(one.startswith("AWS::IAM::") for one in types) and not _FOR_IAM & set(asked("Capabilities") or ()):
        raise InsufficientCapabilitiesError("Requires capabilities : [CAPABILITY_IAM]")
    backend = response.cloudformation_backend
    with _stack_lock:
        before = next((one for one in backend.stacks.values() if one.name == asked("StackName")), None)
        if before is not None and token and vars(before).get("made_with", ("",))[0] == token:
            if vars(before)["made_with"][1] != signature:
                raise TokenAlreadyExistsError(f"Token {token} already exists")
            return ActionResult({"StackId": before.stack_id})
        result = original(response)
        made = next(one for one in backend.stacks.values() if one.name == asked("StackName"))
        vars(made)["made_with"] = (token, signature)
        for event in made.events:
            event.client_request_token = token
        return result


def _resources_of(body: str | None) -> Mapping[str, Any]:
    return MotoStack.parse_template(body).get("Resources", {}) if body else {}


@instead_of(MotoStack, "create_resources", "a5f30450448a1d58")
def _create_resources(original: Original, stack: MotoStack) -> None:
    try:
        original(stack)
    except Exception as error:  # noqa: BLE001 - whatever a resource says no with
        parsed = vars(stack.resource_map)["_parsed_resources"]
        name = next((one for one in stack.resource_map.resources if one not in parsed), stack.name)
        failed = StackEvent(
            stack.stack_id,
            stack.name,
            name,
            "",
            str(_type_of(stack, name)),
            "CREATE_FAILED",
            str(error),
            None,
        )
        stack.events.append(failed)
        said = f"The following resource(s) failed to create: [{name}]."
        stack._add_stack_event("ROLLBACK_IN_PROGRESS", said)  # noqa: SLF001
        with contextlib.suppress(Exception):
            stack.resource_map.delete()
        stack._add_stack_event("ROLLBACK_COMPLETE")  # noqa: SLF001
        stack.status = "ROLLBACK_COMPLETE"


def _type_of(stack: MotoStack, resource: str) -> Any:
    return stack.template_dict.get("Resources", {}).get(resource, {}).get("Type", "")


@instead_of(MotoStack, "delete", "bf0c199611d254b6")
def _delete_stack(original: Original, stack: MotoStack) -> None:
    original(stack)
    vars(stack)["deletion_time"] = _moto_now(original)


# Step Functions: versions


@instead_of(StepFunctionBackend, "start_execution", "26eece2feee90a8c")
def _start_execution(
    original: Original, backend: StepFunctionBackend, arn: str, name: str, given: str
) -> Execution:
    version = backend.describe_state_machine(arn)
    if not isinstance(version, StateMachineVersion):
        execution: Execution = original(backend, arn, name, given)
        return execution
    execution = original(backend, version.source_arn, name, given)
    vars(execution).setdefault("version_arn", arn)
    return execution


@instead_of(StepFunctionResponse, "describe_execution", "c3953bdc9ce21fda")
def _describe_execution(original: Original, response: StepFunctionResponse) -> Any:
    result = original(response)
    arn = response._get_param("executionArn")  # noqa: SLF001
    version = vars(response.stepfunction_backend.describe_execution(arn)).get("version_arn")
    if version is not None:
        result.result["stateMachineVersionArn"] = version
    return result


def _list_versions(response: StepFunctionResponse) -> ActionResult:
    machine = response.stepfunction_backend.describe_state_machine(response._get_param("stateMachineArn"))  # noqa: SLF001
    newest_first = sorted(machine.versions.values(), key=lambda one: one.version, reverse=True)
    return ActionResult(
        {
            "stateMachineVersions": [
                {"stateMachineVersionArn": one.arn, "creationDate": one.creation_date} for one in newest_first
            ]
        }
    )


# EventBridge: our matcher, our delivery

_bus_lock = threading.RLock()


@instead_of(EventsHandler, "call_action", "26076963fd17fd1a")
def _one_bus_request(original: Original, handler: Any) -> Any:
    with _bus_lock:
        return original(handler)


@instead_of(EventPatternParser, "parse", "2681906d428c4cd8")
def _parse_pattern(original: Original, parser: EventPatternParser) -> Any:
    parsed = original(parser)
    if parser.pattern:
        try:
            pattern.check(parsed)
        except pattern.PatternError as error:
            raise InvalidEventPatternException(reason=str(error)) from error
    return parsed


@instead_of(EventsHandler, "test_event_pattern", "945d9dc74b3abdaa")
def _test_event_pattern(_original: Original, handler: EventsHandler) -> str:
    wanted = EventPattern.load(handler._get_param("EventPattern")).get_pattern()  # noqa: SLF001
    event = json.loads(handler._get_param("Event"))  # noqa: SLF001
    return json.dumps({"Result": pattern.matches(wanted, event)})


@instead_of(MotoRule, "send_to_targets", "472e002e2dab8a59")
def _send_to_targets(
    original: Original, rule: MotoRule, event: Mapping[str, Any], *args: Any, **kw: Any
) -> None:
    wanted = rule.event_pattern.get_pattern()
    if rule.state != "ENABLED" or not wanted or not pattern.matches(wanted, event):
        return
    if rule.managed_by:
        original(rule, event, *args, **kw)  # the rule that fills an archive, which moto reads back itself
        return
    who = bus.Rule(rule.name, rule.arn)
    for target in list(rule.targets):
        bus.deliver(who, target, bus.envelope(event))
