"""The second engine, written by others, as a server of this test run: started when first needed, gone at its end."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from local.aws import client, pretend

pretend()

import moto  # noqa: E402 - after the environment that it reads

from local import moto_faithful  # noqa: E402
from tests.functions.quick import quick  # noqa: E402

PROGRAM = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "ministack"
LONGEST_START = 30
ON_AWS = [
    "moto",
    pytest.param(
        "ministack",
        marks=[
            pytest.mark.second_engine,
            pytest.mark.skipif(not PROGRAM.exists(), reason="there is no .venv-ministack"),
        ],
    ),
]
"""Where an implementation of a port on AWS is asked the same; what the second engine cannot carry is said there."""


@contextmanager
def reached(address: str) -> Iterator[None]:
    """Let every client that is made in here call the second engine."""
    client.cache_clear()
    with mock.patch.dict("os.environ", {"AWS_ENDPOINT_URL": address}):
        yield
    client.cache_clear()


@contextmanager
def asked(name: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Let every client that is made in here call the AWS of this name: moto in this process, or the second engine."""
    if name == "ministack":
        with reached(request.getfixturevalue("engine")):
            yield
        return
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        yield
    client.cache_clear()


@contextmanager
def running() -> Iterator[str]:
    """Start it on this machine only, and return its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_", "PYTHON"))
    }
    environment |= {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with subprocess.Popen(
        [PROGRAM], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the second engine ended at once, with {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/_ministack/health")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("the second engine did not start")
