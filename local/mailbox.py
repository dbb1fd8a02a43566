"""Every mail that gonogo sent here, as its receiver would see it."""

import email
import email.policy
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from moto.ses.models import RawMessage, ses_backends

from local.aws import ACCOUNT, REGION


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail: `at` is RFC 3339 in UTC, `sender` and `to` are as in its header."""

    id: str
    at: str
    sender: str = msgspec.field(name="from")
    to: str
    subject: str
    text: str
    html: str


class Mailbox:
    """Reads what SES took."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Take the clock, for mails that carry no date."""
        self._now = now
        self._read: list[Mail] = []
        self._lock = threading.Lock()

    def mails(self) -> list[Mail]:
        """Return all mails, oldest first."""
        with self._lock:
            sent: list[Any] = ses_backends[ACCOUNT][REGION].sent_messages
            for message in sent[len(self._read) :]:
                self._read.append(self._parsed(message))
            return list(self._read)

    def find(self, mail_id: str) -> Mail | None:
        """Return one mail, or None."""
        return next((mail for mail in self.mails() if mail.id == mail_id), None)

    def _parsed(self, message: Any) -> Mail:
        raw = message.raw_data if isinstance(message, RawMessage) else ""
        parsed = email.message_from_bytes(raw.encode(), _class=EmailMessage, policy=email.policy.default)
        return Mail(
            id=message.id,
            at=self._date(parsed),
            sender=str(parsed["From"] or message.source or ""),
            to=str(parsed["To"] or ""),
            subject=str(parsed["Subject"] or ""),
            text=_part(parsed, "plain"),
            html=_part(parsed, "html"),
        )

    def _date(self, parsed: EmailMessage) -> str:
        try:
            at = parsedate_to_datetime(str(parsed["Date"]))
        except ValueError:
            at = self._now()
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _part(parsed: EmailMessage, kind: str) -> str:
    part = parsed.get_body((kind,))
    return "" if part is None else str(part.get_content()).replace("\r\n", "\n")
