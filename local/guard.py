"""Lets each function do on this machine what its role allows, and refuses all else as AWS would.

On AWS a function's clients call by the role that its invocation runs as. Here all functions are one process whose
clients have no credentials that count, so whose call it is is known from the invocation that it is made in; and from
its credentials where a role of another account was taken. A call outside of any invocation is the owner's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.asked import Parameters, Where, asked
from local.iam import Call
from local.roles import Rights

log = logging.getLogger(__name__)

OWNER: Final = ""
_acting: ContextVar[str] = ContextVar("acting", default=OWNER)
"""The function that runs in this thread."""

Heard = Callable[[str, Call, str | None], None]
"""Is told what IAM checks: for which function, or the ARN of the role that it took; on what; and why not, if so."""

CODES: Final = {
    "ec2": "UnauthorizedOperation",
    "cloudformation": "AccessDenied",
    "s3": "AccessDenied",
    "sqs": "AccessDenied",
    "sts": "AccessDenied",
}
"""How services say no that do not say AccessDeniedException (their API references, "Common errors")."""


class Guard:
    """Stands between botocore and moto, and knows who may do what; `rights` may change."""

    def __init__(self, rights: Rights, heard: Heard = lambda _who, _call, _why: None) -> None:
        """Take who may do what."""
        self.rights = rights
        self.heard = heard
        self._taken: dict[str, tuple[str, str]] = {}

    @contextmanager
    def acting(self, function: str) -> Iterator[None]:
        """Have what is called within this block be called by a function, named by its logical id."""
        before = _acting.set(function)
        try:
            yield
        finally:
            _acting.reset(before)

    def wrap(self, function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Return the handler, whose calls are the function's."""

        def acted(*arguments: Any, **options: Any) -> Any:
            with self.acting(function):
                return handler(*arguments, **options)

        return acted

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Judge every call that is made through botocore."""
        ask = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001  where each call passes

        def judged(client: BaseClient, operation: str, parameters: Parameters) -> Any:
            function = _acting.get()
            if function == OWNER:
                return ask(client, operation, parameters)
            self._judge(client, function, operation, parameters)
            # What is asked while AWS answers is asked by who plays AWS here.
            before = _acting.set(OWNER)
            try:
                answer = ask(client, operation, parameters)
            finally:
                _acting.reset(before)
            if operation == "AssumeRole":
                given = answer["Credentials"]["AccessKeyId"]
                self._taken[given] = (parameters["RoleArn"], parameters["RoleSessionName"])
            return answer

        BaseClient._make_api_call = judged  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            yield
        finally:
            BaseClient._make_api_call = ask  # type: ignore[attr-defined]  # noqa: SLF001

    def _judge(self, client: BaseClient, function: str, operation: str, parameters: Parameters) -> None:
        """Raise what AWS answers to a call that may not be made."""
        signer: Any = client._request_signer  # type: ignore[attr-defined]  # noqa: SLF001  has the only way to them
        taken = self._taken.get(signer._credentials.access_key)  # noqa: SLF001
        role, name = taken or (self.rights.role_of[function], function)
        who = role if taken else function
        service = client.meta.service_model.service_name
        where = Where(client.meta.region_name, role.split(":")[4])
        for call in asked(service, operation, parameters, where):
            why = self.rights.refusal(role, call)
            self.heard(who, call, why)
            if why is not None:
                log.warning("%s may not %s on %s: %s", who, call.action, call.resource, why)
                raise _refused(
                    client,
                    operation,
                    f"{session(role, name)} is not authorized to perform: "
                    f"{call.action} on resource: {call.resource} {why}",
                )


def session(role: str, name: str) -> str:
    """Return the ARN of a session of a role, as AWS names it in a refusal; a function's bears the function's name."""
    return f"arn:aws:sts::{role.split(':')[4]}:assumed-role/{role.rpartition('/')[2]}/{name}"


def _refused(client: BaseClient, operation: str, words: str) -> ClientError:
    service = client.meta.service_model.service_name
    code = CODES.get(service, "AccessDeniedException")
    said = (
        f"You are not authorized to perform this operation. User: {words}"
        if service == "ec2"
        else f"User: {words}"
    )
    answer: Any = {
        "Error": {"Code": code, "Message": said},
        "ResponseMetadata": {
            "HTTPStatusCode": 403 if service in CODES else 400,
            "HTTPHeaders": {},
            "RequestId": "",
            "RetryAttempts": 0,
        },
    }
    named: Any = client.exceptions
    error: ClientError = named.from_code(code)(answer, operation)
    return error
