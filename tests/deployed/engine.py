"""A second engine, written by others: `ministack`, in a process and a virtual environment of its own.

It runs the zip in processes that have nothing but the zip, lets each function do only what its role allows,
and refuses what AWS refuses (a mail from an address that is not verified, an event of a source aws.*). What
it does differently is said where it matters.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
from botocore.config import Config

from infra.package import PROJECT

PYTHON = PROJECT / ".venv-ministack" / "bin" / "python"
HOST = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "000000000000"
PATIENCE = 90
"""Seconds to wait for what should happen; far more than it takes, for a machine that is busy."""

T = TypeVar("T")


class Engine:
    """A running ministack: clients for it, and what only it can tell."""

    def __init__(self, port: int) -> None:
        """Take the port that it listens on."""
        self.address = f"http://{HOST}:{port}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.address,
        }

    def client(self, service: str) -> Any:
        """Return a client with all the rights of the account's owner."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def mails(self) -> list[dict[str, Any]]:
        """Return the mails that SES took, oldest first."""
        told = httpx.get(f"{self.address}/_ministack/ses/messages", timeout=10).json()
        found: list[dict[str, Any]] = told["messages"].get(ACCOUNT, [])
        return found

    def log(self) -> str:
        """Return all that any function wrote to its log."""
        logs = self.client("logs")
        return "\n".join(
            event["message"]
            for group in logs.describe_log_groups()["logGroups"]
            for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        )


class Stack:
    """What was deployed: the outputs of the stack, and the physical names of its resources."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Read them off the stack, which must be complete."""
        cloudformation = engine.client("cloudformation")
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE", _reasons(cloudformation, name)
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        self.names = {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
            for one in page["StackResourceSummaries"]
        }
        self.api = f"{engine.address}/restapis/{self.outputs['RestAPIId']}/api/_user_request_"


def _reasons(cloudformation: Any, name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    return "\n".join(
        f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason')}"
        for one in events
        if one["ResourceStatus"].endswith("FAILED")
    )


@contextmanager
def running(folder: Path, trusted: Path) -> Iterator[Engine]:
    """Run the engine, its files in `folder`; its functions believe certificates as `trusted` does."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "AUTH": "true",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "SSL_CERT_FILE": str(trusted),
    }
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "ministack"], env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            eventually(lambda: _answers(process, port), "the engine answers")
            yield Engine(port)
        finally:
            process.terminate()
            process.wait(30)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "the engine ended"
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def deploy(engine: Engine, template: Mapping[str, Any], code: Path, parameters: Mapping[str, str]) -> Stack:
    """Create the stack of a transformed template whose code is in s3://bucket/key."""
    s3 = engine.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=code.read_bytes())
    s3.put_object(Bucket="bucket", Key="template.json", Body=json.dumps(template).encode())
    cloudformation = engine.client("cloudformation")
    cloudformation.create_stack(
        StackName="gonogo",
        TemplateURL=f"{engine.address}/bucket/template.json",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )

    def done() -> bool:
        (stack,) = cloudformation.describe_stacks(StackName="gonogo")["Stacks"]
        return not stack["StackStatus"].endswith("IN_PROGRESS")

    eventually(done, "the stack is made")
    return Stack(engine, "gonogo")


def eventually(look: Callable[[], T | None], what: str, explain: Callable[[], str] = str) -> T:
    """Return the first answer of `look` that is something; explain if there is none for too long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE} seconds: {what}\n{explain()}")
