"""Where moto differs from AWS in what gonogo relies on, and the patches that make it do as AWS does.

moto is pinned to one version, and a test holds the source of every function patched here against the one that
the patch was written for. What they restore:

- DynamoDB requests are atomic: without one lock round each, two conditional writers can both win.
- UpdateItem that creates an item makes one stream record; a write that changes nothing makes none.
- Query reads one partition, instead of sorting the whole table.
- RunInstances honours ClientToken: the same token adopts the instance, with other parameters it is refused.
- EC2 keeps time by the clock that gonogo has here, which can jump; what is started again has another LaunchTime.
- EventBridge matches by local/pattern.py and delivers by local/bus.py: disabled and scheduled rules do not
  fire on events, nothing in an event's text is substituted, and PutEvents never fails because a target did.
"""

import functools
import hashlib
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import moto.ec2.models.instances
import moto.ec2.utils
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamShard, Table
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodbstreams.responses import DynamoDBStreamsHandler
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.instances import InstanceResponse
from moto.events.exceptions import InvalidEventPatternException
from moto.events.models import EventPattern, EventPatternParser
from moto.events.models import Rule as MotoRule
from moto.events.responses import EventsHandler
from moto.sqs.models import Queue

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
def _ec2_now(_original: Original) -> datetime:
    return hooks.now().astimezone(UTC).replace(tzinfo=None)


@instead_of(moto.ec2.models.instances.Instance, "start", "59967ab3c8e7deb1")
def _start(original: Original, instance: Any) -> Any:
    answer = original(instance)
    instance.launch_time = moto.ec2.models.instances.utcnow()
    return answer


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
