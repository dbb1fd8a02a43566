"""Notices as mails: one whole message each, the same bytes for the same notice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Any

import msgspec

from functions import wording
from functions.rendering import templates
from functions.wording import Differs
from gonogo.core import plan
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.delivery import ASKING
from gonogo.core.errors import RefusedError
from gonogo.core.event import Change
from gonogo.core.gates import Gate
from gonogo.core.states import State
from gonogo.service.notify import Notice

MOST_CHANGES = 12
"""How many changes a mail shows, so that it stays one screen; the page shows all."""


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
    message["Subject"] = _plain(subject)
    message["Date"] = notice.at
    message["Message-ID"] = f"<{notice.id}@{sender_address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Gonogo-Delivery"] = notice.id
    message.set_content(text.render(told), cte="quoted-printable")
    message.add_alternative(html.render(told, subject=subject), subtype="html", cte="quoted-printable")
    message.set_boundary(_boundary(notice.id))
    return message.as_bytes()


def _plain(text: str) -> str:
    """Return a text for a header that no reader takes for an encoded word (RFC 2047, 2).

    Python decodes those when a header is set, and writes what they hide as it is: line feeds too, and with them
    headers of a stranger's (CVE-2024-6923).
    """
    return text.replace("=?", "= ?")


def _told(notice: Notice, people: Mapping[Actor, Person]) -> dict[str, Any]:
    """Return what the templates know; `doer` is whoever the event is of, and `data` what it says.

    `changes` are what was changed where the launch was amended, `most` how many of them a mail shows.
    """
    data = notice.happened.data if notice.happened else {}
    doer = _actor(data, "actor")
    gate, launch = notice.gate, notice.launch
    return {
        "by": _actor(data, "by"),
        "ends_at": _moment(data["ends_at"]) if "ends_at" in data else None,
        "previous": _moment(data["previous"]) if _is_moment(data, "previous") else None,
        "changes": _changes(notice, data),
        "code": notice.code,
        "data": data,
        "doer": doer,
        "ended": _is_moment(data, "until") and _moment(data["until"]) <= notice.happened.at
        if notice.happened
        else False,
        "gate": gate,
        "happened": notice.happened,
        "instead": _actor(data, "instead_of"),
        "instead_of": notice.instead_of,
        "launch": launch,
        "link": notice.link,
        "most": MOST_CHANGES,
        "offer": next((one for one in launch.offers if one.digest == data.get("offer")), None)
        if launch
        else None,
        "mine": _is_seat(gate, notice.person.actor),
        "own": gate.decision_of(notice.person.actor) if gate else None,
        "people": people,
        "person": notice.person,
        "review": gate is not None and launch is not None and gate in launch.reviews,
        "said": gate.decision_of(doer) if gate and doer else None,
        "since": _moment(data["since"]) if "since" in data else None,
        "to": _actor(data, "to"),
        "until": _moment(data["until"]) if _is_moment(data, "until") else None,
        "waits": launch is not None and launch.state is State.PENDING_APPROVAL,
    }


def _actor(data: Mapping[str, Any], name: str) -> Actor | None:
    return msgspec.convert(data[name], Actor) if isinstance(data.get(name), Mapping) else None


def _is_moment(data: Mapping[str, Any], name: str) -> bool:
    """Tell whether that is a time: of a lease it may be null, of an amended launch it is a digest."""
    return isinstance(data.get(name), str) and "T" in data[name]


def _moment(text: str) -> datetime:
    return msgspec.convert(text, datetime)


def _is_seat(gate: Gate | None, actor: Actor) -> bool:
    """Tell whether somebody else decided the gate in this one's place."""
    return gate is not None and any(one.instead_of == actor for one in gate.decisions)


def _changes(notice: Notice, data: Mapping[str, Any]) -> list[Differs]:
    """Return what an event says was changed; of a question that was amended, what was changed in it."""
    launch = notice.launch
    if "changes" in data:
        return wording.differences(msgspec.convert(data["changes"], tuple[Change, ...]))
    if notice.topic in ASKING and launch is not None and launch.was is not None:
        return wording.differences(plan.changes(launch.was, launch.question))
    return []


def _address(name: str, address: str) -> Address:
    try:
        return Address(_plain(wording.visible(name)), addr_spec=address)
    except (MessageError, ValueError, IndexError) as error:
        raise RefusedError("BadAddress", f"{address!r} is no mail address: {error}") from error


def _boundary(notice_id: str) -> str:
    """Return a boundary that no text can contain: `=_` does not occur in quoted-printable (RFC 2045, 6.7)."""
    return "=_" + hashlib.sha256(notice_id.encode()).hexdigest()[:32]
