"""How gonogo calls AWS: short time-outs and few retries, since every caller is itself tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from gonogo import __version__
from gonogo.core.errors import LaterError, RefusedError

T = TypeVar("T")

PASSING = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "KMSInternalException",
        "DependencyTimeoutException",
        "ExpiredToken",
        "ExpiredTokenException",
        "LimitExceeded",
        "ProvisionedThroughputExceededException",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "Unavailable",
    }
)
"""Error codes that pass (AWS API references, "Common errors"), by whatever service.

Credentials that have expired are made anew: that is no answer to what was asked.
"""

FULL = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientVolumeCapacity",
    }
)
"""Codes that come as a server's fault, and yet mean no: nothing was made (EC2 API, "Error codes")."""


READ, TRIES = 20, 3
"""Seconds to wait for an answer, and how often to ask."""


def client(service: str, region: str, *, read: int = READ, tries: int = TRIES) -> Any:
    """Return a boto3 client; it costs tens to hundreds of milliseconds, so make it when first needed.

    It waits `read` seconds for an answer, and asks `tries` times in all.
    """
    return _made(service, region, read, tries)


def assumed(service: str, region: str, credentials: Mapping[str, Any]) -> Any:
    """Return a boto3 client that calls by these credentials, as AssumeRole answers with them."""
    return _made(
        service,
        region,
        READ,
        TRIES,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


@cache
def user_agent() -> str:
    """Return how we name ourselves to AWS; botocore otherwise makes the words anew, twice a call: a sixth of its CPU."""
    from botocore import __version__ as botocore

    return f"gonogo/{__version__} Botocore/{botocore}"


def _made(service: str, region: str, read: int, tries: int, **more: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=3,
        read_timeout=read,
        retries={"mode": "standard", "total_max_attempts": tries},
        user_agent=user_agent(),
    )
    make: Any = boto3.client
    return make(service, region_name=region, config=config, **more)


def call(operation: Callable[..., T], **arguments: Any) -> T:
    """Call AWS and name the failure.

    Raises:
        RefusedError: AWS said no, in its own words; nothing was done.
        LaterError: throttled, down, or no answer: it may have been done.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        return operation(**arguments)
    except ParamValidationError as error:
        raise RefusedError("ParamValidation", str(error)) from error
    except ClientError as error:
        said = error.response.get("Error", {})
        code = str(said.get("Code", "Unknown"))
        http = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code not in FULL and (code in PASSING or http >= 500):  # noqa: PLR2004 - 5xx: RFC 9110, 15.6
            raise LaterError(f"{code}: {said.get('Message', '')}") from error
        raise RefusedError(code, str(said.get("Message", ""))) from error
    except BotoCoreError as error:
        raise LaterError(f"no answer: {error}") from error
