"""Mail by Amazon SES v2, each message sent raw, so that what was rendered is what arrives."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from gonogo.aws.clients import call, client
from gonogo.core.errors import LaterError, RefusedError

_OF_THE_MESSAGE = frozenset({"BadRequestException", "ParamValidation"})
"""Refusals of the message or its address (SES API v2, SendEmail). All others, MessageRejected among them, may be
of an account or a sender that somebody is about to mend."""


READ = 7
"""Seconds to wait for an answer, once: a notice is tried again by itself, and others wait behind it."""


class Ses:
    """`ports.Mailer` on SES v2. No configuration set is named, so no link is rewritten for tracking."""

    def __init__(self, sender: str, region: str) -> None:
        """Name the verified sender; nothing is called yet."""
        self._sender, self._region = sender, region

    @cached_property
    def _ses(self) -> Any:
        return client("sesv2", self._region, read=READ, tries=1)

    def send(self, to: str, raw: bytes) -> None:
        """Send one message to one address; a refusal that is not of this message passes once it is mended."""
        try:
            call(
                self._ses.send_email,
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": [to]},
                Content={"Raw": {"Data": raw}},
            )
        except RefusedError as error:
            if error.code not in _OF_THE_MESSAGE:
                raise LaterError(str(error)) from error
            raise
