"""Gate opened, decided or closed, launch ended: mail to whoever should know."""

from __future__ import annotations

from typing import Any

from functions import mails, messages
from gonogo.bootstrap import gonogo
from gonogo.core.errors import RefusedError
from gonogo.service import notify
from gonogo.service.notify import Notice


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Send the mails that a batch of messages calls for."""
    return messages.each(event, lambda message: notify.tell(gonogo(), messages.cue(message), "mail", send))


def send(notice: Notice) -> None:
    """Send one notice as a mail."""
    if notice.person.mail is None:
        raise RefusedError("Unreachable", "this person has no mail address any more")
    gonogo().mailer.send(notice.person.mail, mails.render(notice, gonogo().mail_from))
