"""Records the AWS calls of a run, and plays their answers back, so that only our own CPU is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import botocore.awsrequest
import botocore.client
import botocore.httpsession


class Call(NamedTuple):
    """One AWS call: what was asked, what was answered, and the answer as it came over the wire."""

    service: str
    operation: str
    arguments: dict[str, Any]
    answer: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Record every AWS call in this process while it lasts."""
    calls: list[Call] = []
    base: Any = botocore.client.BaseClient
    make = base._make_api_call  # noqa: SLF001 - the one place that every call goes through

    def call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        wire: list[tuple[int, dict[str, str], bytes]] = []

        def keep(response_dict: Any, **_: Any) -> None:
            wire.append((response_dict["status_code"], dict(response_dict["headers"]), response_dict["body"]))

        name = f"before-parse.{self.meta.service_model.service_id.hyphenize()}.{operation}"
        self.meta.events.register(name, keep)
        try:
            answer = make(self, operation, arguments)
        finally:
            self.meta.events.unregister(name, keep)
        service = self.meta.service_model.service_name
        calls.append(Call(service, operation, arguments, answer, *wire[-1]))
        return answer

    with mock.patch.object(botocore.client.BaseClient, "_make_api_call", call):
        yield calls


@contextmanager
def played(calls: list[Call]) -> Iterator[None]:
    """Answer the AWS calls of this process from a recording, in its order, without any network."""
    left = iter(calls)

    def send(_session: Any, request: Any) -> Any:
        call = next(left)
        return _Answer(request.url, call.status, call.headers, call.body)

    with mock.patch.object(botocore.httpsession.URLLib3Session, "send", send):
        yield


class _Answer(botocore.awsrequest.AWSResponse):
    """A whole answer that has been read already."""

    def __init__(self, url: str, status: int, headers: dict[str, str], body: bytes) -> None:
        carried: Any = botocore.awsrequest.HeadersDict(headers)
        super().__init__(url, status, carried, None)
        self._content = body
