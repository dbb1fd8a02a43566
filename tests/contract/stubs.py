"""AWS clients that answer as they are told to, and check what they are asked against AWS's own models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from local.aws import pretend

pretend()

from botocore.exceptions import (  # noqa: E402 - after the environment that it reads
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.stub import Stubber  # noqa: E402

from gonogo.aws import clients  # noqa: E402

REGION = "us-east-1"
SILENCES = (
    ConnectTimeoutError(endpoint_url="https://aws.example.com"),
    ReadTimeoutError(endpoint_url="https://aws.example.com"),
    EndpointConnectionError(endpoint_url="https://aws.example.com"),
)
"""What a client raises where no answer came: whatever was asked may have been done, or not."""

PASSING = (
    ("ThrottlingException", 400),
    ("Throttling", 400),
    ("RequestLimitExceeded", 503),
    ("ServiceUnavailable", 503),
    ("InternalError", 500),
    ("SomethingUnheardOf", 500),
    ("SomethingUnheardOf", 503),
)
"""Error codes and HTTP statuses that pass, or leave open what was done."""


@cache
def shared(service: str) -> Any:
    """Return a client as gonogo makes it, made once for all tests: making one is dearer than a hundred of them."""
    return clients.client(service, REGION)


@contextmanager
def stubbed(client: Any) -> Iterator[Stubber]:
    """Let a client answer from a list; every answer must have been asked for."""
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@contextmanager
def silent(client: Any, operation: str, silence: Exception) -> Iterator[None]:
    """Let a client get no answer to an operation."""

    def raise_it(**_: Any) -> None:
        raise silence

    name = f"before-call.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register_first(name, raise_it)
    try:
        yield
    finally:
        client.meta.events.unregister(name, raise_it)
