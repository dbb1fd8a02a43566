"""What can go wrong between a function and AWS: a call that never leaves, or whose answer never comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

Act = Callable[[str, Mapping[str, Any]], None]
"""Takes `service.Operation` and the call's parameters; breaks the call by raising."""


class CrashError(BaseException):
    """The function's process is gone; nothing in it can catch that, so it is no Exception."""


class _Depth(threading.local):
    value = 0


def _nothing(_operation: str, _parameters: Mapping[str, Any]) -> None:
    pass


@contextmanager
def on_each_call(before: Act = _nothing, after: Act = _nothing) -> Iterator[list[str]]:
    """Let `before` and `after` act on each call to AWS; yield the list of the calls that were begun.

    What the pretended AWS calls itself, such as a bus its queues, is not the function's and not touched.
    """
    ask = BaseClient._make_api_call  # type: ignore[attr-defined]
    made: list[str] = []
    depth = _Depth()

    def asked(client: BaseClient, operation: str, parameters: Mapping[str, Any]) -> Any:
        if depth.value:
            return ask(client, operation, parameters)
        name = f"{client.meta.service_model.service_name}.{operation}"
        made.append(name)
        before(name, parameters)
        depth.value += 1
        try:
            answer = ask(client, operation, parameters)
        finally:
            depth.value -= 1
        after(name, parameters)
        return answer

    BaseClient._make_api_call = asked  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        BaseClient._make_api_call = ask  # type: ignore[attr-defined]


def refusing(operation: str, code: str, message: str = "", http: int = 400, times: int | None = None) -> Act:
    """Answer calls of one operation with an error of AWS, always or so many times."""
    left = [times]

    def act(name: str, _parameters: Mapping[str, Any]) -> None:
        if name != operation or left[0] == 0:
            return
        if left[0] is not None:
            left[0] -= 1
        raise ClientError(
            {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": http}},  # type: ignore[typeddict-item]
            operation.partition(".")[2],
        )

    return act


@contextmanager
def some_entries_lost(is_lost: Callable[[Mapping[str, Any]], bool], code: str) -> Iterator[None]:
    """Let PutEvents answer 200 and take all entries but some (EventBridge API reference, PutEvents)."""
    ask = BaseClient._make_api_call  # type: ignore[attr-defined]

    def asked(client: BaseClient, operation: str, parameters: Mapping[str, Any]) -> Any:
        if operation != "PutEvents":
            return ask(client, operation, parameters)
        entries = parameters["Entries"]
        taken = [one for one in entries if not is_lost(one)]
        ids = iter(ask(client, operation, {"Entries": taken})["Entries"] if taken else ())
        lost = {"ErrorCode": code, "ErrorMessage": "not this one"}
        said = [lost if is_lost(one) else next(ids) for one in entries]
        return {"FailedEntryCount": len(entries) - len(taken), "Entries": said}

    BaseClient._make_api_call = asked  # type: ignore[attr-defined]
    try:
        yield
    finally:
        BaseClient._make_api_call = ask  # type: ignore[attr-defined]


def silent(operation: str) -> Act:
    """Let no answer come to the first call of one operation."""
    left = [1]

    def act(name: str, _parameters: Mapping[str, Any]) -> None:
        if name == operation and left[0]:
            left[0] -= 1
            raise ReadTimeoutError(endpoint_url=f"https://{operation}")

    return act


def crashing(number: int) -> Act:
    """Let the process end at its call of this number, the first being 0."""
    count = [0]

    def act(_name: str, _parameters: Mapping[str, Any]) -> None:
        count[0] += 1
        if count[0] == number + 1:
            raise CrashError

    return act
