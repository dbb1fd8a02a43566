"""Records the AWS calls of a run, and plays their answers back, so that only our own CPU is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import botocore.awsrequest
import botocore.client
import botocore.httpsession
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from tests.functions.world import ACCOUNT, REGION

Raw = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB has it on the wire; empty where there is none."""


class Call(NamedTuple):
    """One AWS call: what was asked, what was answered, and the answer as it came over the wire.

    `before` and `after` are the item that a write of one item wrote, or would have: refused writes cost too.
    """

    service: str
    operation: str
    arguments: dict[str, Any]
    answer: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes
    before: Raw
    after: Raw


WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Record every AWS call in this process while it lasts, but for those that moto itself makes to answer one."""
    calls: list[Call] = []
    base: Any = botocore.client.BaseClient
    make = base._make_api_call  # noqa: SLF001 - the one place that every call goes through
    inside = False

    def call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        nonlocal inside
        if inside:
            return make(self, operation, arguments)
        wire: list[tuple[int, dict[str, str], bytes]] = []

        def keep(response_dict: Any, **_: Any) -> None:
            wire.append((response_dict["status_code"], dict(response_dict["headers"]), response_dict["body"]))

        name = f"before-parse.{self.meta.service_model.service_id.hyphenize()}.{operation}"
        self.meta.events.register(name, keep)
        service = self.meta.service_model.service_name
        before = _item(service, operation, arguments)
        answer: dict[str, Any] = {}
        inside = True
        try:
            answer = make(self, operation, arguments)
        finally:
            inside = False
            self.meta.events.unregister(name, keep)
            after = _item(service, operation, arguments)
            calls.append(Call(service, operation, arguments, answer, *wire[-1], before, after))
        return answer

    with mock.patch.object(botocore.client.BaseClient, "_make_api_call", call):
        yield calls


def _item(service: str, operation: str, arguments: Mapping[str, Any]) -> Raw:
    """Return the item that a call is to write, as the table has it now."""
    if service != "dynamodb" or operation not in ("PutItem", "UpdateItem", "DeleteItem"):
        return {}
    table = dynamodb_backends[ACCOUNT][REGION].tables[arguments["TableName"]]
    key = arguments.get("Key") or arguments["Item"]
    item = table.items.get(DynamoType(key["pk"]), {}).get(DynamoType(key["sk"]))
    return {name: value.to_regular_json() for name, value in item.attrs.items()} if item else {}


@contextmanager
def played(calls: Sequence[Call]) -> Iterator[None]:
    """Answer the AWS calls of this process from a recording, in its order, without any network."""
    left = iter(calls)

    def send(_session: Any, request: Any) -> Any:
        call = next(left)
        return _Answer(request.url, call.status, call.headers, call.body)

    with mock.patch.object(botocore.httpsession.URLLib3Session, "send", send):
        yield
    if next(left, None) is not None:
        raise RuntimeError("not all that was recorded was asked for again")


class _Answer(botocore.awsrequest.AWSResponse):
    """A whole answer that has been read already."""

    def __init__(self, url: str, status: int, headers: dict[str, str], body: bytes) -> None:
        carried: Any = botocore.awsrequest.HeadersDict(headers)
        super().__init__(url, status, carried, None)
        self._content = body
