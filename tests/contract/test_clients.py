"""How AWS is called: what passes is told from a definite no, and nobody waits for longer than a function has."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from gonogo.aws.mail import Ses
from gonogo.core.errors import LaterError, RefusedError
from tests.contract.stubs import REGION, shared

from botocore.exceptions import ClientError  # isort: skip - after the environment that it reads

from gonogo.aws import clients

PASSING = (
    "DependencyTimeoutException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "KMSInternalException",
    "LimitExceeded",
    "ProvisionedThroughputExceededException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "Unavailable",
)


def answered(code: str, status: int) -> Any:
    """Return an operation to which AWS answers so."""

    def operation() -> NoReturn:
        said: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(said, "Operation")

    return operation


@pytest.mark.parametrize(
    ("code", "status"), [*((one, 400) for one in PASSING), ("SomethingUnheardOf", 500), ("Unknown", 504)]
)
def test_what_passes_may_have_been_done(code: str, status: int) -> None:
    """A throttle comes with 400 from one service and 503 from another; to take it for a no gives up for good."""
    with pytest.raises(LaterError):
        clients.call(answered(code, status))


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDenied", 403), ("SomethingUnheardOf", 499), ("InsufficientVolumeCapacity", 500)],
)
def test_a_no_is_a_no(code: str, status: int) -> None:
    """Asked again it would be the same, and nothing was done."""
    with pytest.raises(RefusedError) as caught:
        clients.call(answered(code, status))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("client", "read", "tries"),
    [(lambda: shared("ec2"), 20, 3), (lambda: Ses("gonogo@example.com", REGION)._ses, 7, 1)],
    ids=["all", "mail"],
)
def test_nobody_waits_for_longer_than_a_function_has(client: Any, read: int, tries: int) -> None:
    """Whoever calls is called again; a mail is tried once, for the next one waits behind it."""
    config = client().meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, read)
    assert config.retries == {"mode": "standard", "total_max_attempts": tries}


def test_a_client_of_another_account_calls_by_what_it_was_given() -> None:
    """A session's keys are none without its token."""
    given = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "wJalr", "SessionToken": "FwoGZX"}
    made = clients.assumed("ec2", REGION, given)
    assert tuple(made._request_signer._credentials.get_frozen_credentials())[:3] == tuple(given.values())
