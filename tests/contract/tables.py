"""Each implementation of `ports.Items` there is, made fresh from infra/template.yaml where it is a table of AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from local.aws import REGION, client, pretend

pretend()

import botocore.endpoint  # noqa: E402 - after the environment that AWS's library reads
import moto  # noqa: E402
from botocore.exceptions import ReadTimeoutError  # noqa: E402

from gonogo.aws.table import Table  # noqa: E402
from local import moto_faithful, template  # noqa: E402
from local.stack import Stack  # noqa: E402
from tests.contract import second_engine  # noqa: E402
from tests.functions.quick import quick  # noqa: E402
from tests.functions.world import PARAMETERS  # noqa: E402

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"


@contextmanager
def on_moto() -> Iterator[Table]:
    """Give the table in moto, in this process."""
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        yield Table(_made(), REGION, 1)
    client.cache_clear()


@contextmanager
def on_second_engine(address: str) -> Iterator[Table]:
    """Give the table in the second engine."""
    with second_engine.reached(address):
        table = Table(_made(), REGION, 1)
        yield table
        client("dynamodb").delete_table(TableName=table._name)
        client("dynamodb").close()
        table._table.connection.client.close()  # type: ignore[attr-defined]


@cache
def _template() -> Any:
    return template.read(TEMPLATE)


def _made() -> str:
    return str(Stack(_template(), PARAMETERS).look("Table", None))


def empty() -> None:
    """Put a new table in the place of the one that there is."""
    for name in client("dynamodb").list_tables()["TableNames"]:
        client("dynamodb").delete_table(TableName=name)
    _made()


class Line:
    """The line to AWS: notes each attempt, and can lose answers on the way back."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self.lose: Callable[[str], bool] = lambda _operation: False


@contextmanager
def line() -> Iterator[Line]:
    """Listen on the line; nobody waits between attempts."""
    made = Line()
    endpoint: Any = botocore.endpoint
    get = endpoint.Endpoint._get_response

    def through(self: Any, request: Any, operation: Any, context: Any) -> Any:
        made.attempts.append(operation.name)
        answer = get(self, request, operation, context)
        if made.lose(operation.name):
            return None, ReadTimeoutError(endpoint_url=request.url)
        return answer

    with (
        mock.patch.object(endpoint.Endpoint, "_get_response", through),
        mock.patch.object(endpoint.time, "sleep"),
    ):
        yield made
