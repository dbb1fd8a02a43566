"""The AWS of this machine: one account, one region, and clients that reach moto in process, nothing else."""

import os
from collections.abc import MutableMapping
from functools import cache
from typing import Any, Final, NamedTuple

import boto3

REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"  # moto's own

PRETENDED: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # botocore would send DynamoDB Streams to a host named after the account, which moto does not play
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    # a web page that happens to be open must not read the AWS endpoint
    "MOTO_DISABLE_GLOBAL_CORS": "true",
    # an image or a size that does not exist is an error, as on AWS
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
}


def pretend(environ: MutableMapping[str, str] = os.environ) -> None:
    """Forget whatever AWS this shell is set up for, so that nothing can reach it; before moto is imported."""
    for name in [name for name in environ if name.startswith(("AWS_", "MOTO_"))]:
        del environ[name]
    environ.update(PRETENDED)


@cache
def client(service: str, region: str = REGION) -> Any:
    """Return the client of a service, made once: making one costs more than a hundred calls."""
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]


class Arn(NamedTuple):
    """The parts of an ARN that tell where something is."""

    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def read(cls, text: str) -> "Arn":
        """Take an ARN apart; raise ValueError for what is none."""
        parts = text.split(":", 5)
        if len(parts) != len(("arn", "partition", *cls._fields)) or parts[0] != "arn":
            message = f"{text!r} is not an ARN"
            raise ValueError(message)
        return cls(*parts[2:])


def queue_url(arn: Arn) -> str:
    """Return the URL that in-process clients reach a queue by."""
    return f"https://sqs.{arn.region}.amazonaws.com/{arn.account}/{arn.resource}"
