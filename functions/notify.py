"""Gate opened, decided or closed, launch ended: mail to whoever should know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from functions import mails, messages
from gonogo.bootstrap import gonogo
from gonogo.core.errors import RefusedError
from gonogo.service import notify
from gonogo.service.notify import Notice

TIME = timedelta(seconds=30)
"""After which no mail of a batch is begun: the last may take ten seconds, and Lambda ends it all after sixty."""


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Send the mails that a batch of messages calls for."""
    until = gonogo().now() + TIME
    return messages.each(event, lambda one: notify.tell(gonogo(), messages.cue(one), "mail", send, until))


def send(notice: Notice) -> None:
    """Send one notice as a mail."""
    if notice.person.mail is None:
        raise RefusedError("Unreachable", "this person has no mail address any more")
    gonogo().mailer.send(notice.person.mail, mails.render(notice, gonogo().mail_from))
