"""Notices as mails: one whole message each, the same bytes for the same notice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Any

import msgspec

from functions import wording
from functions.rendering import templates
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.errors import RefusedError
from gonogo.core.states import State
from gonogo.service.notify import Notice


def render(notice: Notice, sender: str) -> bytes:
    """Return a notice as an RFC 5322 message in text and HTML.

    `sender` is an address, with a name before it or not. Whom policy has no name for is called by subject and
    issuer.

    Raises:
        RefusedError: the person's address, or the sender's, is none.
    """
    told = _told(notice, {notice.person.actor: notice.person, **notice.people})
    text = templates().get_template(f"mail/{notice.topic}.txt")
    html = templates().get_template(f"mail/{notice.topic}.html")
    subject = " ".join("".join(text.blocks["subject"](text.new_context(told))).split())
    sender_name, sender_address = parseaddr(sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(sender_name or "gonogo", sender_address)
    message["To"] = _address(notice.person.name, notice.person.mail or "")
    message["Subject"] = subject
    message["Date"] = notice.at
    message["Message-ID"] = f"<{notice.id}@{sender_address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Gonogo-Delivery"] = notice.id
    message.set_content(text.render(told), cte="quoted-printable")
    message.add_alternative(html.render(told, subject=subject), subtype="html", cte="quoted-printable")
    message.set_boundary(_boundary(notice.id))
    return message.as_bytes()


def _told(notice: Notice, people: Mapping[Actor, Person]) -> dict[str, Any]:
    """Return what the templates know; `doer` is whoever the event is of, and `data` what it says."""
    data = notice.happened.data if notice.happened else {}
    doer = msgspec.convert(data["actor"], Actor) if "actor" in data else None
    return {
        "code": notice.code,
        "data": data,
        "doer": doer,
        "gate": notice.gate,
        "happened": notice.happened,
        "launch": notice.launch,
        "link": notice.link,
        "own": notice.gate.decision_of(notice.person.actor) if notice.gate else None,
        "people": people,
        "person": notice.person,
        "said": notice.gate.decision_of(doer) if notice.gate and doer else None,
        "waits": notice.launch.state is State.PENDING_APPROVAL,
    }


def _address(name: str, address: str) -> Address:
    try:
        return Address(wording.visible(name), addr_spec=address)
    except (MessageError, ValueError, IndexError) as error:
        raise RefusedError("BadAddress", f"{address!r} is no mail address: {error}") from error


def _boundary(notice_id: str) -> str:
    """Return a boundary that no text can contain: `=_` does not occur in quoted-printable (RFC 2045, 6.7)."""
    return "=_" + hashlib.sha256(notice_id.encode()).hexdigest()[:32]
